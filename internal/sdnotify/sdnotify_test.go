package sdnotify_test

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/secure-signer/secure-signer/internal/sdnotify"
)

// listen is the manager's end of a socket.
func listen(t *testing.T, address string) *net.UnixConn {
	t.Helper()
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: address})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// heard returns the next message.
func heard(t *testing.T, l *net.UnixConn) string {
	t.Helper()
	if err := l.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 4096)
	n, err := l.Read(buffer)
	if err != nil {
		t.Fatal(err)
	}
	return string(buffer[:n])
}

func TestEachChangeIsOneDatagram(t *testing.T) {
	for name, address := range map[string]string{
		"to a socket that is a file":       filepath.Join(t.TempDir(), "notify"),
		"to a socket that has a name only": fmt.Sprintf("@secure-signer-test-%d", time.Now().UnixNano()),
	} {
		t.Run(name, func(t *testing.T) {
			l := listen(t, address)
			m, err := sdnotify.Open(address)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			for _, step := range []struct {
				tell func() error
				want string
			}{
				{func() error { return m.Ready("2 keys\nREADY=0") }, "READY=1\nSTATUS=2 keys READY=0"},
				{func() error { return m.Stopping("because") }, "STOPPING=1\nSTATUS=because"},
			} {
				if err := step.tell(); err != nil {
					t.Fatal(err)
				}
				if got := heard(t, l); got != step.want {
					t.Errorf("got %q, want %q", got, step.want)
				}
			}
		})
	}
}

func TestAReloadTellsTheTimeOfTheManagersClock(t *testing.T) {
	address := filepath.Join(t.TempDir(), "notify")
	l := listen(t, address)
	m, err := sdnotify.Open(address)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()

	before := clock(t)
	if err := m.Reloading(); err != nil {
		t.Fatal(err)
	}
	text := heard(t, l)
	var told int64
	if _, err := fmt.Sscanf(text, "RELOADING=1\nMONOTONIC_USEC=%d", &told); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	if after := clock(t); told < before || told > after {
		t.Errorf("told %d, between %d and %d", told, before, after)
	}
}

// clock reads CLOCK_MONOTONIC, in microseconds.
func clock(t *testing.T) int64 {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		t.Fatal(err)
	}
	return now.Nano() / 1000
}

func TestWithoutAManagerNothingIsToldAndNothingFails(t *testing.T) {
	t.Setenv(sdnotify.Variable, "")
	m, err := sdnotify.FromEnvironment()
	if m != nil || err != nil {
		t.Fatalf("got %v, %v", m, err)
	}
	for _, tell := range []func() error{
		func() error { return m.Ready("") }, m.Reloading, func() error { return m.Stopping("") }, m.Close,
	} {
		if err := tell(); err != nil {
			t.Error(err)
		}
	}
}

func TestAManagerThatCannotBeReachedIsAnError(t *testing.T) {
	for name, address := range map[string]string{
		"nobody listens":    filepath.Join(t.TempDir(), "nobody"),
		"another kind":      "vsock:2:1234",
		"a relative path":   "notify",
		"longer than fits":  "/" + strings.Repeat("x", 200),
		"nobody's abstract": "@secure-signer-test-nobody",
	} {
		if m, err := sdnotify.Open(address); m != nil || err == nil {
			t.Errorf("%s: got %v, %v", name, m, err)
		}
	}
}

// TestAManagerThatDoesNotReadHoldsNobodyUp fills the manager's queue.
func TestAManagerThatDoesNotReadHoldsNobodyUp(t *testing.T) {
	address := filepath.Join(t.TempDir(), "notify")
	listen(t, address)
	m, err := sdnotify.Open(address)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for range 100_000 {
		if err := m.Ready("still"); err != nil {
			return
		}
	}
	t.Error("100,000 messages fit into a queue that nobody reads")
}
