// Package overload_test asks the real daemon for twice as much as it can do.
//
// It checks what package admission promises: the most urgent are served as if
// nothing were wrong; whoever is turned away is told to come back, and nothing
// was recorded of what it asked; whoever hangs up is forgotten; and as soon as
// the load has gone everything is signed again. How long things take is printed
// and not judged.
package overload_test

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

func TestMain(m *testing.M) { os.Exit(daemon.Main(m)) }

// slotTime is how soon everything must be signed again.
const slotTime = 12 * time.Second

func TestTwiceAsMuchAsItCanDo(t *testing.T) {
	daemon.Build(t)
	t.Setenv("GOMAXPROCS", "1") // of the daemon: the load keeps the other processors
	d := daemon.Serve(t, daemon.Init(t, mainnet), "--max-future-epochs", "off", "--new-key-floor", "none")
	keys := interop.Keys(400)
	for begin := 0; begin < len(keys); begin += 100 {
		d.Import(t, keys[begin:begin+100], "")
	}
	c := newCrowd(t, d.URL, keys)

	t.Run("the most urgent are served", func(t *testing.T) { c.urgentAreServed(t) })
	t.Run("what is turned away is not recorded", func(t *testing.T) {
		for try := 1; ; try++ {
			o := c.overload(t, load{percent: [kinds]int{reveal: 95, vote: 5}, patience: 200 * time.Millisecond})
			f := o.figures[vote]
			if enough := f.shed >= 20 && f.gone >= 20; enough {
				c.nothingWasRecorded(t, o.answers, forgotten(d))
				return
			}
			if try == tries {
				t.Fatalf("of %d votes %d were turned away, and %d clients hung up: the test aims badly", f.asked, f.shed, f.gone)
			}
		}
	})
	if code := d.Stop(); code != 0 {
		t.Errorf("exit %d", code)
	}
}

// tries is how often a load is put on if the machine was not fit for it.
const tries = 3

// urgentAreServed has everything asked at once, as when every key registers while
// votes are due. Whatever the machine does beside, the order holds; that no block
// is turned away takes one that does not stand still for seconds.
func (c *crowd) urgentAreServed(t *testing.T) {
	for try := 1; ; try++ {
		o := c.overload(t, load{percent: [kinds]int{block: 5, vote: 25, aggregate: 25, registration: 45}})
		ordered(t, o.midst)
		blocks := o.figures[block]
		aimed := o.midst[registration].shed >= 20 && blocks.asked >= 20
		served := blocks.signed == blocks.asked
		switch slowed := o.perSecond < o.capacity/2; {
		case aimed && served, t.Failed():
			return
		case try < tries:
			t.Logf("the machine was busy with something else, or quicker than it seemed: once more")
		case !aimed:
			t.Fatal("too few registrations were turned away, or blocks asked for: the test aims badly")
		case slowed && os.Getenv("CI") == "":
			t.Skipf("the machine is busy: under load the signer did %.0f/s, and %.0f/s before", o.perSecond, o.capacity)
		default:
			t.Fatalf("%d of %d blocks were signed", blocks.signed, blocks.asked)
		}
	}
}

// An outcome is what came of twice as much as can be done.
type outcome struct {
	capacity  float64 // signed a second, at best, before
	perSecond float64 // under load
	answers   []answer
	figures   [kinds]figure
	midst     [kinds]figure // of what was asked in the midst of the load, and came to an end under it
}

func (c *crowd) overload(t *testing.T, l load) outcome {
	t.Helper()
	const long = 6 * time.Second
	c.best = max(c.best, c.capacity(t)) // if the machine has just paused, the next try knows better
	o := outcome{capacity: c.best}
	began := time.Now()
	o.answers = c.run(t, l, 2*o.capacity, long)
	took, ended := time.Since(began), time.Now()
	o.answers = append(o.answers, c.recover(t)...)
	recovered := time.Since(ended)

	o.figures = figures(t, o.answers)
	o.midst = figures(t, slices.DeleteFunc(slices.Clone(o.answers), func(a answer) bool {
		at := a.began.Sub(began)
		return at < time.Second || at > long-4*time.Second
	}))
	for _, f := range o.figures {
		o.perSecond += float64(f.signed) / took.Seconds()
	}
	c.best = max(c.best, o.perSecond)
	t.Logf("it does %.0f/s, is asked for %.0f/s, and did %.0f/s; %v later every kind was signed again",
		o.capacity, 2*o.capacity, o.perSecond, round(recovered))
	for k, f := range o.figures {
		if l.percent[k] > 0 {
			t.Logf("  %-13v %v; in the midst of it %3.0f %% were turned away", kind(k), f, 100*o.midst[k].shedShare())
		}
	}
	return o
}

// ordered holds what was turned away against the order of urgency.
func ordered(t *testing.T, midst [kinds]figure) {
	t.Helper()
	for k := block; int(k) < kinds-1; k++ {
		if more, less := midst[k].shedShare(), midst[k+1].shedShare(); more > less+0.1 {
			t.Errorf("%.0f %% of all %ss were turned away, and %.0f %% of all %ss, which are less urgent", 100*more, k, 100*less, k+1)
		}
	}
}

// recover waits until a message of every kind is signed, as a client that comes
// back does, and returns every answer.
func (c *crowd) recover(t *testing.T) (answers []answer) {
	t.Helper()
	began := time.Now()
	for k := range kinds {
		for {
			a := c.ask(t.Context(), kind(k), 0)
			answers = append(answers, a)
			if a.status == http.StatusOK {
				break
			}
			if time.Since(began) > slotTime {
				t.Fatalf("%v after the load has ended a %v gets %d %s, %v", slotTime, kind(k), a.status, a.reason, a.err)
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	return answers
}

// A message is what a line of the log is about.
type message struct{ pubkey, target string }

var goneLine = regexp.MustCompile(`kind=ATTESTATION pubkey=(\S+) .*target=(\d+) .*reason=client_gone`)

// forgotten is what the daemon says it dropped because the client hung up.
func forgotten(d *daemon.Daemon) map[message]bool {
	all := map[message]bool{}
	for _, m := range goneLine.FindAllStringSubmatch(d.Log(), -1) {
		all[message{m[1], m[2]}] = true
	}
	return all
}

// nothingWasRecorded asks each key whose last vote was turned away or dropped for
// another vote for the same target. If anything of the first were on record, it
// would be refused.
func (c *crowd) nothingWasRecorded(t *testing.T, answers []answer, dropped map[message]bool) {
	t.Helper()
	last := map[[48]byte]answer{}
	for _, a := range answers {
		if have, ok := last[a.key.Public]; a.kind == vote && (!ok || have.n < a.n) {
			last[a.key.Public] = a
		}
	}
	shed, gone := 0, 0
	for _, a := range last {
		switch {
		case a.reason == "overloaded":
			shed++
		case a.gone && dropped[message{a.key.Hex(), fmt.Sprint(firstEpoch + a.n)}]:
			gone++
		default:
			continue
		}
		if again := c.post(t.Context(), vote, a.key, vote.body(a.key, a.n, 1)); again.status != http.StatusOK {
			t.Errorf("a vote was turned away or dropped, and another for the same target then gets %d %s, %v", again.status, again.reason, again.err)
		}
	}
	t.Logf("of %d votes that were turned away and %d that were dropped nothing was on record", shed, gone)
	if shed < 5 || gone < 5 {
		t.Error("the test aims badly")
	}
}
