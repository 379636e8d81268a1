package horizon_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/protolambda/zrnt/eth2/configs"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
	"github.com/secure-signer/secure-signer/test/judge"
)

const (
	copies  = 3
	clients = 2 // of each copy
)

// A world is one signer of which there are copies.
type world struct {
	t      *testing.T
	chain  chain
	keys   []interop.Key
	flags  []string // of serve
	copies [copies]*copyOf
	old    []saved // folders as they once were

	began time.Time

	mu sync.Mutex // guards what follows
	tally
	lives    []*life
	evidence map[[96]byte]judge.Signed
	refused  map[string]int            // by reason
	signed   map[uint64]map[*life]bool // by epoch: who has signed in it
	owners   map[uint64]map[*life]bool // by epoch: who has said that it owns it
}

// A tally counts what was done to the copies.
type tally struct{ Kills, Stops, OldFolders int }

// A copyOf is one copy of the signer: a folder that is its own, and who runs on it.
type copyOf struct {
	folder daemon.Folder
	left   *life // who left the folder by a clean stop; nil: nobody
	life   atomic.Pointer[life]
}

// A life is one process.
type life struct {
	daemon *daemon.Daemon
	token  string
	copy   int
	heirOf *life // who left the folder that it was started on by a clean stop
}

// saved is a folder as it was while nothing ran on it.
type saved struct {
	path string
	left *life
}

func newWorld(t *testing.T, c chain, f daemon.Folder, flags []string) *world {
	t.Helper()
	w := &world{
		t: t, chain: c, keys: interop.Keys(2), flags: append(flags, "--new-key-floor", "none"), began: time.Now(),
		evidence: make(map[[96]byte]judge.Signed), refused: make(map[string]int),
		signed: make(map[uint64]map[*life]bool), owners: make(map[uint64]map[*life]bool),
	}
	d := daemon.Serve(t, f, w.flags...)
	d.Import(t, w.keys, "")
	d.Kill()
	for i := range w.copies {
		path := filepath.Join(t.TempDir(), "data")
		copyTree(t, f.Path, path)
		w.copies[i] = &copyOf{folder: daemon.Folder{Path: path, Passphrase: f.Passphrase}}
	}
	return w
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if text, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
}

// begin starts the copies and their clients. It returns how to end them.
func (w *world) begin() (end func()) {
	w.t.Helper()
	for i := range w.copies {
		w.start(i)
	}
	done := make(chan struct{})
	var all sync.WaitGroup
	for i, c := range w.copies {
		for n := range clients {
			all.Go(func() { w.ask(c, rand.New(rand.NewPCG(uint64(i), uint64(n))), done) })
		}
		all.Go(func() { w.watch(c, done) })
	}
	return func() {
		close(done)
		all.Wait()
	}
}

func (w *world) start(i int) {
	w.t.Helper()
	c := w.copies[i]
	l := &life{copy: i, heirOf: c.left}
	c.left = nil
	l.daemon = daemon.Serve(w.t, c.folder, w.flags...)
	token, err := os.ReadFile(filepath.Join(c.folder.Path, "api-token.txt"))
	if err != nil {
		w.t.Fatal(err)
	}
	l.token = strings.TrimSpace(string(token))
	w.mu.Lock()
	w.lives = append(w.lives, l)
	w.mu.Unlock()
	c.life.Store(l)
}

// disturb starts a copy that is down, or ends one. Then it sometimes puts an older
// folder in the place of its own, and often starts it again: copies over a TPM that
// never are alone spoil each other's claims, and none signs.
func (w *world) disturb() {
	w.t.Helper()
	time.Sleep(time.Duration(200+rand.IntN(1300)) * time.Millisecond)
	i := rand.IntN(copies)
	c := w.copies[i]
	if c.life.Load() == nil {
		w.start(i)
		return
	}
	w.end(c)
	switch rand.IntN(3) {
	case 0:
		path := filepath.Join(w.t.TempDir(), "data")
		copyTree(w.t, c.folder.Path, path)
		w.old = append(w.old, saved{path, c.left})
	case 1:
		if len(w.old) > 0 {
			w.putBack(c, w.old[rand.IntN(len(w.old))])
		}
	}
	if rand.IntN(3) == 0 || w.quiet() {
		w.start(i)
	}
}

// end kills a copy, or stops it as its operator does.
func (w *world) end(c *copyOf) {
	w.t.Helper()
	l := c.life.Swap(nil)
	if rand.IntN(3) > 0 {
		l.daemon.Kill()
		w.Kills++
		return
	}
	if code := l.daemon.Stop(); code != 0 {
		w.t.Errorf("exit %d\n%s", code, l.daemon.Log())
	}
	c.left = l
	w.Stops++
}

func (w *world) putBack(c *copyOf, s saved) {
	w.t.Helper()
	if err := os.RemoveAll(c.folder.Path); err != nil {
		w.t.Fatal(err)
	}
	copyTree(w.t, s.path, c.folder.Path)
	c.left = s.left
	w.OldFolders++
}

