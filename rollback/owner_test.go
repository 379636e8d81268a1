package rollback_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/secure-signer/secure-signer/rollback"
)

// A machine is what outlives a copy of the signer: two counters, a disk, and what
// its record of signatures is called.
type machine struct {
	epochs, stops cell
	memos         memory
	head          byte
}

func newMachine(epoch uint64) *machine { return &machine{epochs: cell{n: epoch}} }

func (m *machine) config() rollback.Config {
	return rollback.Config{
		Epochs: rollback.Exclusive(&m.epochs), Stops: rollback.Exclusive(&m.stops), Memos: &m.memos,
		Head: func() [32]byte { return [32]byte{m.head} },
	}
}

func (m *machine) start(t testing.TB) *rollback.Owner {
	t.Helper()
	o, err := rollback.Start(t.Context(), m.config())
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// A cell is a Register with fault knobs.
type cell struct {
	n                uint64
	failButIncrement bool
	failAndStay      bool
}

var errCell = errors.New("the counter does not answer")

func (c *cell) Read(context.Context) (uint64, error) { return c.n, nil }

func (c *cell) Increment(context.Context) error {
	if c.failAndStay {
		return errCell
	}
	c.n++
	if c.failButIncrement {
		return errCell
	}
	return nil
}

type memory struct {
	memo *rollback.Memo
	err  error
}

func (m *memory) Load(context.Context) (*rollback.Memo, error) { return m.memo, nil }

func (m *memory) Save(_ context.Context, memo rollback.Memo) error {
	if m.err == nil {
		m.memo = &memo
	}
	return m.err
}

func claim(t testing.TB, o *rollback.Owner, upTo uint64) {
	t.Helper()
	if err := o.Claim(t.Context(), upTo); err != nil {
		t.Fatal(err)
	}
}

// attest votes, and returns why it may not.
func attest(t *testing.T, o *rollback.Owner, source, target uint64) error {
	t.Helper()
	recorded, err := o.Attest(t.Context(), source, target)
	if err == nil {
		recorded()
	}
	return err
}

func propose(t *testing.T, o *rollback.Owner, epoch uint64) error {
	t.Helper()
	recorded, err := o.Propose(t.Context(), epoch)
	if err == nil {
		recorded()
	}
	return err
}

func want(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestACopySignsOnlyInEpochsThatItHasClaimed(t *testing.T) {
	o := newMachine(10).start(t)
	want(t, "a vote before any claim", attest(t, o, 9, 10), rollback.ErrNotOwned)
	want(t, "a block before any claim", propose(t, o, 10), rollback.ErrNotOwned)
	claim(t, o, 12)
	want(t, "a vote in the epoch of another copy", attest(t, o, 9, 10), rollback.ErrNotOwned)
	want(t, "a vote in the first epoch", attest(t, o, 10, 11), nil)
	want(t, "a vote in the last epoch", attest(t, o, 11, 12), nil)
	want(t, "a block in the last epoch", propose(t, o, 12), nil)
	want(t, "a vote in the next epoch", attest(t, o, 12, 13), rollback.ErrNotOwned)
	want(t, "a block in the next epoch", propose(t, o, 13), rollback.ErrNotOwned)
}

func TestAnOwnerTellsWhatItOwns(t *testing.T) {
	o := newMachine(10).start(t)
	if tenure, owning := o.Tenure(); owning || tenure.Last != 10 || tenure.SourceFloor != 9 {
		t.Errorf("before a claim: %+v, owning: %t", tenure, owning)
	}
	claim(t, o, 12)
	if tenure, owning := o.Tenure(); !owning || tenure.First != 11 || tenure.Last != 12 || tenure.SourceFloor != 9 {
		t.Errorf("after two claims: %+v, owning: %t", tenure, owning)
	}
	if err := o.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, owning := o.Tenure(); owning {
		t.Error("a copy that has stopped owns something")
	}
}

func TestTheFirstEpochOfAChainIsVotedInFromItself(t *testing.T) {
	m := newMachine(0)
	o := m.start(t)
	claim(t, o, 1)
	want(t, "from 0 to 1", attest(t, o, 0, 1), nil)
	want(t, "from 1 to 1", attest(t, o, 1, 1), rollback.ErrSource)
	want(t, "from 2 to 1", attest(t, o, 2, 1), rollback.ErrSource)
}

func TestACopyThatCrashedWaitsForTheNextEpoch(t *testing.T) {
	m := newMachine(10)
	o := m.start(t)
	claim(t, o, 11)
	want(t, "a vote", attest(t, o, 10, 11), nil)

	o = m.start(t) // the first is killed
	want(t, "a vote in the epoch of the crash", attest(t, o, 10, 11), rollback.ErrNotOwned)
	claim(t, o, 12)
	want(t, "a vote from before the last source", attest(t, o, 9, 12), rollback.ErrSource)
	want(t, "a vote in the next epoch", attest(t, o, 10, 12), nil)
}

// TestACrashDoesNotSilenceASignerWhileTheChainDoesNotFinalise: the source floor of
// the epoch before would refuse every vote until the chain finalises.
func TestACrashDoesNotSilenceASignerWhileTheChainDoesNotFinalise(t *testing.T) {
	m := newMachine(100)
	m.memos.memo = &rollback.Memo{Tenure: rollback.Tenure{First: 90, Last: 100, SourceFloor: 5, Ceiling: 7, Sealed: true}}
	o := m.start(t)
	claim(t, o, 101)
	want(t, "a vote from before the sealed ceiling", attest(t, o, 6, 101), rollback.ErrSource)
	want(t, "a vote from the sealed ceiling", attest(t, o, 7, 101), nil)

	o = m.start(t)
	claim(t, o, 102)
	want(t, "after the second crash", attest(t, o, 7, 102), nil)
}

func TestTheCeilingOfAnotherEpochIsOfNoUse(t *testing.T) {
	m := newMachine(100)
	m.memos.memo = &rollback.Memo{Tenure: rollback.Tenure{First: 90, Last: 99, Ceiling: 7, Sealed: true}}
	o := m.start(t)
	claim(t, o, 101)
	want(t, "a vote from the ceiling", attest(t, o, 7, 101), rollback.ErrSource)
	want(t, "a vote from the epoch before", attest(t, o, 99, 101), nil)
}

func TestACleanStopLosesNothing(t *testing.T) {
	m := newMachine(10)
	o := m.start(t)
	claim(t, o, 12)
	want(t, "a vote", attest(t, o, 10, 11), nil)
	if err := o.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(t, "a vote after the stop", attest(t, o, 11, 12), rollback.ErrStopped)
	want(t, "a block after the stop", propose(t, o, 12), rollback.ErrStopped)
	want(t, "a claim after the stop", o.Claim(t.Context(), 13), rollback.ErrStopped)
	want(t, "another stop", o.Stop(t.Context()), rollback.ErrStopped)

	heir := m.start(t)
	want(t, "a vote of the heir in an epoch before the stop", attest(t, heir, 10, 11), nil)
	want(t, "a vote of the heir in the last epoch", attest(t, heir, 11, 12), nil)

	second := m.start(t)
	want(t, "a vote of a second heir", attest(t, second, 11, 12), rollback.ErrNotOwned)
}

func TestWhoHasAnotherRecordOfSignaturesInheritsNothing(t *testing.T) {
	m := newMachine(10)
	o := m.start(t)
	claim(t, o, 11)
	if err := o.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.head++
	want(t, "a vote", attest(t, m.start(t), 10, 11), rollback.ErrNotOwned)
}

func TestAStopThatWasNotCountedLeavesNoHeir(t *testing.T) {
	for name, fail := range map[string]func(*machine){
		"the memo is not saved":     func(m *machine) { m.memos.err = errCell },
		"the counter does not move": func(m *machine) { m.stops.failAndStay = true },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(10)
			o := m.start(t)
			claim(t, o, 11)
			fail(m)
			want(t, "the stop", o.Stop(t.Context()), errCell)
			m.memos.err, m.stops.failAndStay = nil, false
			want(t, "a vote of the next copy", attest(t, m.start(t), 10, 11), rollback.ErrNotOwned)
		})
	}
}

