package crash_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/secure-signer/secure-signer/test/crash"
	"github.com/secure-signer/secure-signer/test/mutant"
)

const workload = "github.com/secure-signer/secure-signer/test/crash/workload"

// TestNoCrashLosesARecord cuts the power of a busy journal at random moments.
func TestNoCrashLosesARecord(t *testing.T) {
	states, opens := 1000, 6
	switch {
	case os.Getenv("SECURE_SIGNER_LONG") != "":
		states = 20_000
	case testing.Short():
		states, opens = 300, 3
	}
	h := trace(t, mutant.Build(t, workload), opens, 60)
	failures, aim := crashes(t, h, states)
	for i, err := range failures {
		if i == 10 {
			t.Errorf("and %d more", len(failures)-i)
			break
		}
		t.Error(err)
	}
	t.Logf("%d states: %d lost, invented or failed to open; %s", states, len(failures), aim)
	aim.check(t)
}

// trace runs the workload under strace, in a folder on a real disk.
func trace(t *testing.T, program string, opens, changes int) *crash.History {
	t.Helper()
	needStrace(t)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	folder, file := filepath.Join(dir, "journal"), filepath.Join(dir, "trace")
	run := crash.Strace(file, program, folder, fmt.Sprint(opens), fmt.Sprint(changes))
	run.Stderr = os.Stderr
	if err := run.Run(); err != nil {
		t.Fatalf("workload under strace: %v", err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	calls, err := crash.ReadTrace(f)
	if err != nil {
		t.Fatal(err)
	}
	h, err := crash.NewHistory(calls, folder)
	if err != nil {
		t.Fatal(err)
	}
	wantFolder(t, folder, h.Final())
	return h
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

// wantFolder compares what the trace says that the program left with what it left.
func wantFolder(t *testing.T, folder string, want map[string][]byte) {
	t.Helper()
	got := make(map[string][]byte)
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		path := filepath.Join(folder, e.Name())
		if got[path], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	if !maps.EqualFunc(got, want, bytes.Equal) {
		t.Fatalf("the trace misses a change of a file: it has %d of %d files, or other contents", len(want), len(got))
	}
}

// aim counts what the cuts hit.
type aim struct{ states, torn, moving, unsettled, extra int }

func (a aim) String() string {
	return fmt.Sprintf("cut inside a write or before its fsync %d, during a snapshot or rename %d; opened unsettled %d, with more than promised %d",
		a.torn, a.moving, a.unsettled, a.extra)
}

// check fails the test if it says little about the moments that matter.
func (a aim) check(t *testing.T) {
	t.Helper()
	if a.torn*100 < a.states*30 || a.moving*100 < a.states*10 || a.unsettled == 0 || a.extra == 0 {
		t.Error("aimed badly: want 30 % inside a write or before its fsync, 10 % during a snapshot or rename, and some of the others")
	}
}

// crashes opens what the journal's disk may hold after so many crashes.
func crashes(t *testing.T, h *crash.History, states int) (failures []error, a aim) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	const workers = 2
	for first := range workers {
		wg.Go(func() {
			for i := first; i < states; i += workers {
				r := rand.New(rand.NewPCG(1, uint64(i)))
				cut := pick(h, i, r)
				out, err := crashAt(t, h, cut, r)
				if err == nil && out.Unsettled && !h.Torn(cut) {
					err = errors.New("unsettled, although nothing was torn")
				}
				mu.Lock()
				a.states++
				a.torn += count(h.Torn(cut))
				a.moving += count(h.Moving(cut))
				a.unsettled += count(out.Unsettled)
				a.extra += count(out.Extra > 0)
				if err != nil {
					failures = append(failures, fmt.Errorf("state %d, cut %d of %d: %w", i, cut, h.End, err))
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return failures, a
}

// pick returns a moment. Of five, one is during a snapshot or rename, which are
// rare, and two are where something is torn.
func pick(h *crash.History, i int, r *rand.Rand) int {
	for {
		cut := 1 + r.IntN(h.End)
		switch {
		case i%5 == 0 && !h.Moving(cut), i%5 < 3 && i%5 > 0 && !h.Torn(cut):
			continue
		}
		return cut
	}
}

// crashAt uses a folder in memory where there is one: what is tested is what the
// journal makes of it, not whether this disk is any good.
func crashAt(t *testing.T, h *crash.History, cut int, r *rand.Rand) (crash.Outcome, error) {
	memory := "/dev/shm"
	if _, err := os.Stat(memory); err != nil {
		memory = ""
	}
	dir, err := os.MkdirTemp(memory, "crash")
	if err != nil {
		return crash.Outcome{}, err
	}
	defer os.RemoveAll(dir)
	if err := crash.Write(dir, h.State(cut, r)); err != nil {
		return crash.Outcome{}, err
	}
	return h.Expect(cut).Recover(t.Context(), dir)
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}
