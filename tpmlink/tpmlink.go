// Package tpmlink reaches a TPM 2.0 over wires that belong to somebody else.
//
// Between this process and its TPM lie a kernel, a bus, and perhaps a relay or
// a TPM in software, and all of it is the host's. So what matters goes through
// sessions whose secret only one TPM can have: it is encrypted to that TPM's
// endorsement key (EK), which its maker certified.
//
// # Guaranteed
//
//   - Endorse returns a TPM only if the certificate of its EK leads to a root that
//     the caller trusts, and the TPM has made the very key that it is about. To do
//     without, Trust.Unverified must be asked for, and the Endorsement says so.
//   - What a command under a Session returns without an error was answered by that
//     TPM, to that command, and not before.
//   - One sequence of commands at a time: no two are mixed.
//   - Whatever a sequence has loaded is flushed, also after an error. A TPM has
//     room for three.
//
// # Not guaranteed
//
//   - That anything is answered. Errors of a TPM are not authenticated: after any
//     error a command may have been carried out or not.
//   - Anything under an Unverified Endorsement: whoever sits on the wire may be the
//     TPM.
//   - That a TPM in software which somebody certified forgets nothing.
//
// Sources: TPM 2.0 Library Specification, part 1, 19.6 (sessions) and 21
// (encryption of parameters); TCG EK Credential Profile 2.5, B.3 and B.4 (templates),
// 2.2.1.4 (NV indices) and 3.2 (certificates).
package tpmlink

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// A Link is a connection to one TPM, made anew when it breaks. Its methods may be
// called concurrently: each waits for its turn.
type Link struct {
	path string
	turn chan struct{} // holds a token while a sequence is under way

	// Owned by whoever has put the token.
	conn   io.ReadWriteCloser // nil if there is none
	number int                // of the connection: a session lives no longer than its own
	closed bool
}

// Open connects to the TPM at a character device (/dev/tpmrm0), a Unix socket or,
// if there is no slash in it, a host:port. A socket must belong to a TPM that
// speaks its commands without any frame around them, as swtpm does.
//
// Take /dev/tpmrm0, not /dev/tpm0: the kernel shares the former among programs, and
// flushes what a program that is killed leaves behind.
func Open(ctx context.Context, path string) (*Link, error) {
	l := &Link{path: path, turn: make(chan struct{}, 1)}
	return l, l.Do(ctx, func(transport.TPM) error { return nil })
}

// Path is what the Link was opened with.
func (l *Link) Path() string { return l.path }

// ErrClosed is what a Link that was closed returns.
var ErrClosed = errors.New("the link to the TPM is closed")

// Close ends the connection, once the sequence under way has ended.
func (l *Link) Close() error {
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	l.closed = true
	return l.hangUp()
}

// Do runs one sequence of commands, alone on this Link. If the context ends, or a
// command takes too long, the connection is given up and so is the sequence.
func (l *Link) Do(ctx context.Context, sequence func(t transport.TPM) error) error {
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("wait for the TPM at %s: %w", l.path, context.Cause(ctx))
	}
	defer func() { <-l.turn }()
	if l.closed {
		return ErrClosed
	}
	if l.conn == nil {
		conn, err := dial(ctx, l.path)
		if err != nil {
			return err
		}
		l.conn = conn
		l.number++
	}
	return advise(sequence(&line{ctx: ctx, link: l}))
}

func (l *Link) hangUp() error {
	if l.conn == nil {
		return nil
	}
	err := l.conn.Close()
	l.conn = nil
	return err
}

func dial(ctx context.Context, path string) (io.ReadWriteCloser, error) {
	network := "tcp"
	if strings.Contains(path, "/") || !strings.Contains(path, ":") {
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("open the TPM: %w: enable it in the machine's firmware, or name another with --tpm", err)
		case err != nil:
			return nil, fmt.Errorf("open the TPM: %w", err)
		case info.Mode()&fs.ModeCharDevice != 0:
			return openDevice(path)
		case info.Mode()&fs.ModeSocket == 0: // a file would be overwritten
			return nil, fmt.Errorf("open the TPM: %s is neither a device nor a socket", path)
		}
		network = "unix"
	}
	conn, err := (&net.Dialer{Timeout: commandTime}).DialContext(ctx, network, path)
	if err != nil {
		return nil, fmt.Errorf("open the TPM: %w: is it running?", err)
	}
	return conn, nil
}

