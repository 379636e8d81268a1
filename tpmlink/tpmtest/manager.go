package tpmtest

import (
	"encoding/binary"
	"sync"
)

// A manager serves many connections with the one that swtpm takes, as the kernel
// does for /dev/tpmrm0. A TPM has room for three sessions and three keys. So the
// sessions of a connection are in it only while one of its commands runs, and who
// has loaded a key has the TPM alone until that is flushed.
type manager struct {
	socket string
	turn   sync.Mutex // of a connection

	mu   sync.Mutex // one command at a time
	conn *connection
}

// hangUp ends the connection. The next command makes another.
func (g *manager) hangUp() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.conn != nil {
		_ = g.conn.Close()
		g.conn = nil
	}
}

func (g *manager) send(command []byte) (answer []byte, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.conn == nil {
		if g.conn, err = dial(g.socket); err != nil {
			return nil, err
		}
	}
	if answer, err = g.conn.command(command); err != nil {
		_ = g.conn.Close()
		g.conn = nil
	}
	return answer, err
}

// A space is what one connection has loaded.
type space struct {
	*manager
	keys     map[uint32]bool
	sessions map[uint32][]byte // their contexts
}

func (g *manager) connect() (Wire, func(), error) {
	s := &space{manager: g, keys: make(map[uint32]bool), sessions: make(map[uint32][]byte)}
	return s.command, s.end, nil
}

// Codes of commands that load something, or flush it.
const (
	codeCreatePrimary    = 0x131
	codeLoad             = 0x157
	codeContextLoad      = 0x161
	codeContextSave      = 0x162
	codeFlushContext     = 0x165
	codeLoadExternal     = 0x167
	codeStartAuthSession = 0x176
	codeGetRandom        = 0x17b
)

func (s *space) command(command []byte) ([]byte, error) {
	if len(s.keys) == 0 {
		s.turn.Lock()
	}
	defer func() {
		if len(s.keys) == 0 {
			s.turn.Unlock()
		}
	}()
	for handle, context := range s.sessions {
		if answer, err := s.send(message(codeContextLoad, context)); err != nil || code(answer) != 0 {
			delete(s.sessions, handle) // lost by a power cut
		}
	}
	answer, err := s.send(command)
	if err == nil && code(answer) == 0 {
		s.follow(command, answer)
	}
	for handle := range s.sessions {
		saved, err := s.send(message(codeContextSave, handleBytes(handle)))
		if err != nil || code(saved) != 0 {
			delete(s.sessions, handle) // ended by its last command
			continue
		}
		s.sessions[handle] = saved[headerSize:]
	}
	return answer, err
}

func (s *space) follow(command, answer []byte) {
	switch code(command) {
	case codeCreatePrimary, codeLoad, codeLoadExternal:
		s.keys[binary.BigEndian.Uint32(answer[headerSize:])] = true
	case codeStartAuthSession:
		s.sessions[binary.BigEndian.Uint32(answer[headerSize:])] = nil
	case codeFlushContext:
		handle := binary.BigEndian.Uint32(command[headerSize:])
		delete(s.keys, handle)
		delete(s.sessions, handle)
	}
}

// end flushes what is left.
func (s *space) end() {
	for handle := range s.sessions {
		_, _ = s.send(message(codeFlushContext, handleBytes(handle)))
	}
	for handle := range s.keys {
		_, _ = s.send(message(codeFlushContext, handleBytes(handle)))
	}
	if len(s.keys) > 0 {
		s.turn.Unlock()
	}
}

func handleBytes(handle uint32) []byte { return binary.BigEndian.AppendUint32(nil, handle) }

// message is a command without sessions.
func message(code uint32, body []byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte{0x80, 0x01}, uint32(headerSize+len(body)))
	return append(binary.BigEndian.AppendUint32(b, code), body...)
}
