package hostile

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/judge"
)

func TestMain(m *testing.M) { os.Exit(daemon.Main(m)) }

func long() bool { return os.Getenv("SECURE_SIGNER_LONG") != "" }

// maxMemory bounds what the daemon takes at its peak, in MiB: two bodies of the
// greatest size and what is decoded from them, hundreds of connections, and the
// garbage of all that. Its start alone takes 150, for the passphrase.
const maxMemory = 384

func TestHostileTraffic(t *testing.T) {
	t.Parallel()
	mutations, rounds := 10_000, 1
	if long() {
		mutations, rounds = 100_000, 10
	}
	w := newWorld(t)
	seeds := made(w.keys[:attacked], w.token)
	others := shared(t, w.keys[:attacked])
	seeds = append(slices.Repeat(seeds, 1+len(others)/len(seeds)), others...) // half and half
	before := w.reading(t)

	attack, over := context.WithCancel(t.Context())
	var good served
	honestDone := w.serve(attack, &good)
	stalled := w.stall(attack)
	floods := w.floods(attack)
	slowCut := time.After(15 * time.Second) // the signer waits ten for headers

	began := time.Now()
	hits := w.mutate(t, seeds, mutations)
	mutated := time.Since(began)
	exploded := w.explode(t, rounds)
	endless := w.endless(t)
	<-slowCut
	over()
	flooded := floods()
	cut := stalled()
	honestDone()

	verdict := w.unharmed(t, before, &good)
	if endless != "413 body_too_large" {
		t.Errorf("a body without an end: %s", endless)
	}
	hits.check(t, mutations)
	if hits.again > mutations/50 {
		t.Errorf("%d connections gave way before they were answered", hits.again)
	}
	aimed(t, "cut off", cut, map[string]int{"slow headers": slowConnections, "half-closed ones": slowConnections, "silent ones": 1})
	aimed(t, "bombs", exploded, map[string]int{"400 malformed_request": 10 * rounds})
	if flooded < 3*room || verdict.Attestations == 0 || verdict.Blocks == 0 {
		t.Error("aimed badly: too few connections or signatures")
	}
	t.Logf("%d mutations in %v: %s", mutations, mutated.Round(time.Second), list(hits.kinds))
	t.Logf("answers: %s; %d sent again after their connection gave way", list(hits.labels), hits.again)
	t.Logf("bombs: %s; without an end: %s", list(exploded), endless)
	t.Logf("cut off of %d each: %s; %d connections in floods", slowConnections, list(cut), flooded)
}

// unharmed stops the daemon after an attack and checks that it took no harm, and
// that its honest clients did not either.
func (w *world) unharmed(t *testing.T, before reading, good *served) judge.Verdict {
	t.Helper()
	peak := w.memory(t, "VmHWM")
	after := w.settles(t, before)
	rest := w.memory(t, "VmRSS")
	verdict := w.judge(t)
	if code := w.d.Stop(); code != 0 {
		t.Errorf("it stops with exit %d", code)
	}
	checkLog(t, w.d.Log())
	for _, failure := range good.failures {
		t.Errorf("an honest client was not served within a slot: %s", failure)
	}
	if good.duties < 50 {
		t.Errorf("aimed badly: %d duties of honest clients", good.duties)
	}
	if peak > maxMemory {
		t.Errorf("%d MiB at the peak, want at most %d", peak, maxMemory)
	}
	t.Logf("%v", good)
	t.Logf("judged: %d attestations, %d blocks, %d others; %d conflicts", verdict.Attestations, verdict.Blocks, verdict.Others, len(verdict.Crimes))
	t.Logf("goroutines %d → %d, descriptors %d → %d, memory at the peak %d MiB, afterwards %d MiB",
		before.goroutines, after.goroutines, before.descriptors, after.descriptors, peak, rest)
	return verdict
}