// tested tells whether enough has happened.
func (w *world) tested() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.owners) >= 2 && len(w.evidence) >= 10 && w.refused["horizon_not_owned"] >= 10 && w.Kills > 0
}

// quiet tells whether no copy runs.
func (w *world) quiet() bool {
	for _, c := range w.copies {
		if c.life.Load() != nil {
			return false
		}
	}
	return true
}

// ask asks one copy for this and that, as long as it is there.
func (w *world) ask(c *copyOf, r *rand.Rand, done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case <-time.After(time.Duration(r.IntN(60)) * time.Millisecond):
		}
		l := c.life.Load()
		if l == nil {
			continue
		}
		key, d := w.keys[r.IntN(len(w.keys))], w.chain.duty(r)
		answer, err := l.daemon.Sign(key.Public, []byte(d.body))
		if err == nil {
			w.hear(l, key, d, answer)
		}
	}
}

func (w *world) hear(l *life, key interop.Key, d duty, answer daemon.Answer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if answer.Status != http.StatusOK {
		w.refused[answer.Reason()]++
		return
	}
	text, err := answer.Signature()
	if err != nil {
		w.t.Error(err)
		return
	}
	s := judge.Signed{Key: key.Public, Request: []byte(d.body)}
	if _, err := hex.Decode(s.Signature[:], []byte(strings.TrimPrefix(text, "0x"))); err != nil {
		w.t.Error(err)
		return
	}
	w.evidence[s.Signature] = s
	note(w.signed, d.epoch, l)
}

func note(by map[uint64]map[*life]bool, epoch uint64, l *life) {
	if by[epoch] == nil {
		by[epoch] = make(map[*life]bool)
	}
	by[epoch][l] = true
}

// watch asks one copy what it owns.
func (w *world) watch(c *copyOf, done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case <-time.After(150 * time.Millisecond):
		}
		l := c.life.Load()
		if l == nil {
			continue
		}
		first, last, ok := l.tenure()
		if !ok {
			continue
		}
		w.mu.Lock()
		for e := first; e <= last; e++ {
			note(w.owners, e, l)
		}
		w.mu.Unlock()
	}
}

// tenure is what the process says that it owns.
func (l *life) tenure() (first, last uint64, ok bool) {
	r, err := http.NewRequest(http.MethodGet, l.daemon.URL+"/signer/v1/status", http.NoBody)
	if err != nil {
		return 0, 0, false
	}
	r.Header.Set("Authorization", "Bearer "+l.token)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, 0, false
	}
	defer response.Body.Close()
	var status struct {
		Horizon struct {
			First string `json:"first_epoch"`
			Last  string `json:"last_epoch"`
		}
	}
	if json.NewDecoder(response.Body).Decode(&status) != nil || status.Horizon.First == "" {
		return 0, 0, false
	}
	first, err = strconv.ParseUint(status.Horizon.First, 10, 64)
	if err != nil {
		return 0, 0, false
	}
	last, err = strconv.ParseUint(status.Horizon.Last, 10, 64)
	return first, last, err == nil
}

// judge returns what can be held against the signer.
func (w *world) judge(t *testing.T) judge.Verdict {
	t.Helper()
	v, err := judge.Judge(configs.Minimal, slices.Collect(maps.Values(w.evidence)))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// usurpers looks at who owned an epoch, or signed in it: each but the first must be
// the heir of the one before, and so nobody else's.
func (w *world) usurpers() (found []string) {
	for _, by := range []map[uint64]map[*life]bool{w.owners, w.signed} {
		for epoch, owners := range by {
			var before *life
			for i, l := range w.lives { // in the order in which they began
				if !owners[l] {
					continue
				}
				if before != nil && l.heirOf != before {
					found = append(found, fmt.Sprintf("epoch %d was owned by copy %d, and then by copy %d in life %d, which is not its heir\n%s\n%s",
						epoch, before.copy, l.copy, i, before.daemon.Log(), l.daemon.Log()))
				}
				before = l
			}
		}
	}
	return found
}

func (w *world) report(t *testing.T, v judge.Verdict) {
	t.Helper()
	t.Logf("%v: %d lives of %d copies: %+v; %d blocks and %d votes signed in %d epochs, of which %d by more than one life; refused %v",
		time.Since(w.began).Round(time.Second), len(w.lives), copies, w.tally, v.Blocks, v.Attestations, len(w.signed), shared(w.signed), w.refused)
}

func shared(by map[uint64]map[*life]bool) (n int) {
	for _, owners := range by {
		if len(owners) > 1 {
			n++
		}
	}
	return n
}

// duration is a short time, or a long one where that is asked for.
func duration(short time.Duration) time.Duration {
	if os.Getenv("SECURE_SIGNER_LONG") != "" {
		return 20 * time.Minute
	}
	return short
}
