package config

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/secure-signer/secure-signer/internal/pty"
)

func TestPassphraseIsAskedForOnATerminalWithoutEcho(t *testing.T) {
	tests := []struct {
		name, typed, want, err string
		read                   func(t *testing.T, stdin *os.File, stderr *bytes.Buffer) ([]byte, error)
	}{
		{"to open", "correct horse\n", "correct horse", "", open},
		{"to open, nothing typed", "\n", "", "empty", open},
		{"a new one", "battery\nbattery\n", "battery", "", choose},
		{"a new one, mistyped", "battery\nbatterie\n", "", "differ", choose},
		{"a new one, empty", "\n\n", "", "empty", choose},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			operator, program := pty.Open(t)
			var stderr bytes.Buffer
			done := make(chan struct{})
			var got []byte
			var err error
			go func() {
				defer close(done)
				got, err = test.read(t, program, &stderr)
			}()
			// What is typed while the echo is still on is shown by the terminal.
			waitForNoEcho(t, program)
			if _, err := operator.WriteString(test.typed); err != nil {
				t.Fatal(err)
			}
			<-done
			if test.err == "" && (err != nil || string(got) != test.want) {
				t.Errorf("got %q, %v, want %q", got, err, test.want)
			}
			if test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err) || got != nil) {
				t.Errorf("got %q, %v, want an error that says %q", got, err, test.err)
			}
			if !strings.Contains(stderr.String(), "assphrase: ") {
				t.Errorf("no prompt: %q", stderr.String())
			}
			program.Close()                  // or the terminal would be read for ever
			shown, _ := io.ReadAll(operator) // ends with EIO
			if bytes.Contains(shown, []byte("correct")) || bytes.Contains(shown, []byte("batter")) {
				t.Errorf("the terminal shows the passphrase: %q", shown)
			}
		})
	}
}

// TestAnInterruptEndsTheAsking: a prompt once swallowed every ^C and SIGTERM.
func TestAnInterruptEndsTheAsking(t *testing.T) {
	operator, program := pty.Open(t)
	ctx, interrupt := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, _, err := Passphrase(ctx, "", "none", program, io.Discard)
		done <- err
	}()
	waitForNoEcho(t, program)
	interrupt()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it goes on asking")
	}
	var state syscall.Termios
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, program.Fd(), syscall.TCGETS, uintptr(unsafe.Pointer(&state))); errno != 0 {
		t.Fatal(errno)
	}
	if state.Lflag&syscall.ECHO == 0 {
		t.Error("the terminal is left without echo")
	}
	if _, err := operator.WriteString("\n"); err != nil { // lets what still reads end
		t.Fatal(err)
	}
}

func open(t *testing.T, stdin *os.File, stderr *bytes.Buffer) ([]byte, error) {
	passphrase, _, err := Passphrase(t.Context(), "", "none", stdin, stderr)
	return passphrase, err
}

func choose(t *testing.T, stdin *os.File, stderr *bytes.Buffer) ([]byte, error) {
	return NewPassphrase(t.Context(), "", "none", stdin, stderr)
}

func waitForNoEcho(t *testing.T, terminal *os.File) {
	t.Helper()
	for range 5000 {
		var state syscall.Termios
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, terminal.Fd(), syscall.TCGETS, uintptr(unsafe.Pointer(&state))); errno != 0 {
			t.Fatal(errno)
		}
		if state.Lflag&syscall.ECHO == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("the echo is never turned off")
}
