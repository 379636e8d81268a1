package slashing_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/record"
	"github.com/secure-signer/secure-signer/record/memory"
	"github.com/secure-signer/secure-signer/slashing"
)

// contended is a store whose loads let others go first, and which counts the
// writes that came too late.
type contended struct {
	record.Store
	late atomic.Int64
}

func (c *contended) Load(ctx context.Context, key record.Key) (record.Record, error) {
	defer runtime.Gosched()
	return c.Store.Load(ctx, key)
}

func (c *contended) Replace(ctx context.Context, key record.Key, old record.Version, value []byte) error {
	err := c.Store.Replace(ctx, key, old, value)
	if errors.Is(err, record.ErrConflict) {
		c.late.Add(1)
	}
	return err
}

// Many clients ask for conflicting messages of few keys at the same time, while
// the keys are deleted and come back and their floors are raised. Each client
// keeps what was granted to it; then all of it is judged together.
func TestConcurrentClientsGetNoConflict(t *testing.T) {
	const clients, keys, epochs = 32, 3, 100
	ctx := context.Background()
	store := &contended{Store: memory.New()}
	granted := make([][keys][]message, clients)
	guards := make([]*slashing.Guard, clients) // replicas, one for each client
	dice := make([]*rand.Rand, clients)
	for c := range clients {
		guards[c] = slashing.New(store, slashing.Config{Network: timeless()})
		dice[c] = rand.New(rand.NewPCG(1, uint64(c)))
	}
	for k := range byte(keys) {
		if err := guards[0].Enroll(ctx, key(k), slashing.Generated); err != nil {
			t.Fatal(err)
		}
	}
	var refused atomic.Int64
	ask := func(c int, now eth2.Epoch) {
		g, rnd := guards[c], dice[c]
		for k := range byte(keys) {
			m := vote(now-min(now, eth2.Epoch(rnd.Uint64N(4))), now+eth2.Epoch(rnd.Uint64N(3)), byte(rnd.Uint64N(2)))
			if rnd.Uint64N(2) == 0 {
				m = block(eth2.Slot(now)+eth2.Slot(rnd.Uint64N(3)), byte(rnd.Uint64N(2)))
			}
			if m.record(g, key(k)) == nil {
				granted[c][k] = append(granted[c][k], m)
			} else {
				refused.Add(1)
			}
		}
	}
	for now := range eth2.Epoch(epochs) { // together: on a busy machine one would be done before the next began
		var wg sync.WaitGroup
		for c := range clients {
			wg.Go(func() { ask(c, now) })
		}
		if now%10 == 0 {
			wg.Go(func() {
				if err := errors.Join(guards[0].Disable(ctx, key(0)), guards[0].Enroll(ctx, key(0), slashing.ArrivedNoFloor)); err != nil {
					t.Error(err)
				}
				if _, err := importFile(guards[0], file(entry(key(1), fmt.Sprintf(`{"slot":"%d"}`, now), ""))); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	var signed, pairs int
	for k := range keys {
		var all []message
		for c := range clients {
			all = append(all, granted[c][k]...)
		}
		signed += len(all)
		pairs += judge(t, all)
	}
	t.Logf("%d signed, %d refused, %d swaps came too late, %d pairs judged", signed, refused.Load(), store.late.Load(), pairs)
	if signed < 2*epochs || refused.Load() < 2*epochs || store.late.Load() < 10 {
		t.Error("there was too little contention to prove anything")
	}
}

// One message may win for each target, whoever asks.
func TestConcurrentClientsForOneTargetHaveOneWinner(t *testing.T) {
	const clients, rounds = 16, 200
	store := &contended{Store: memory.New()}
	g := slashing.New(store, slashing.Config{Network: timeless()})
	if err := g.Enroll(context.Background(), key(0), slashing.Generated); err != nil {
		t.Fatal(err)
	}
	for round := range eth2.Epoch(rounds) {
		var winners atomic.Int64
		var wg sync.WaitGroup
		for c := range byte(clients) {
			wg.Go(func() {
				if vote(round, round+1, c).record(g, key(0)) == nil {
					winners.Add(1)
				}
			})
		}
		wg.Wait()
		if n := winners.Load(); n != 1 {
			t.Fatalf("round %d: %d winners", round, n)
		}
	}
}