func TestWhoOwnsNothingLeavesNothing(t *testing.T) {
	m := newMachine(10)
	if err := m.start(t).Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if m.stops.n != 0 || m.memos.memo != nil {
		t.Errorf("a copy that owned nothing has left %+v and moved the counter to %d", m.memos.memo, m.stops.n)
	}
}

// TestAStopWaitsForWhatIsInFlight: a vote that was allowed and not recorded yet
// would be missing from the record that the heir goes on with.
func TestAStopWaitsForWhatIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(10)
		o := m.start(t)
		claim(t, o, 11)
		recorded, err := o.Attest(t.Context(), 10, 11)
		if err != nil {
			t.Fatal(err)
		}
		var stopping sync.WaitGroup
		stopping.Go(func() {
			if err := o.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		if m.stops.n != 0 {
			t.Error("the stop was counted while a vote was not recorded yet")
		}
		m.head++ // by that vote
		recorded()
		stopping.Wait()
		want(t, "a vote of the heir", attest(t, m.start(t), 10, 11), nil)
	})
}

func TestALostAnswerOwnsNothing(t *testing.T) {
	m := newMachine(10)
	o := m.start(t)
	m.epochs.failButIncrement = true
	want(t, "the claim", o.Claim(t.Context(), 11), errCell)
	want(t, "a vote", attest(t, o, 10, 11), rollback.ErrNotOwned)
	m.epochs.failButIncrement = false
	claim(t, o, 12)
	want(t, "a vote in the epoch that may be another copy's", attest(t, o, 10, 11), rollback.ErrNotOwned)
	want(t, "a vote that might surround another copy's", attest(t, o, 9, 12), rollback.ErrSource)
	want(t, "a vote in the epoch after it", attest(t, o, 10, 12), nil)
}

