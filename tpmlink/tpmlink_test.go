package tpmlink_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"golang.org/x/term"

	"github.com/secure-signer/secure-signer/internal/pty"
	"github.com/secure-signer/secure-signer/tpmlink"
	"github.com/secure-signer/secure-signer/tpmlink/tpmtest"
)

func dial(t *testing.T, path string) *tpmlink.Link {
	t.Helper()
	link, err := tpmlink.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { link.Close() })
	return link
}

func random(t transport.TPM) error {
	_, err := tpm2.GetRandom{BytesRequested: 8}.Execute(t)
	return err
}

func TestWhatCannotBeOpenedSaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	dead := filepath.Join(dir, "dead")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	listener.Close()
	for path, want := range map[string]string{
		filepath.Join(dir, "missing"): "enable it in the machine's firmware",
		dead:                          "is it running?",
		dir:                           "neither a device nor a socket",
		file:                          "neither a device nor a socket",
		"127.0.0.1:1":                 "is it running?",
		"tpm.sock":                    "stat tpm.sock: no such file", // and no name of a host
	} {
		if _, err := tpmlink.Open(t.Context(), path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
}

func TestALink(t *testing.T) {
	m := tpmtest.Start(t)
	for name, test := range map[string]func(*testing.T, *tpmtest.TPM){
		"goes over a device":                      testOverDevice,
		"goes over TCP, too":                      testOverTCP,
		"does not mix sequences":                  testSequences,
		"gives up a TPM that hangs":               testHanging,
		"says what to do about errors of the TPM": testErrors,
		"starts a session anew after an error":    testSession,
	} {
		t.Run(name, func(t *testing.T) { test(t, m) })
	}
}

// testOverDevice: a terminal stands for the TPM's device. Like it, it is opened for
// calls that block, by its path.
func testOverDevice(t *testing.T, m *tpmtest.TPM) {
	master, device := pty.Open(t)
	if _, err := term.MakeRaw(int(master.Fd())); err != nil {
		t.Fatal(err)
	}
	commands, hang := 0, make(chan struct{})
	go func() {
		command := make([]byte, 4096)
		for {
			n, err := master.Read(command)
			if err != nil {
				return
			}
			answer, err := m.Send(command[:n])
			if err != nil {
				return
			}
			if commands++; commands == 2 {
				<-hang
			}
			if _, err := master.Write(answer); err != nil {
				return
			}
		}
	}()
	link := dial(t, device.Name())
	if err := link.Do(t.Context(), random); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := link.Do(ctx, random); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a device that hangs: %v", err)
	}
	close(hang)
}

func testOverTCP(t *testing.T, m *tpmtest.TPM) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		command := make([]byte, 4096)
		for {
			n, err := conn.Read(command)
			if err != nil {
				return
			}
			answer, err := m.Send(command[:n])
			if err != nil {
				return
			}
			for _, b := range answer { // a network cuts where it likes
				if _, err := conn.Write([]byte{b}); err != nil {
					return
				}
			}
		}
	}()
	if err := dial(t, listener.Addr().String()).Do(t.Context(), random); err != nil {
		t.Error(err)
	}
}

// testSequences: what one has loaded, another must not find.
func testSequences(t *testing.T, m *tpmtest.TPM) {
	var mu sync.Mutex
	running := 0
	link := dial(t, m.Path)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			err := link.Do(t.Context(), func(tpm transport.TPM) error {
				mu.Lock()
				running++
				if running != 1 {
					t.Error("two sequences run at once")
				}
				mu.Unlock()
				err := random(tpm)
				mu.Lock()
				running--
				mu.Unlock()
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func testHanging(t *testing.T, m *tpmtest.TPM) {
	hang := make(chan struct{})
	path := m.Interpose(t, func(command []byte, send tpmtest.Wire) ([]byte, error) {
		<-hang
		return send(command)
	})
	link := dial(t, path)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := link.Do(ctx, func(tpm transport.TPM) error {
		first := random(tpm)
		if first == nil {
			t.Error("it does not hang: nothing was tested")
		}
		if err := random(tpm); err == nil {
			t.Error("a sequence goes on over a connection that was given up")
		}
		return first
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	close(hang)
	if err := link.Do(t.Context(), random); err != nil {
		t.Errorf("over the next connection: %v", err)
	}
	release := make(chan struct{})
	waiting := make(chan error)
	go func() {
		waiting <- link.Do(t.Context(), func(transport.TPM) error {
			<-release
			return nil
		})
	}()
	ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	for link.Do(ctx, func(transport.TPM) error { return nil }) == nil { // until the other has its turn
	}
	close(release)
	if err := <-waiting; err != nil {
		t.Error(err)
	}
	if err := link.Close(); err != nil {
		t.Error(err)
	}
	if err := link.Do(t.Context(), random); !errors.Is(err, tpmlink.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func testErrors(t *testing.T, m *tpmtest.TPM) {
	var answer []byte
	link := dial(t, m.Interpose(t, func([]byte, tpmtest.Wire) ([]byte, error) { return answer, nil }))
	for code, want := range map[tpm2.TPMRC]string{
		tpm2.TPMRCInitialize:    "restart the machine",
		tpm2.TPMRCLockout:       "tpm2_dictionarylockout",
		tpm2.TPMRCNVSpace:       "tpm2_nvundefine",
		tpm2.TPMRCSessionMemory: "/dev/tpmrm0",
	} {
		answer = []byte{0x80, 0x01, 0, 0, 0, 10, 0, 0, byte(code >> 8), byte(code)}
		if err := link.Do(t.Context(), random); !errors.Is(err, code) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	for _, junk := range [][]byte{
		{0x80, 0x01, 0, 0, 0, 5, 0, 0, 0, 0},                   // shorter than itself
		{0x80, 0x01, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0},       // longer than any
		{0x80, 0x01, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0},            // followed by more
		{0x80, 0x01, 0, 0, 0, 12, 0, 0, 0, 0, 0xff, 0xff},      // of a parameter that is not there
		{0x80, 0x02, 0, 0, 0, 14, 0, 0, 0, 0, 0xff, 0, 0, 0xa}, // of sessions that are not there
	} {
		answer = junk
		if err := link.Do(t.Context(), random); err == nil {
			t.Errorf("took %x for an answer", junk)
		}
	}
}

// testSession: and nothing is left behind.
func testSession(t *testing.T, m *tpmtest.TPM) {
	var started, flushed int
	link := dial(t, m.Interpose(t, func(command []byte, send tpmtest.Wire) ([]byte, error) {
		switch command[9] { // of the command's code
		case 0x76: // TPM2_StartAuthSession
			started++
		case 0x65: // TPM2_FlushContext
			flushed++
		}
		return send(command)
	}))
	e := endorse(t, link, m)
	started, flushed = 0, 0
	session := link.NewSession(e, []byte("secret"))
	do := func(result error) error {
		return session.Do(t.Context(), func(_ transport.TPM, live tpm2.Session) error {
			if live == nil {
				t.Fatal("no session")
			}
			return result
		})
	}
	if err := errors.Join(do(nil), do(nil)); err != nil || started != 1 {
		t.Errorf("%d sessions for two sequences, %v", started, err)
	}
	mine := errors.New("mine")
	if err := do(mine); !errors.Is(err, mine) {
		t.Errorf("got %v", err)
	}
	if err := do(nil); err != nil || started != 2 {
		t.Errorf("%d sessions, want another after an error, %v", started, err)
	}
	if err := session.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if keys := 2; flushed != started+keys { // an endorsement key for each
		t.Errorf("%d sessions and %d keys were loaded, %d flushed", started, keys, flushed)
	}
}
