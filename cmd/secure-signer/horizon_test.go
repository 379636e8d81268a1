package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/rollback"
)

// horizonChain has epochs of 8 slots of a second, and is 100 epochs old at
// that time.
func horizonChain(now time.Time) *eth2.Network {
	return &eth2.Network{
		Name: "test", Preset: eth2.MinimalPreset(), SecondsPerSlot: 1,
		GenesisTime: uint64(now.Unix()) - 100*8,
	}
}

func TestWhatIsDue(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	c := claimClock{network: horizonChain(now)}
	for name, test := range map[string]struct {
		after         time.Duration
		current, last eth2.Epoch
	}{
		"before genesis":                      {-101 * 8 * time.Second, 0, 0},
		"in the chain's first epoch":          {-100 * 8 * time.Second, 0, 0},
		"in an epoch's first slot":            {0, 100, 100},
		"in its last slot but one":            {6*time.Second + 999*time.Millisecond, 100, 100},
		"in its last slot, the next one, too": {7 * time.Second, 100, 101},
		"in the next one":                     {8 * time.Second, 101, 101},
	} {
		t.Run(name, func(t *testing.T) {
			if current, last := c.due(now.Add(test.after)); current != test.current || last != test.last {
				t.Errorf("got %d, until %d, want %d, until %d", current, last, test.current, test.last)
			}
		})
	}
}

// TestAClockThatIsWrongClaimsNoYears: what is claimed is lost for ever.
func TestAClockThatIsWrongClaimsNoYears(t *testing.T) {
	const (
		epoch = 8 * time.Second
		month = eth2.Epoch(maxGap / epoch)
		up    = 10 * time.Minute
	)
	started := time.Unix(1_700_000_000, 0)
	network := horizonChain(started.Add(-2 * maxGap))
	present, _ := claimClock{network: network}.due(started.Add(up))
	word := func(e eth2.Epoch) *eth2.Epoch { return &e }
	for name, test := range map[string]struct {
		leap    time.Duration
		claimed eth2.Epoch
		until   *eth2.Epoch
		want    error
	}{
		"the next epoch":                                     {0, present - 1, nil, nil},
		"nothing is due":                                     {0, present + month, nil, nil},
		"a month was missed":                                 {0, present - month, nil, nil},
		"more than a month":                                  {0, present - month - 1, nil, errGap},
		"more, by a person's word":                           {0, present - month - 1, word(present), nil},
		"more than a person has given leave for":             {0, present - month - 1, word(present - 1), errGap},
		"an old word does no harm":                           {0, present - 1, word(present - 5), nil},
		"a clock that was set right":                         {time.Hour, present - 1, nil, nil},
		"one that has leapt":                                 {time.Hour + 1, present - 1, nil, errLeap},
		"one that has leapt, by a person's word":             {time.Hour + epoch, present - 1, word(present + month), nil},
		"one that has leapt back to what is claimed already": {-2 * time.Hour, present, nil, nil},
		"one that has leapt back":                            {-2 * time.Hour, present - month, nil, errLeap},
	} {
		t.Run(name, func(t *testing.T) {
			c := claimClock{network: network, started: started, until: test.until}
			if err := c.check(started.Add(up+test.leap), up, test.claimed); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

// A box is what keeps a horizon of a test, with a fault knob.
type box struct {
	epochs, stops cell
	fault         atomic.Pointer[error] // of every call
}

func (b *box) err() error {
	if err := b.fault.Load(); err != nil {
		return *err
	}
	return nil
}

type cell struct {
	box *box
	n   atomic.Uint64
}

func (c *cell) Read(context.Context) (uint64, error) { return c.n.Load(), c.box.err() }

func (c *cell) Increment(context.Context) error {
	err := c.box.err()
	if err == nil {
		c.n.Add(1)
	}
	return err
}

// newBox is one in which all until epoch counts as signed in.
func newBox(epoch uint64) *box {
	b := &box{}
	b.epochs.box, b.stops.box = b, b
	b.epochs.n.Store(epoch)
	return b
}

type lastMemo struct{ memo *rollback.Memo }

func (m *lastMemo) Load(context.Context) (*rollback.Memo, error) { return m.memo, nil }
func (m *lastMemo) Save(_ context.Context, memo rollback.Memo) error {
	m.memo = &memo
	return nil
}

func (b *box) keeper() *keeper {
	return &keeper{
		epochs: rollback.Exclusive(&b.epochs), stops: rollback.Exclusive(&b.stops), about: "a box",
		prepare: func(context.Context) error { return b.err() },
		close:   func(context.Context) error { return nil },
	}
}

// live runs one life of a horizon, until its end is called with what became of the
// journal.
func live(t *testing.T, k *keeper, network *eth2.Network, memos rollback.Memos) (_ *horizon, end func(recorded error)) {
	t.Helper()
	h := newHorizon("box", k, network, claimFlags{}, memos, func() [32]byte { return [32]byte{1} }, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	h.begin(ctx)
	synctest.Wait()
	return h, func(recorded error) {
		cancel()
		if err := h.close(recorded); err != nil {
			t.Error(err)
		}
	}
}

// may asks for a vote to target and returns why it may not be signed.
func may(t *testing.T, h *horizon, target uint64) error {
	t.Helper()
	recorded, err := h.Attest(t.Context(), target-1, target)
	if err == nil {
		recorded()
	}
	return err
}

func TestEveryEpochIsOwnedFromItsFirstSlotOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(99)
		h, end := live(t, b.keeper(), horizonChain(time.Now()), &lastMemo{})
		defer func() { end(nil) }()
		for epoch := uint64(100); epoch < 110; epoch++ {
			if err := may(t, h, epoch); err != nil {
				t.Errorf("in the first slot of epoch %d: %v", epoch, err)
			}
			time.Sleep(6*time.Second + 999*time.Millisecond)
			if err := may(t, h, epoch+1); !errors.Is(err, rollback.ErrNotOwned) {
				t.Errorf("before the last slot of epoch %d, a vote of the next one: %v", epoch, err)
			}
			if c := h.needed(); len(c) != 1 || !bool(c[0].Up) {
				t.Errorf("epoch %d: %+v", epoch, c)
			}
			time.Sleep(time.Second + time.Millisecond)
			synctest.Wait()
		}
		if m := h.metrics(); m.Claims != 11 || m.Failed != 0 || !m.Owned || m.LastEpoch != 110 {
			t.Errorf("metrics %+v", m)
		}
	})
}

func TestAKeeperThatIsSilentIsAskedUntilItAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(99)
		silence := errors.New("no majority of witnesses")
		b.fault.Store(&silence)
		h, end := live(t, b.keeper(), horizonChain(time.Now()), &lastMemo{})
		defer func() { end(nil) }()
		h.await(t.Context())
		if err := may(t, h, 100); !errors.Is(err, rollback.ErrNotOwned) {
			t.Errorf("a vote: %v", err)
		}
		if c := h.needed(); len(c) != 1 || bool(c[0].Up) {
			t.Errorf("the signer passes for healthy: %+v", c)
		}
		if s := h.status(); s.Owned || !strings.Contains(s.Error, "no majority") {
			t.Errorf("status %+v", s)
		}
		b.fault.Store(nil)
		time.Sleep(retryClaim)
		synctest.Wait()
		if err := may(t, h, 100); err != nil {
			t.Errorf("when it answers: %v", err)
		}
		if c := h.needed(); len(c) != 1 || !bool(c[0].Up) || h.status().Error != "" {
			t.Errorf("when it answers: %+v, %+v", c, h.status())
		}

		b.fault.Store(&silence) // when the next epoch is due
		time.Sleep(4*time.Second + 500*time.Millisecond)
		synctest.Wait()
		if err := may(t, h, 100); err != nil {
			t.Errorf("in the epoch that is owned: %v", err)
		}
		if c := h.needed(); !bool(c[0].Up) {
			t.Errorf("in the epoch that is owned: %+v", c)
		}
		time.Sleep(8 * time.Second)
		synctest.Wait()
		if c := h.needed(); len(c) != 1 || bool(c[0].Up) {
			t.Errorf("in the next one: %+v", c)
		}
		if m := h.metrics(); m.Owned {
			t.Errorf("metrics %+v", m)
		}
	})
}

