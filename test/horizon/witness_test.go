package horizon_test

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/rollback/witness"
	"github.com/secure-signer/secure-signer/test/internal/daemon"
)

// A keeper is a witness that is a process.
type keeper struct {
	t    *testing.T
	dir  string
	port int
	witness.Witness

	cmd *exec.Cmd
	log *log
}

// startKeepers makes so many witnesses, each of its own folder, and starts them.
func startKeepers(t *testing.T, n int) []*keeper {
	t.Helper()
	var all []*keeper
	for i := range n {
		k := &keeper{t: t, dir: filepath.Join(t.TempDir(), fmt.Sprint("witness", i)), port: daemon.FreePort(t)}
		printed := mustRun(t, "witness", "init", "--data-dir", k.dir, "--url", fmt.Sprint("http://127.0.0.1:", k.port))
		var err error
		if k.Witness, err = witness.Parse(regexp.MustCompile(`http\S+`).FindString(printed)); err != nil {
			t.Fatal(err)
		}
		k.start()
		t.Cleanup(k.kill)
		all = append(all, k)
	}
	return all
}

func mustRun(t *testing.T, args ...string) (printed string) {
	t.Helper()
	code, stdout, stderr := daemon.Run(t, args...)
	if code != 0 {
		t.Fatalf("%q: exit %d\n%s%s", args, code, stdout, stderr)
	}
	return stdout
}

// start starts the process and waits until it answers.
func (k *keeper) start() {
	k.t.Helper()
	k.log = &log{ready: make(chan struct{})}
	k.cmd = exec.Command(daemon.Program(k.t), "witness", "serve", "--data-dir", k.dir, "--http-listen-port", strconv.Itoa(k.port))
	k.cmd.Stderr = k.log
	if err := k.cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	select {
	case <-k.log.ready:
	case <-time.After(time.Minute):
		k.t.Fatalf("the witness is not ready\n%s", k.log)
	}
}

// kill ends it as a crash does.
func (k *keeper) kill() {
	_ = k.cmd.Process.Kill() // it may have ended
	_ = k.cmd.Wait()         // killed
}

// stop ends it as its operator does.
func (k *keeper) stop() {
	k.t.Helper()
	_ = k.cmd.Process.Signal(syscall.SIGTERM) // seen by its exit
	if err := k.cmd.Wait(); err != nil {
		k.t.Errorf("the witness does not stop cleanly: %v\n%s", err, k.log)
	}
}

// enrol lets a signer in: the witness is stopped for it.
func (k *keeper) enrol(signer string) {
	k.t.Helper()
	args := []string{"witness", "enrol", "--data-dir", k.dir, "--signer", signer}
	if code, _, stderr := daemon.Run(k.t, args...); code == 0 || !strings.Contains(stderr, "is running: stop it first") {
		k.t.Errorf("enrolled while it runs: exit %d, %s", code, stderr)
	}
	k.stop()
	mustRun(k.t, args...)
	k.start()
}

// A log is what a witness writes.
type log struct {
	mu    sync.Mutex
	text  bytes.Buffer
	found bool
	ready chan struct{} // closed once it says so
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	if !l.found && bytes.Contains(l.text.Bytes(), []byte(`msg="witness ready"`)) {
		l.found = true
		close(l.ready)
	}
	return len(p), nil
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
