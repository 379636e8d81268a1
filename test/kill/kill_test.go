package kill_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

func TestMain(m *testing.M) { os.Exit(daemon.Main(m)) }

// unbound lets a daemon sign for epochs past the clock, with keys that arrive
// without history.
var unbound = []string{"--max-future-epochs", "off", "--new-key-floor", "none"}

const (
	keys        = 8
	connections = 10   // of each of the two clients of a key
	wantUnknown = 50   // requests without an answer when the daemon is killed
	wantRounds  = 0.80 // of all rounds with as many
)

// TestNoKillUnderLoadMakesAConflict kills the daemon with SIGKILL, over and over,
// while two clients of each key ask for conflicting messages.
func TestNoKillUnderLoadMakesAConflict(t *testing.T) {
	rounds := 15
	switch {
	case os.Getenv("SECURE_SIGNER_LONG") != "":
		rounds = 200
	case testing.Short():
		rounds = 6
	}
	w := newWorld(interop.Keys(keys))
	f := folder(t, w.keys)
	var a aim
	d := daemon.Serve(t, f, unbound...)
	for range rounds {
		w.begin()
		var gone sync.WaitGroup
		gone.Go(func() { w.storm(d, connections) })
		w.waitForSigned(t)
		time.Sleep(time.Duration(rand.IntN(150)) * time.Millisecond)
		d.Kill()
		gone.Wait()
		a.add(w.end())

		d = daemon.Serve(t, f, unbound...)
		if strings.Contains(d.Log(), "torn") {
			a.torn++
		}
		w.remembers(t, d)
		if t.Failed() {
			break
		}
	}
	v := w.judge(t)
	t.Logf("%v; judged %d blocks and %d votes: %d conflicts", a, v.Blocks, v.Attestations, len(v.Crimes))
	a.check(t)
}

// An aim is what the rounds hit.
type aim struct {
	rounds, busy, contested, racing, torn int
	cutOff, leaked, signed                int
	refused                               map[string]int
}

func (a *aim) add(life tally) {
	a.rounds++
	if life.cutOff >= wantUnknown {
		a.busy++
	}
	if life.refused["double_vote"]+life.refused["double_block"]+life.refused["surround_vote"] > 0 {
		a.contested++
	}
	if life.contests > 0 {
		a.racing++
	}
	a.cutOff += life.cutOff
	a.leaked += life.leaked
	a.signed += life.signed
	if a.refused == nil {
		a.refused = make(map[string]int)
	}
	for reason, n := range life.refused {
		a.refused[reason] += n
	}
}

func (a aim) String() string {
	return fmt.Sprintf("%d rounds, at the kill in %d of them %d requests or more unanswered (%d on average), in %d some that conflict; "+
		"conflicts attempted in %d; %d signed, %d of them in answers that were cut off; refused %v; %d torn last records",
		a.rounds, a.busy, wantUnknown, a.cutOff/max(1, a.rounds), a.racing, a.contested, a.signed+a.leaked, a.leaked, counts(a.refused), a.torn)
}

func counts(n map[string]int) string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(n)) {
		fmt.Fprintf(&b, "%s %d ", key, n[key])
	}
	return strings.TrimSpace(b.String())
}

// check fails the test if it says little about the moments that matter.
func (a aim) check(t *testing.T) {
	t.Helper()
	if float64(a.busy) < wantRounds*float64(a.rounds) || a.contested < a.rounds {
		t.Errorf("aimed badly: want %d requests or more unanswered in %.0f %% of rounds, and a conflict attempted in each", wantUnknown, 100*wantRounds)
	}
	for _, reason := range []string{"double_vote", "double_block", "surround_vote", "below_watermark"} {
		if a.refused[reason] == 0 {
			t.Errorf("aimed badly: nothing was refused as %s", reason)
		}
	}
}

func (w *world) signed() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.life.signed
}

// folder makes a data folder that holds the keys.
func folder(t *testing.T, keys []interop.Key) daemon.Folder {
	t.Helper()
	f := daemon.Init(t, daemon.Network{Name: "mainnet"})
	d := daemon.Serve(t, f, unbound...)
	d.Import(t, keys, "")
	if code := d.Stop(); code != 0 {
		t.Fatalf("exit %d\n%s", code, d.Log())
	}
	return f
}

// copied is the folder of a daemon that does not run, once more.
func copied(t *testing.T, f daemon.Folder) daemon.Folder {
	t.Helper()
	path := filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(path, os.DirFS(f.Path)); err != nil {
		t.Fatal(err)
	}
	return daemon.Folder{Path: path, Passphrase: f.Passphrase}
}

// waitForSigned waits until there is something to remember.
func (w *world) waitForSigned(t *testing.T) {
	t.Helper()
	const enough = 20
	deadline := time.Now().Add(patience)
	for w.signed() < enough {
		if w.troubled(t) || time.Now().After(deadline) {
			t.Fatalf("not %d messages are signed", enough)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
