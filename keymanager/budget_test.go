package keymanager

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheBudgetIsNeverExceeded(t *testing.T) {
	const budget, users = 8 * budgetUnit, 32
	b := newBudget(budget)
	var inUse, most, alone atomic.Int64
	var all sync.WaitGroup
	for i := range users {
		all.Go(func() {
			want := int64(i%10) * budgetUnit // nothing, and more than there is
			giveBack, err := b.take(t.Context(), want)
			if err != nil {
				t.Error(err)
				return
			}
			got := min(max(want, budgetUnit), budget)
			now := inUse.Add(got)
			if now > budget {
				t.Errorf("%d in use, of %d", now, budget)
			}
			for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
			}
			if want > budget {
				alone.Add(1)
			}
			time.Sleep(time.Millisecond)
			inUse.Add(-got)
			giveBack()
		})
	}
	all.Wait()
	if most.Load() < budget || alone.Load() == 0 {
		t.Errorf("at most %d in use, %d alone: the budget was never reached", most.Load(), alone.Load())
	}
	if len(b.tokens) != 0 {
		t.Errorf("%d units were not given back", len(b.tokens))
	}
}

// TestWhoeverGivesUpWaitingTakesNothing: neither while it waits for its turn, nor
// with half of what it wants.
func TestWhoeverGivesUpWaitingTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(2 * budgetUnit)
		giveBack, err := b.take(t.Context(), budgetUnit)
		if err != nil {
			t.Fatal(err)
		}
		ctx, giveUp := context.WithCancel(t.Context())
		var waiting sync.WaitGroup
		for range 2 {
			waiting.Go(func() {
				if _, err := b.take(ctx, 2*budgetUnit); !errors.Is(err, context.Canceled) {
					t.Errorf("take: %v, want context.Canceled", err)
				}
			})
		}
		synctest.Wait()
		if len(b.tokens) != 2 {
			t.Errorf("%d units taken, want 2: nobody waits with half", len(b.tokens))
		}
		giveUp()
		waiting.Wait()
		giveBack()
		if len(b.tokens) != 0 || len(b.turn) != 0 {
			t.Errorf("%d units and %d turns are still taken", len(b.tokens), len(b.turn))
		}
	})
}
