package http_test

import (
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
)

// TestTheServiceManagerIsTold listens as systemd does: the daemon tells when it is
// ready to sign, of a reload's beginning and end, and that it stops, although it
// opens no socket any more by then.
func TestTheServiceManagerIsTold(t *testing.T) {
	address := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: address})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	f := daemon.Init(t, daemon.Network{Name: "hoodi"})
	t.Setenv("NOTIFY_SOCKET", address)
	d := daemon.Serve(t, f)

	expect := func(want string) {
		t.Helper()
		if err := manager.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		buffer := make([]byte, 4096)
		n, err := manager.Read(buffer)
		if err != nil {
			t.Fatalf("waiting for %q: %v\n%s", want, err, d.Log())
		}
		if got := string(buffer[:n]); !strings.HasPrefix(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
	const ready = "READY=1\nSTATUS=0 keys in service, of 0 held, on hoodi"
	expect(ready)
	if err := syscall.Kill(d.PID(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	expect("RELOADING=1\nMONOTONIC_USEC=")
	expect(ready)
	d.Terminate()
	expect("STOPPING=1\n")
	if code := d.Wait(); code != 0 {
		t.Errorf("exit %d", code)
	}
}
