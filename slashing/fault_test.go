package slashing_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"testing"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/record"
	"github.com/secure-signer/secure-signer/record/memory"
	"github.com/secure-signer/secure-signer/slashing"
)

var errFault = errors.New("input/output error")

// faulty is a store that fails when it is told to. Between a write that failed
// and the next load nobody can tell which of the two kinds it was.
type faulty struct {
	*memory.Store
	failButPersist    func() bool // the write is made, and then said to have failed
	failAndNotPersist func() bool
	failLoad          func() bool
}

func never() bool { return false }

func newFaulty() *faulty {
	return &faulty{Store: memory.New(), failButPersist: never, failAndNotPersist: never, failLoad: never}
}

func (f *faulty) write(do func() error) error {
	if f.failAndNotPersist() {
		return errFault
	}
	err := do()
	if err == nil && f.failButPersist() {
		return errFault
	}
	return err
}

func (f *faulty) Load(ctx context.Context, key record.Key) (record.Record, error) {
	if f.failLoad() {
		return record.Record{}, errFault
	}
	return f.Store.Load(ctx, key)
}

func (f *faulty) Create(ctx context.Context, key record.Key, value []byte) error {
	return f.write(func() error { return f.Store.Create(ctx, key, value) })
}

func (f *faulty) Replace(ctx context.Context, key record.Key, old record.Version, value []byte) error {
	return f.write(func() error { return f.Store.Replace(ctx, key, old, value) })
}

