package kill_test

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/protolambda/zrnt/eth2/configs"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
	"github.com/secure-signer/secure-signer/test/judge"
)

// A world is what the clients of one data folder know, over all lives of its
// daemon.
type world struct {
	keys  []interop.Key
	lives int             // of the daemon, so far
	next  []atomic.Uint64 // by key: the epoch, also the slot, that is contended for

	mu       sync.Mutex
	evidence map[testimony]bool
	newest   []map[bool]testimony // by key, of votes and of blocks: the highest that was answered
	life     tally                // of this life
	failed   time.Time            // when a request was first told that nothing can be signed
	problems []error
}

// A testimony is a signature that a client has heard.
type testimony struct {
	key int
	ask ask
	sig [96]byte
}

// A tally counts what became of the requests of one life.
type tally struct {
	signed   int
	leaked   int            // signatures in answers that were cut off
	refused  map[string]int // by reason
	unknown  []pending      // sent, and neither signed nor refused
	cutOff   int            // of unknown: not answered at all
	contests int            // pairs of unknown that conflict
}

type pending struct {
	key int
	ask ask
}

func newWorld(keys []interop.Key) *world {
	w := &world{keys: keys, next: make([]atomic.Uint64, len(keys)), evidence: make(map[testimony]bool)}
	for i := range keys {
		w.next[i].Store(beyondTheClock())
		w.newest = append(w.newest, make(map[bool]testimony))
	}
	return w
}

// storm lets two clients contend for every key over so many connections each,
// until the daemon is gone, and returns then.
func (w *world) storm(d *daemon.Daemon, connections int) {
	var running sync.WaitGroup
	for key := range w.keys {
		for c := range 2 * connections {
			variant := 2*w.lives + c%2
			running.Go(func() { w.contend(d, key, variant, rand.New(rand.NewPCG(uint64(w.lives), uint64(c)))) })
		}
	}
	running.Wait()
}

// contend asks as a client of the key that is out of its mind, over one
// connection, until that ends: in turn for a vote, for a block, for a vote that
// surrounds, for what is late, and for what it has been given already.
func (w *world) contend(d *daemon.Daemon, key, variant int, r *rand.Rand) {
	c, err := dial(d)
	if err != nil {
		return // the daemon is gone
	}
	defer c.conn.Close()
	var last ask
	for alive := true; alive; {
		n := w.next[key].Load()
		var a ask
		switch r.IntN(9) {
		case 0, 1, 2:
			a = vote(n-1-r.Uint64N(3), n, variant)
		case 3, 4, 5:
			a = block(n, variant)
		case 6:
			a = vote(n-4, n+1, variant)
		case 7:
			a = vote(n-2, n-1, variant)
		case 8:
			if a = last; last == (ask{}) {
				continue
			}
		}
		var got daemon.Answer
		if got, alive = w.try(c, key, a); got.Status == http.StatusOK {
			last = a
		}
		if r.IntN(4) == 0 {
			w.next[key].CompareAndSwap(n, n+1)
		}
	}
}

// try asks once, and notes what came of it. It reports whether the connection
// still stands.
func (w *world) try(c *client, key int, a ask) (answer daemon.Answer, alive bool) {
	answer, sent, err := c.do(http.MethodPost, "/api/v1/eth2/sign/"+w.keys[key].Hex(), a.body())
	sig, signed := c.leaked(err != nil)
	w.mu.Lock()
	defer w.mu.Unlock()
	if signed {
		w.hear(testimony{key, a, sig})
	}
	switch {
	case !sent:
	case err != nil:
		w.life.cutOff++
		w.life.unknown = append(w.life.unknown, pending{key, a})
		if signed {
			w.life.leaked++
		}
	case answer.Status == http.StatusOK:
		w.life.signed++
		if !signed {
			w.problems = append(w.problems, fmt.Errorf("%v: a signature that is none: %s", a, answer.Body))
		}
	case answer.Status == http.StatusPreconditionFailed && refusals[answer.Reason()]:
		w.life.refused[answer.Reason()]++
	case answer.Status == http.StatusServiceUnavailable:
		if w.failed.IsZero() && answer.Reason() == "store_unavailable" {
			w.failed = time.Now()
		}
		w.life.refused[answer.Reason()]++
		w.life.unknown = append(w.life.unknown, pending{key, a})
	default:
		w.problems = append(w.problems, fmt.Errorf("%v: %d %s", a, answer.Status, answer.Body))
	}
	return answer, err == nil
}

