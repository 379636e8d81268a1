package crash_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/secure-signer/secure-signer/test/crash"
	"github.com/secure-signer/secure-signer/test/mutant"
)

// TestNoFailingSystemCallLosesARecord lets the kernel refuse one call after the
// other, or kill the process there. The journal's own tests do the same to the
// calls it means to make; this does it to those it makes.
func TestNoFailingSystemCallLosesARecord(t *testing.T) {
	needStrace(t)
	program := mutant.Build(t, workload)
	for _, call := range []string{"mkdirat", "openat", "pwrite64", "fsync", "renameat", "unlinkat"} {
		for _, how := range []string{"error=EIO", "error=ENOSPC", "signal=SIGKILL"} {
			t.Run(call+" "+how, func(t *testing.T) {
				n := 1
				for fault(t, program, call, how, n) {
					n++
				}
				if n == 1 {
					t.Error("the workload makes no such call")
				}
				t.Logf("%d calls of a thread", n-1)
			})
		}
	}
}

// fault runs the workload with each thread's nth call failing, and reports
// whether there was one.
func fault(t *testing.T, program, call, how string, n int) bool {
	t.Helper()
	dir := t.TempDir()
	folder, file := filepath.Join(dir, "journal"), filepath.Join(dir, "trace")
	run := crash.Fault(file, call, how, n, program, folder, "2", "4")
	var said, complaint bytes.Buffer
	run.Stdout, run.Stderr = &said, &complaint
	err := run.Run()
	trace, readErr := os.ReadFile(file)
	if readErr != nil {
		t.Fatal(readErr)
	}
	if !bytes.Contains(trace, []byte("INJECTED")) && !bytes.Contains(trace, []byte("+++ killed by SIGKILL")) {
		return false
	}
	if run.ProcessState.ExitCode() == 2 {
		t.Errorf("call %d: %s", n, complaint.String())
	}
	e, hearErr := crash.ExpectOf(said.String())
	if hearErr != nil {
		t.Fatal(hearErr)
	}
	if _, recoverErr := e.Recover(t.Context(), folder); recoverErr != nil {
		t.Errorf("call %d: %v, %s: next process: %v", n, err, complaint.String(), recoverErr)
	}
	return true
}