func (f *faulty) List(ctx context.Context) iter.Seq2[record.Entry, error] {
	return func(yield func(record.Entry, error) bool) {
		for e, err := range f.Store.List(ctx) {
			if f.failLoad() {
				e, err = record.Entry{}, errFault
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// durable reads what the disk holds, past all faults.
func (f *faulty) durable(t testing.TB, n *eth2.Network) slashing.State {
	t.Helper()
	r, err := f.Store.Load(context.Background(), recordKey(n, key(0)))
	if err != nil {
		t.Fatal(err)
	}
	var s slashing.State
	if err := s.UnmarshalBinary(r.Value); err != nil {
		t.Fatal(err)
	}
	return s
}

// Whatever fails, and whatever the store says of it: what was approved has a
// durable record that lets nothing but itself be signed in its place, and of all
// that was ever approved nothing conflicts.
func TestNothingIsApprovedWithoutADurableRecord(t *testing.T) {
	var faults, approved, retriedAfterFault int
	for seed := range uint64(40) {
		rnd := rand.New(rand.NewPCG(2, seed))
		sometimes := func() bool {
			if rnd.Uint64N(6) != 0 {
				return false
			}
			faults++
			return true
		}
		store := newFaulty()
		g := slashing.New(store, slashing.Config{Network: timeless()})
		if err := g.Enroll(context.Background(), key(0), slashing.Generated); err != nil {
			t.Fatal(err)
		}
		store.failButPersist, store.failAndNotPersist, store.failLoad = sometimes, sometimes, sometimes
		var signed []message
		var failed *message
		for step := range uint64(200) {
			now := step / 4
			m := vote(eth2.Epoch(now+rnd.Uint64N(3)), eth2.Epoch(now+1+rnd.Uint64N(5)), byte(rnd.Uint64N(2)))
			switch {
			case failed != nil && rnd.Uint64N(2) == 0:
				m = *failed
			case rnd.Uint64N(2) == 0:
				m = block(eth2.Slot(now+rnd.Uint64N(3)), byte(rnd.Uint64N(2)))
			}
			err := m.record(g, key(0))
			switch {
			case errors.Is(err, errFault):
				failed = &m
				continue
			case err != nil:
				reasonOf(t, err)
				continue
			}
			if failed != nil && *failed == m {
				retriedAfterFault++
			}
			approved++
			signed = append(signed, m)
			other := m
			other.root = root(7)
			disk := store.durable(t, timeless())
			if _, err := other.apply(disk); err == nil {
				t.Fatalf("seed %d: %v was approved, but the disk would let %v be signed", seed, m, other)
			}
			if next, err := m.apply(disk); err != nil || next != disk {
				t.Fatalf("seed %d: %v was approved, but is not what the disk holds: %v", seed, m, err)
			}
		}
		judge(t, signed)
	}
	t.Logf("%d faults, %d approved, %d of them on a retry after a fault", faults, approved, retriedAfterFault)
	if faults < 1000 || approved < 200 || retriedAfterFault < 50 {
		t.Error("too few faults were hit to prove anything")
	}
}

// Each operation, with each of its calls to the store failing in turn in each way:
// it must tell, and must succeed when it is repeated.
func TestEveryOperationTellsOfEveryFault(t *testing.T) {
	ctx := context.Background()
	operations := []struct {
		name string
		do   func(*slashing.Guard) error
		done func(slashing.State) bool
	}{
		{"Record a block", func(g *slashing.Guard) error { return block(900, 1).record(g, key(0)) },
			func(s slashing.State) bool { return s.Watermarks().Slot == 900 }},
		{"Record the identical block", func(g *slashing.Guard) error { return block(7, 1).record(g, key(0)) },
			func(s slashing.State) bool { return s.Watermarks().Slot == 7 }},
		{"Record a vote", func(g *slashing.Guard) error { return vote(3, 6, 1).record(g, key(0)) },
			func(s slashing.State) bool { return s.Watermarks().Target == 6 }},
		{"Enroll", func(g *slashing.Guard) error { return g.Enroll(ctx, key(0), slashing.Arrived) },
			func(s slashing.State) bool { return s.Watermarks().Slot == 801 }},
		{"Disable", func(g *slashing.Guard) error { return g.Disable(ctx, key(0)) }, slashing.State.Disabled},
		{"Import", func(g *slashing.Guard) error {
			_, err := importFile(g, file(entry(key(0), `{"slot":"9"}`, "")))
			return err
		}, func(s slashing.State) bool { return s.Watermarks().Slot == 9 }},
		{"RaiseAll", func(g *slashing.Guard) error { return g.RaiseAll(ctx, slashing.Floors{HasSlot: true, Slot: 800}) },
			func(s slashing.State) bool { return s.Watermarks().Slot == 800 }},
		{"EnrollAt", func(g *slashing.Guard) error {
			return g.EnrollAt(ctx, []bls.PublicKey{key(0)}, slashing.Floors{HasSlot: true, Slot: 800})
		}, func(s slashing.State) bool { return s.Watermarks().Slot == 800 }},
	}
	faults := map[string]func(*faulty) *func() bool{
		"persists and fails":   func(f *faulty) *func() bool { return &f.failButPersist },
		"fails without effect": func(f *faulty) *func() bool { return &f.failAndNotPersist },
		"fails to load":        func(f *faulty) *func() bool { return &f.failLoad },
	}
	for _, op := range operations {
		for name, knob := range faults {
			t.Run(fmt.Sprintf("%s on a store that %s", op.name, name), func(t *testing.T) {
				hit := 0
				for call := range 3 {
					store := newFaulty()
					g := slashing.New(store, slashing.Config{Network: chain(), Now: at(800), Unbounded: true})
					if err := g.Enroll(ctx, key(0), slashing.Generated); err != nil {
						t.Fatal(err)
					}
					if err := block(7, 1).record(g, key(0)); err != nil {
						t.Fatal(err)
					}
					calls := 0
					*knob(store) = func() bool { calls++; return calls == call+1 }
					err := op.do(g)
					if calls <= call { // it makes no such call
						if err != nil {
							t.Errorf("call %d was never made, but: %v", call, err)
						}
						continue
					}
					hit++
					if !errors.Is(err, errFault) || errors.Is(err, slashing.ErrSlashable) || errors.Is(err, slashing.ErrNoRecord) {
						t.Errorf("call %d failed: error %v", call, err)
					}
					if err := op.do(g); err != nil {
						t.Errorf("repeated after call %d failed: %v", call, err)
					}
					if s := store.durable(t, chain()); !op.done(s) {
						t.Errorf("repeated after call %d failed: not done: %+v", call, s)
					}
				}
				if hit == 0 {
					t.Error("no fault was hit")
				}
			})
		}
	}
}