// hits count what was sent and what came back.
type hits struct {
	mu     sync.Mutex
	kinds  map[string]int
	labels map[string]int
	again  int // sent again after a connection gave way
}

func (h *hits) sentAgain(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.again += n
}

func (h *hits) count(kind string, answers []answer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.kinds[kind]++
	for _, a := range answers {
		h.labels[a.label]++
	}
}

// check fails the test if the attack hardly reached what it aims at.
func (h *hits) check(t *testing.T, mutations int) {
	t.Helper()
	want := map[string]int{}
	for _, k := range kinds() {
		want[k.name] = mutations / len(kinds()) * 9 / 10
	}
	aimed(t, "mutations", h.kinds, want)
	aimed(t, "answers", h.labels, map[string]int{
		"200": mutations / 20, "400 malformed_request": mutations / 10, "412 double_vote": 5, "412 double_block": 5, "412 below_watermark": 1, "412 foreign_chain": 5, "412 too_far_future": 1,
		"400 signing_root_mismatch": 10, "400 unknown_fork": 5, "401 unauthorized": 10, "403 cross_origin": 5, "403 forbidden": 5, "404 key_not_found": mutations / 100,
		"404 no_such_route": mutations / 100, "405 method_not_allowed": mutations / 100, "400 of the library": mutations / 100, "431 of the library": 5,
	})
}

func aimed(t *testing.T, what string, got, want map[string]int) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] < want[name] {
			t.Errorf("aimed badly: %s: %d of %q, want %d", what, got[name], name, want[name])
		}
	}
}

func list(counts map[string]int) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(&b, ", %s %d", name, counts[name])
	}
	return strings.TrimPrefix(b.String(), ", ")
}

// maxFailures is how many broken promises are shown.
const maxFailures = 10

// mutate sends n mutations over several connections, every kind in turn. Number
// i is always the same.
func (w *world) mutate(t *testing.T, seeds []seed, n int) *hits {
	const attackers = 8
	h := &hits{kinds: map[string]int{}, labels: map[string]int{}}
	ways := kinds()
	var next, failed atomic.Int64
	var all sync.WaitGroup
	for range attackers {
		all.Go(func() {
			c := wire{address: w.address, contract: w.contract}
			defer func() { h.sentAgain(c.gaveWay) }()
			defer c.hangUp()
			for {
				i := int(next.Add(1)) - 1
				if i >= n || failed.Load() >= maxFailures {
					return
				}
				way := ways[i%len(ways)]
				a := way.make(rand.New(rand.NewPCG(1, uint64(i))), seeds)
				answers, err := c.try(a)
				if err == nil {
					err = w.keepAnswers(a, answers)
				}
				if err != nil {
					failed.Add(1)
					t.Errorf("mutation %d, %s: %v\nsent: %.600q", i, way.name, err, a.raw)
				}
				h.count(way.name, answers)
			}
		})
	}
	all.Wait()
	return h
}

// keepAnswers remembers signatures for the judge. What asks for none must get
// none.
func (w *world) keepAnswers(a attempt, answers []answer) error {
	for i, got := range answers {
		switch {
		case got.signature == "" || a.broken: // nothing that could conflict
		case a.asked[i].kind == "":
			return fmt.Errorf("%w: signed, and nobody asked", errContract)
		default:
			w.keep(a.asked[i].key, a.asked[i].body, got.signature)
		}
	}
	return nil
}

// logLine is a line of the log that nobody has forged and that tells of no
// fault: what clients send is refused with a warning.
var logLine = regexp.MustCompile(`^time=\S+ level=(DEBUG|INFO|WARN) msg=`)

func checkLog(t *testing.T, text string) {
	t.Helper()
	shown := 0
	for line := range strings.Lines(text) {
		if (!logLine.MatchString(line) || strings.Contains(line, "panic serving")) && shown < maxFailures {
			shown++
			t.Errorf("in the log: %.2000s", line)
		}
	}
}