func TestOneLifeAfterAnother(t *testing.T) {
	for name, test := range map[string]struct {
		recorded error // of the journal, at the stop
		other    bool  // a copy claims the next epoch meanwhile
		owned    bool
	}{
		"a clean stop loses nothing":                 {owned: true},
		"after a journal that failed an epoch waits": {recorded: errors.New("input/output error")},
		"after another copy's claim an epoch waits":  {other: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, memos := newBox(99), &lastMemo{}
				chain := horizonChain(time.Now())
				h, end := live(t, b.keeper(), chain, memos)
				if err := may(t, h, 100); err != nil {
					t.Fatal(err)
				}
				end(test.recorded)
				if test.other {
					b.epochs.n.Add(1)
				}
				h, end = live(t, b.keeper(), chain, memos)
				defer func() { end(nil) }()
				if err := may(t, h, 100); (err == nil) != test.owned {
					t.Errorf("a vote of the next life: %v", err)
				}
				if waiting := len(h.awaited()) == 1; waiting == test.owned || waiting == (len(h.needed()) == 1) {
					t.Errorf("health: needed %+v, awaited %+v", h.needed(), h.awaited())
				}
				recorded, refused := h.Propose(t.Context(), 100)
				if refused == nil {
					recorded()
				}
				for _, says := range []string{h.status().Error, h.banner(), fmt.Sprint(refused)} {
					if told := strings.Contains(says, "as after any crash") && strings.Contains(says, " UTC, in "); told == test.owned {
						t.Errorf("a person reads %q", says)
					}
				}
				time.Sleep(16 * time.Second)
				synctest.Wait()
				if err := may(t, h, 102); err != nil {
					t.Errorf("two epochs later: %v", err)
				}
			})
		})
	}
}