// openDevice opens the device for blocking calls: only then does its write return
// when the answer is there to be read.
func openDevice(path string) (io.ReadWriteCloser, error) {
	fd, err := syscall.Open(path, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("open the TPM %s: %w: add the user that runs this to the group of the device (tss on most systems)", path, err)
	case errors.Is(err, syscall.EBUSY):
		return nil, fmt.Errorf("open the TPM %s: %w: another program has it: take /dev/tpmrm0, which is shared", path, err)
	case err != nil:
		return nil, fmt.Errorf("open the TPM %s: %w", path, err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

// A TPM answers most commands within a second, but slow ones take a minute to make
// an RSA key.
const (
	commandTime = 10 * time.Second
	makeKeyTime = 2 * time.Minute
)

// A line is one sequence's use of the connection. Once that is given up nothing
// more goes over it: what was begun on one connection cannot go on over another.
type line struct {
	ctx  context.Context
	link *Link
}

var errHungUp = errors.New("the connection to the TPM was given up")

// Send implements transport.TPM.
func (s *line) Send(command []byte) ([]byte, error) {
	if s.link.conn == nil {
		return nil, errHungUp
	}
	limit := commandTime
	if code := commandCode(command); code == tpm2.TPMCCCreatePrimary || code == tpm2.TPMCCCreateLoaded {
		limit = makeKeyTime
	}
	late := fmt.Errorf("no answer within %v", limit)
	if _, device := s.link.conn.(*os.File); !device {
		late = fmt.Errorf("%w: a TPM in software serves one connection, and another program, or another part of this one, may have it", late)
	}
	ctx, cancel := context.WithTimeoutCause(s.ctx, limit, late)
	defer cancel()
	for pause := 5 * time.Millisecond; ; pause *= 2 {
		answer, err := s.exchange(ctx, command)
		if err != nil || !busy(answer) {
			return answer, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return answer, nil // and go-tpm says what the TPM is busy with
		}
	}
}

func commandCode(command []byte) tpm2.TPMCC {
	if len(command) < headerSize {
		return 0
	}
	return tpm2.TPMCC(binary.BigEndian.Uint32(command[6:]))
}

// busy tells whether the TPM asks for the same command again, later. It has not
// carried it out; and if that is a lie, it will refuse it, as the nonce of its
// session has moved on.
func busy(answer []byte) bool {
	if len(answer) != headerSize {
		return false
	}
	switch tpm2.TPMRC(binary.BigEndian.Uint32(answer[6:])) {
	case tpm2.TPMRCRetry, tpm2.TPMRCYielded, tpm2.TPMRCTesting, tpm2.TPMRCNVRate:
		return true
	}
	return false
}

// exchange sends one command and reads its answer. A call that hangs is left
// behind, with its connection.
func (s *line) exchange(ctx context.Context, command []byte) ([]byte, error) {
	type result struct {
		answer []byte
		err    error
	}
	conn, done := s.link.conn, make(chan result, 1)
	go func() {
		answer, err := roundTrip(conn, command)
		done <- result{answer, err}
	}()
	var r result
	select {
	case r = <-done:
	case <-ctx.Done():
		r.err = context.Cause(ctx)
	}
	if r.err != nil {
		_ = s.link.hangUp()
		return nil, fmt.Errorf("talk to the TPM at %s: %w", s.link.path, r.err)
	}
	return r.answer, nil
}

const (
	headerSize = 10   // tag, size, code
	maxAnswer  = 4096 // as in the kernel's driver
)

// roundTrip writes a command and reads its answer: a device gives all of it in one
// read, a socket may not.
func roundTrip(conn io.ReadWriter, command []byte) ([]byte, error) {
	if _, err := conn.Write(command); err != nil {
		return nil, err
	}
	answer := make([]byte, maxAnswer)
	n, err := io.ReadAtLeast(conn, answer, headerSize)
	if err != nil {
		return nil, err
	}
	size := int(binary.BigEndian.Uint32(answer[2:]))
	if size < headerSize || size > maxAnswer || n > size {
		return nil, fmt.Errorf("an answer of %d bytes says that it has %d", n, size)
	}
	if _, err := io.ReadFull(conn, answer[n:size]); err != nil {
		return nil, err
	}
	return answer[:size], nil
}
