package slashing_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/secure-signer/secure-signer/record"
	"github.com/secure-signer/secure-signer/record/memory"
	"github.com/secure-signer/secure-signer/slashing"
)

// title is the Epochs of a test: it owns everything, or refuses with err. It notes
// what it was asked, and how often it was told that a record is durable.
type title struct {
	err             error
	asked           []string
	granted, closed int
}

func (e *title) ask(what string) (func(), error) {
	e.asked = append(e.asked, what)
	if e.err != nil {
		return nil, e.err
	}
	e.granted++
	return func() { e.closed++ }, nil
}

func (e *title) Propose(_ context.Context, epoch uint64) (func(), error) {
	return e.ask(fmt.Sprintf("a block in %d", epoch))
}

func (e *title) Attest(_ context.Context, source, target uint64) (func(), error) {
	return e.ask(fmt.Sprintf("a vote from %d to %d", source, target))
}

// watched is a store that may be used only between the answer of the title and
// the moment at which it is told that the record is durable.
type watched struct {
	record.Store
	title  *title
	early  int // uses outside of that
	writes int
	before func() error // what a write does first
}

func (w *watched) use() {
	if w.title.granted != w.title.closed+1 {
		w.early++
	}
}

func (w *watched) Load(ctx context.Context, key record.Key) (record.Record, error) {
	w.use()
	return w.Store.Load(ctx, key)
}

func (w *watched) Replace(ctx context.Context, key record.Key, old record.Version, value []byte) error {
	w.use()
	w.writes++
	if w.before != nil {
		if err := w.before(); err != nil {
			return err
		}
	}
	err := w.Store.Replace(ctx, key, old, value)
	w.use()
	return err
}

// newWatched returns a guard with key(0) and key(1) over a store that watches its
// title.
func newWatched(t *testing.T) (*slashing.Guard, *watched) {
	t.Helper()
	_, store := newGuard(t, 2)
	w := &watched{Store: store, title: &title{}}
	return slashing.New(w, slashing.Config{Network: timeless(), Epochs: w.title}), w
}

func TestTheEpochIsOwnedUntilTheRecordIsDurableOrNothingIsSigned(t *testing.T) {
	broken := errors.New("input/output error")
	for name, test := range map[string]struct {
		before  func(*watched) func() error
		ask     []message
		pub     byte
		asked   string // the last question
		reason  string
		err     error
		written int
	}{
		"a block is recorded":      {ask: []message{block(33, 1)}, asked: "a block in 4", written: 1},
		"a vote is recorded":       {ask: []message{vote(3, 4, 1)}, asked: "a vote from 3 to 4", written: 1},
		"a retry is asked anew":    {ask: []message{vote(3, 4, 1), vote(3, 4, 1)}, asked: "a vote from 3 to 4", written: 2},
		"the rule refuses":         {ask: []message{block(33, 1), block(33, 2)}, asked: "a block in 4", reason: "double_block", written: 1},
		"the key is not on record": {ask: []message{block(33, 1)}, pub: 7, asked: "a block in 4", reason: "no_record"},
		"the store fails": {
			before: func(*watched) func() error { return func() error { return broken } },
			ask:    []message{vote(3, 4, 1)}, asked: "a vote from 3 to 4", err: broken, written: 1,
		},
		"another change comes first": {
			before: func(w *watched) func() error {
				return func() error {
					w.before = nil
					return vote(2, 3, 1).record(slashing.New(w.Store, slashing.Config{Network: timeless()}), key(0))
				}
			},
			ask: []message{vote(3, 4, 1)}, asked: "a vote from 3 to 4", written: 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			g, w := newWatched(t)
			if test.before != nil {
				w.before = test.before(w)
			}
			var err error
			for _, m := range test.ask {
				err = m.record(g, key(test.pub))
			}
			switch {
			case test.err != nil:
				if !errors.Is(err, test.err) {
					t.Errorf("got %v, want %v", err, test.err)
				}
			case reasonOf(t, err) != test.reason:
				t.Errorf("got %v, want reason %q", err, test.reason)
			}
			if n := len(w.title.asked); n != len(test.ask) || w.title.asked[n-1] != test.asked {
				t.Errorf("asked %q, want %q at the end", w.title.asked, test.asked)
			}
			if w.title.granted != len(test.ask) || w.title.closed != w.title.granted {
				t.Errorf("%d of %d answers were closed", w.title.closed, w.title.granted)
			}
			if w.early != 0 || w.writes != test.written {
				t.Errorf("%d uses of the store outside of an owned epoch, %d writes, want %d", w.early, w.writes, test.written)
			}
		})
	}
}

func TestAPanicOfTheStoreLeavesNoAnswerOpen(t *testing.T) {
	g, w := newWatched(t)
	w.before = func() error { panic("broken store") }
	func() {
		defer func() { _ = recover() }()
		_ = vote(3, 4, 1).record(g, key(0))
	}()
	if w.writes != 1 || w.title.closed != 1 {
		t.Errorf("%d writes, %d answers closed", w.writes, w.title.closed)
	}
}

// reasoned is an error that knows its reason.
type reasoned string

func (r reasoned) Error() string  { return "not ours: " + string(r) }
func (r reasoned) Reason() string { return string(r) }

func TestNothingIsReadOrWrittenInAnEpochOfAnotherCopy(t *testing.T) {
	for _, m := range []message{block(33, 1), vote(3, 4, 1)} {
		_, inner := newGuard(t, 1)
		store := &counting{Store: inner}
		g := slashing.New(store, slashing.Config{Network: timeless(), Epochs: &title{err: fmt.Errorf("epoch 4: %w", reasoned("horizon_not_owned"))}})
		if got := reasonOf(t, m.record(g, key(0))); got != "horizon_not_owned" {
			t.Errorf("reason %q", got)
		}
		memo := errors.New("the memo cannot be saved")
		g = slashing.New(store, slashing.Config{Network: timeless(), Epochs: &title{err: memo}})
		var refusal *slashing.Refusal
		if err := m.record(g, key(0)); !errors.Is(err, memo) || errors.As(err, &refusal) {
			t.Errorf("got %v, which must be no refusal: nothing is known of the message", err)
		}
		if store.loads+store.writes != 0 {
			t.Errorf("%d loads, %d writes", store.loads, store.writes)
		}
	}
}

// TestNoOtherKindNeedsAnEpoch: what cannot be slashed is signed whoever owns it.
func TestNoOtherKindNeedsAnEpoch(t *testing.T) {
	nobody := &title{err: reasoned("horizon_not_owned")}
	g := slashing.New(memory.New(), slashing.Config{Network: timeless(), Epochs: nobody})
	for kind, m := range oneOfEach() {
		if err := g.Record(t.Context(), key(0), m, root(1)); (len(nobody.asked) == 0) != (err == nil) {
			t.Errorf("%v: %v, asked %q", kind, err, nobody.asked)
		}
		nobody.asked = nil
	}
}