// An overtaken counter is moved by another copy, once, as soon as it was read.
type overtaken struct {
	rollback.Counter
	by atomic.Pointer[cell]
}

func (c *overtaken) Read(ctx context.Context) (uint64, error) {
	n, err := c.Counter.Read(ctx)
	if by := c.by.Swap(nil); by != nil {
		by.n.Add(1)
	}
	return n, err
}

func TestAnotherCopyThatRunsIsSaid(t *testing.T) {
	for name, claims := range map[string]func(*overtaken, *box){
		"that claims earlier":                    func(_ *overtaken, b *box) { b.epochs.n.Add(1) },
		"that claims after the counter was read": func(c *overtaken, b *box) { c.by.Store(&b.epochs) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBox(99)
				k := b.keeper()
				counter := &overtaken{Counter: k.epochs}
				k.epochs = counter
				var log strings.Builder
				h := newHorizon("box", k, horizonChain(time.Now()), claimFlags{}, &lastMemo{}, func() [32]byte { return [32]byte{1} }, slog.New(slog.NewTextHandler(&log, nil)))
				ctx, cancel := context.WithCancel(t.Context())
				h.begin(ctx)
				time.Sleep(6 * time.Second)
				synctest.Wait()
				claims(counter, b)
				time.Sleep(4 * time.Second)
				synctest.Wait()
				if err := may(t, h, 101); !errors.Is(err, rollback.ErrNotOwned) {
					t.Errorf("a vote in its epoch: %v", err)
				}
				if c := h.needed(); len(c) != 1 || bool(c[0].Up) || !strings.Contains(h.status().Error, "another copy") {
					t.Errorf("health %+v, status %+v", c, h.status())
				}
				cancel()
				if err := h.close(nil); err != nil || h.metrics().Claims != 1 || !strings.Contains(log.String(), "another copy") {
					t.Errorf("%v; %d epochs are said to be its own, and the log says %s", err, h.metrics().Claims, &log)
				}
			})
		})
	}
}

// TestEpochsThatWereMissedAreCaughtUpWith at once where the keeper can: thousands of claims, one by
// one, would keep the signer from its duties.
func TestEpochsThatWereMissedAreCaughtUpWith(t *testing.T) {
	for name, skips := range map[string]bool{"one by one": false, "at once": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBox(20)
				k := b.keeper()
				if skips {
					k.skip = func(_ context.Context, epoch uint64) error { b.epochs.n.Store(epoch); return nil }
				}
				h, end := live(t, k, horizonChain(time.Now()), &lastMemo{})
				defer func() { end(nil) }()
				if err := may(t, h, 100); err != nil {
					t.Errorf("a vote: %v", err)
				}
				if s := h.status(); *s.Last != 100 || (*s.First == 100) != skips {
					t.Errorf("owned from %d to %d", *s.First, *s.Last)
				}
			})
		})
	}
}

// TestAKeeperThatHasForgottenIsSaid, and not hidden by catching up with what is past:
// other copies' claims are forgotten, too.
func TestAKeeperThatHasForgottenIsSaid(t *testing.T) {
	for name, lives := range map[string]int{"while it runs": 1, "between two lives": 2} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, memos := newBox(99), &lastMemo{}
				k, chain := b.keeper(), horizonChain(time.Now())
				k.skip = func(_ context.Context, epoch uint64) error { b.epochs.n.Store(epoch); return nil }
				h, end := live(t, k, chain, memos)
				if err := may(t, h, 100); err != nil {
					t.Fatal(err)
				}
				silence := errors.New("no answer")
				b.fault.Store(&silence)
				time.Sleep(24 * time.Second) // or the next claim would find out by itself
				b.fault.Store(nil)
				b.epochs.n.Store(50)
				if lives == 2 {
					end(nil)
					h, end = live(t, k, chain, memos)
				}
				defer func() { end(nil) }()
				time.Sleep(30 * time.Second)
				synctest.Wait()
				for target := range uint64(10) {
					if err := may(t, h, 100+target); !errors.Is(err, rollback.ErrStopped) {
						t.Errorf("a vote in epoch %d: %v", 100+target, err)
					}
				}
				if s := h.status(); s.Owned || !strings.Contains(s.Error, "epoch 100 was claimed, and now the counter says 50") {
					t.Errorf("status %+v", s)
				}
			})
		})
	}
}

// TestASignerWithoutAHorizonShowsNone: nil is a horizon that owns everything.
func TestASignerWithoutAHorizonShowsNone(t *testing.T) {
	var h *horizon
	h.begin(t.Context())
	h.await(t.Context())
	if len(h.needed())+len(h.awaited()) > 0 || h.status() != nil || !strings.HasPrefix(h.banner(), "none") {
		t.Errorf("needed %v, awaited %v, status %v, banner %q", h.needed(), h.awaited(), h.status(), h.banner())
	}
}
