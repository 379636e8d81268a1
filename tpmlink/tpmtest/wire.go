package tpmtest

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
)

// A Wire carries one command and returns its answer. If it returns an error, the
// connection breaks.
type Wire func(command []byte) (answer []byte, err error)

// listen returns the path of a socket. For each connection to it, open returns the
// wire that carries its commands, and what to do when it ends.
func (m *TPM) listen(t testing.TB, open func() (wire Wire, hangUp func(), err error)) (path string) {
	t.Helper()
	path = filepath.Join(m.dir, "wire"+strconv.Itoa(int(m.wires.Add(1))))
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var (
		serving sync.WaitGroup
		mu      sync.Mutex
		conns   = make(map[net.Conn]bool)
	)
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns[conn] = true
			mu.Unlock()
			serving.Go(func() {
				serve(conn, open)
				mu.Lock()
				delete(conns, conn)
				mu.Unlock()
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		mu.Lock()
		for conn := range conns {
			_ = conn.Close()
		}
		mu.Unlock()
		serving.Wait()
	})
	return path
}

func serve(conn net.Conn, open func() (Wire, func(), error)) {
	defer func() { _ = conn.Close() }()
	wire, hangUp, err := open()
	if err != nil {
		return
	}
	defer hangUp()
	for {
		command, err := readMessage(conn)
		if err != nil {
			return
		}
		answer, err := wire(command)
		if err != nil {
			return
		}
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}

// Interpose lays a wire to the TPM on which sits whoever passes answers, or does
// not: relay gets each command, and may send it, or any other, on.
func (m *TPM) Interpose(t testing.TB, relay func(command []byte, send Wire) (answer []byte, err error)) (path string) {
	t.Helper()
	return m.listen(t, func() (Wire, func(), error) {
		conn, err := dial(m.Path)
		if err != nil {
			return nil, nil, err
		}
		return func(command []byte) ([]byte, error) { return relay(command, conn.command) }, func() { _ = conn.Close() }, nil
	})
}

// Send carries one command to the TPM, over a connection of its own.
func (m *TPM) Send(command []byte) ([]byte, error) {
	conn, err := dial(m.Path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	return conn.command(command)
}

// A connection is one to a TPM.
type connection struct{ net.Conn }

func dial(path string) (*connection, error) {
	conn, err := net.Dial("unix", path)
	if err != nil {
		return nil, err
	}
	return &connection{conn}, nil
}

func (c *connection) command(command []byte) ([]byte, error) {
	if _, err := c.Write(command); err != nil {
		return nil, err
	}
	return readMessage(c)
}

const (
	headerSize = 10
	maxMessage = 4096
)

// readMessage reads a command or an answer: tag, size, code, the rest.
func readMessage(r io.Reader) ([]byte, error) {
	message := make([]byte, headerSize, maxMessage)
	if _, err := io.ReadFull(r, message); err != nil {
		return nil, err
	}
	size := int(binary.BigEndian.Uint32(message[2:]))
	if size < headerSize || size > maxMessage {
		return nil, errors.New("no message of a TPM")
	}
	message = message[:size]
	_, err := io.ReadFull(r, message[headerSize:])
	return message, err
}

// code is that of a command, or of an answer: 0 is success.
func code(message []byte) uint32 { return binary.BigEndian.Uint32(message[6:]) }
