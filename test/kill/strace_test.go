package kill_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
)

// A fault is what the kernel does to a system call of a running daemon.
type fault struct {
	call string
	path string // in the data folder: only calls that concern it; empty: any
	how  string // as strace writes it
	nth  int    // such call of a thread
}

const (
	eio    = "error=EIO"
	enospc = "error=ENOSPC"
	kill   = "signal=SIGKILL"
)

// killed is the exit code of a process that a signal has ended.
const killed = -1

// wantEnd looks at how the fault has ended a daemon.
func (f fault) wantEnd(t *testing.T, code int, log string) {
	t.Helper()
	says := map[string]string{eio: "input/output error", enospc: "no space left on device"}[f.how]
	switch {
	case f.how == kill && code != killed:
		t.Errorf("exit %d, want it killed", code)
	case f.how != kill && (code != 1 || !strings.Contains(log, says)):
		t.Errorf("exit %d, want 1 and %q in the log\n%s", code, says, log)
	}
}

// A tracer is strace on a running daemon.
type tracer struct {
	file string
	done chan error
}

// inject attaches strace to the daemon, and returns when the fault is in place.
func (f fault) inject(t *testing.T, d *daemon.Daemon, folder string) tracer {
	t.Helper()
	tr := tracer{file: filepath.Join(t.TempDir(), "trace"), done: make(chan error, 1)}
	args := []string{
		"-f", "-p", fmt.Sprint(d.PID()), "-o", tr.file,
		"-e", "trace=" + f.call, "-e", fmt.Sprintf("inject=%s:%s:when=%d", f.call, f.how, f.nth),
	}
	if f.path != "" {
		args = append(args, "-P", filepath.Join(folder, f.path))
	}
	strace := exec.Command("strace", args...)
	complaints, err := strace.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := strace.Start(); err != nil {
		t.Fatal(err)
	}
	attached := make(chan error, 1)
	go func() {
		lines := bufio.NewScanner(complaints)
		lines.Scan()
		if strings.Contains(lines.Text(), "attached") {
			attached <- nil
		} else {
			attached <- errors.New(lines.Text())
		}
		for lines.Scan() { // of threads that come later
		}
		tr.done <- strace.Wait()
	}()
	if err := <-attached; err != nil {
		if strings.Contains(err.Error(), "not permitted") && os.Getenv("CI") == "" {
			t.Skipf("strace may not attach to a running signer, which hides from its own user: run this as root: %v", err)
		}
		t.Fatalf("strace does not attach: %v", err)
	}
	return tr
}

// hit waits for strace to end with the daemon, and reports whether the call came.
func (tr tracer) hit(t *testing.T) bool {
	t.Helper()
	<-tr.done
	trace, err := os.ReadFile(tr.file)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Contains(trace, []byte("INJECTED")) || bytes.Contains(trace, []byte("+++ killed by SIGKILL"))
}

func needStrace(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("strace is missing: %v", err)
		}
		t.Skipf("install Debian's package strace: %v", err)
	}
}