// watch asks the daemon for its health until it is gone, and returns how often it
// said that it can sign, and that it cannot.
func (w *world) watch(d *daemon.Daemon) (up, down int) {
	c, err := dial(d)
	if err != nil {
		return 0, 0
	}
	defer c.conn.Close()
	for {
		asked := time.Now()
		answer, _, err := c.do(http.MethodGet, "/healthcheck", nil)
		if err != nil {
			return up, down
		}
		w.mu.Lock()
		failed := w.failed
		if answer.Status != http.StatusOK {
			down++
		} else if up++; !failed.IsZero() && failed.Before(asked) {
			w.problems = append(w.problems, errors.New("the signer is healthy after a request was told that it cannot sign"))
		}
		w.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
}

// refusals are the reasons for which a message of contend may be refused.
var refusals = map[string]bool{
	"double_block": true, "double_vote": true, "surround_vote": true, "below_watermark": true,
}

// hear keeps a testimony. w.mu is locked.
func (w *world) hear(heard testimony) {
	w.evidence[heard] = true
	if newest, ok := w.newest[heard.key][heard.ask.vote]; !ok || newest.ask.at < heard.ask.at {
		w.newest[heard.key][heard.ask.vote] = heard
	}
}

// begin starts the count of a new life, in which what the last one may have
// signed is contended for once more.
func (w *world) begin() {
	w.lives++
	w.life = tally{refused: make(map[string]int)}
	for i := range w.next {
		w.next[i].Add(^uint64(2))
	}
}

// end returns the count of a life that has ended.
func (w *world) end() tally {
	for i, a := range w.life.unknown {
		for _, b := range w.life.unknown[i+1:] {
			if a.key == b.key && a.ask.conflicts(b.ask) {
				w.life.contests++
			}
		}
	}
	return w.life
}

// remembers asks the next daemon for all that the last one may have promised.
func (w *world) remembers(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	c, err := dial(d)
	if err != nil {
		t.Fatal(err)
	}
	defer c.conn.Close()
	unknown := w.life.unknown
	for key := range w.keys {
		for _, votes := range []bool{true, false} {
			open := slices.DeleteFunc(slices.Clone(unknown), func(p pending) bool { return p.key != key || p.ask.vote != votes })
			if err := w.remembersOne(c, key, votes, open); err != nil {
				t.Errorf("key %d: %v", key, err)
			}
		}
	}
}

// remembersOne looks at the votes or the blocks of a key, of which these requests
// had an unknown outcome. First come messages that conflict with the newest that
// was answered, lest the daemon be reminded of it. Then that one must be signed
// again; if the record has gone on, what it has gone on to must be.
func (w *world) remembersOne(c *client, key int, votes bool, open []pending) error {
	newest, answered := w.newest[key][votes]
	if answered {
		if err := w.refusesRivals(c, newest); err != nil {
			return err
		}
		got, _ := w.try(c, key, newest.ask)
		if got.Status == http.StatusOK {
			return nil
		}
		if got.Reason() != "below_watermark" {
			return fmt.Errorf("%v was answered, and is not signed again: %d %s", newest.ask, got.Status, got.Body)
		}
	}
	open = slices.DeleteFunc(open, func(p pending) bool { return p.ask.at <= newest.ask.at })
	slices.SortFunc(open, func(a, b pending) int { return cmp.Compare(a.ask.at, b.ask.at) })
	for len(open) > 0 {
		end := slices.IndexFunc(open, func(p pending) bool { return p.ask.at > open[0].ask.at })
		if end < 0 {
			end = len(open)
		}
		done, err := w.signsOne(c, key, open[:end])
		if done || err != nil {
			return err
		}
		open = open[end:]
	}
	if answered {
		return fmt.Errorf("%v was answered, and lies below a watermark that nobody asked for", newest.ask)
	}
	return nil
}

// refusesRivals asks for what conflicts with a message that was answered.
func (w *world) refusesRivals(c *client, newest testimony) error {
	const stranger = 1 << 30 // a variant that no client has
	a := newest.ask
	rivals := []ask{{a.vote, a.source, a.at, stranger}}
	if a.vote {
		rivals = append(rivals, vote(a.source-1, a.at+1, stranger))
	}
	for _, rival := range rivals {
		if got, _ := w.try(c, newest.key, rival); got.Status != http.StatusPreconditionFailed {
			return fmt.Errorf("%v was answered, and then for %v: %d %s", a, rival, got.Status, got.Body)
		}
	}
	return nil
}

// signsOne asks for messages of one slot, or one target, whose outcome is
// unknown. If the watermark is there, or was below, exactly one can be signed. It
// returns false if the watermark is above.
func (w *world) signsOne(c *client, key int, open []pending) (done bool, err error) {
	var below int
	signed := make(map[ask]bool)
	for _, p := range open {
		got, _ := w.try(c, key, p.ask)
		if got.Status == http.StatusOK {
			signed[p.ask] = true
		}
		if got.Reason() == "below_watermark" {
			below++
		}
	}
	switch {
	case below == len(open):
		return false, nil
	case len(signed) != 1 || below > 0:
		return true, fmt.Errorf("of %v, whose outcome was unknown, %d are signed and %d lie below the watermark, want 1 and 0", open, len(signed), below)
	}
	return true, nil
}

// judge judges every signature that was heard, a key at a time.
func (w *world) judge(t *testing.T) judge.Verdict {
	t.Helper()
	byKey := make([][]judge.Signed, len(w.keys))
	for heard := range w.evidence {
		signed := judge.Signed{Key: w.keys[heard.key].Public, Request: heard.ask.body(), Signature: heard.sig}
		byKey[heard.key] = append(byKey[heard.key], signed)
	}
	var all judge.Verdict
	var mu sync.Mutex
	var running sync.WaitGroup
	for _, signed := range byKey {
		running.Go(func() {
			v, err := judge.Judge(configs.Mainnet, signed)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				w.problems = append(w.problems, err)
			}
			all.Blocks += v.Blocks
			all.Attestations += v.Attestations
			all.Crimes = append(all.Crimes, v.Crimes...)
		})
	}
	running.Wait()
	for _, crime := range all.Crimes {
		w.problems = append(w.problems, errors.New(crime.String()))
	}
	w.troubled(t)
	return all
}

// troubled tells of the problems that clients have met, and whether there are any.
func (w *world) troubled(t *testing.T) bool {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, problem := range w.problems {
		if i == 10 {
			t.Errorf("and %d more", len(w.problems)-i)
			break
		}
		t.Error(problem)
	}
	return len(w.problems) > 0
}
