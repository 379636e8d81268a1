package platform

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
)

// An image has one command line for ever, so that its start has to do for the
// hand-over, too: with the step where the settings say, and as often as it is started.
func TestAnImageTakesAFolderOverAtItsStart(t *testing.T) {
	w := newTakeover(t)
	step := filepath.Join(w.dir, "step.json")
	settings := write(t, filepath.Join(w.dir, "settings.yaml"), fmt.Sprintf(
		"dev-root: %s\nhttp-listen-port: 0\nmetrics-listen-port: 0\nmanagement-listen-port: 0\nnetwork: hoodi\nstep: %s\nfrom: %s\n", w.root, step, w.old.URL))
	args := []string{"start", "--data-dir", w.path, "--config", settings}

	refuses(t, "sealed", next.program(t), args...) // nobody has signed
	signs(t, w.old, 101)

	w.step(t, "step.json", measure(t, daemon.Program(t)), measure(t, next.program(t)), 0, 1)
	startsAndStops(t, next.program(t), args)
	if code := w.old.Wait(); code != 0 {
		t.Errorf("the old version ends with exit %d\n%s", code, w.old.Log())
	}
	startsAndStops(t, next.program(t), args) // the old one is gone, the step is still there
	d := w.serve(t, next.program(t))
	remembers(t, d, 101)
	signs(t, d, 200)
}

// startsAndStops runs a program until it serves, and has it stop cleanly.
func startsAndStops(t *testing.T, program string, args []string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	var log strings.Builder
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	served := false
	for lines := bufio.NewScanner(io.TeeReader(out, &log)); lines.Scan(); {
		if !served && strings.HasPrefix(lines.Text(), "Secure Signer") {
			served = true
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err != nil || !served {
		t.Fatalf("%v, served %v\n%s", err, served, log.String())
	}
}