func TestACounterThatFallsStopsTheSignerForGood(t *testing.T) {
	m := newMachine(10)
	o := m.start(t)
	claim(t, o, 12)
	m.epochs.n = 11
	want(t, "a claim", o.Claim(t.Context(), 13), rollback.ErrStopped)
	m.epochs.n = 12
	want(t, "a vote", attest(t, o, 11, 12), rollback.ErrStopped)
	err := o.Claim(t.Context(), 13)
	want(t, "a claim when it is back", err, rollback.ErrStopped)
	if err != nil && !strings.Contains(err.Error(), "epoch 12 was claimed") {
		t.Errorf("why nothing is signed any more is forgotten: %v", err)
	}
}

func TestACounterThatFellBetweenTwoLivesIsRefused(t *testing.T) {
	m := newMachine(10)
	o := m.start(t)
	claim(t, o, 12)
	want(t, "a vote", attest(t, o, 11, 12), nil)
	want(t, "the stop", o.Stop(t.Context()), nil)
	m.epochs.n = 11 // another copy may claim epoch 12 anew
	_, err := rollback.Start(t.Context(), m.config())
	want(t, "the next start", err, rollback.ErrStopped)
}

func TestNoVoteIsCastBeforeItsCeilingIsDurable(t *testing.T) {
	m := newMachine(10)
	o := m.start(t)
	claim(t, o, 11)
	m.memos.err = errCell
	want(t, "a vote", attest(t, o, 10, 11), errCell)
	want(t, "a block", propose(t, o, 11), nil)
	m.memos.err = nil
	want(t, "the vote again", attest(t, o, 10, 11), nil)
	if m.memos.memo == nil || !m.memos.memo.Tenure.Sealed {
		t.Errorf("a vote was cast under the memo %+v", m.memos.memo)
	}
}

func TestAnExclusiveCounterMovesByOneOrNotAtAll(t *testing.T) {
	for name, test := range map[string]struct {
		at, to uint64
		moved  bool
	}{
		"from the one before": {10, 11, true},
		"from two before":     {9, 11, false},
		"from there":          {11, 11, false},
		"backwards":           {12, 11, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := cell{n: test.at}
			if err := rollback.Exclusive(&c).Advance(t.Context(), test.to); (err == nil) != test.moved {
				t.Errorf("moved from %d to %d: %v", test.at, test.to, err)
			}
			if !test.moved && c.n != test.at {
				t.Errorf("a refused move has left it at %d", c.n)
			}
		})
	}
}

// BenchmarkAVoteInAnOwnedEpoch is what a horizon adds to each vote but the first.
func BenchmarkAVoteInAnOwnedEpoch(b *testing.B) {
	o := newMachine(10).start(b)
	claim(b, o, 11)
	for b.Loop() {
		recorded, err := o.Attest(b.Context(), 10, 11)
		if err != nil {
			b.Fatal(err)
		}
		recorded()
	}
}
