package admission

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/eth2"
)

// enter asks for entry in the background and notes the outcome.
type entry struct{ err chan error }

func enter(ctx context.Context, g *Gate, c Class, since time.Time) entry {
	e := entry{make(chan error, 1)}
	go func() { e.err <- g.Enter(ctx, c, since) }()
	synctest.Wait()
	return e
}

// outcome is "waits" until there is one.
func (e entry) outcome() string {
	synctest.Wait()
	select {
	case err := <-e.err:
		e.err <- err
		if err == nil {
			return "in"
		}
		return err.Error()
	default:
		return "waits"
	}
}

func want(t *testing.T, outcomes ...any) {
	t.Helper()
	for p := range slices.Chunk(outcomes, 2) {
		if got := p[0].(entry).outcome(); got != p[1] {
			t.Errorf("got %q, want %q", got, p[1])
		}
	}
}

func TestTheMostUrgentGoesFirstAndOfThoseWhoeverCameFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Config{InFlight: 1})
		now := time.Now()
		want(t, enter(t.Context(), g, Registrations, now), "in")

		var order []string
		var all sync.WaitGroup
		for _, round := range []string{"first", "second"} {
			for _, c := range slices.Backward(Classes()) {
				all.Go(func() {
					if err := g.Enter(t.Context(), c, now); err != nil {
						t.Error(err)
						return
					}
					order = append(order, c.String()+" "+round) // one place: one at a time
					g.Leave()
				})
				synctest.Wait()
			}
		}
		for _, c := range Classes() {
			if got := g.Waiting(c); got != 2 {
				t.Errorf("%d of class %v wait, want 2", got, c)
			}
		}
		g.Leave()
		all.Wait()
		var expected []string
		for _, c := range Classes() {
			expected = append(expected, c.String()+" first", c.String()+" second")
		}
		if diff := cmp.Diff(expected, order); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
	})
}

func TestWhoeverIsTooOldIsTurnedAwayAtThatAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Config{InFlight: 1})
		now := time.Now()
		want(t, enter(t.Context(), g, Proposals, now), "in")
		fresh := enter(t.Context(), g, Votes, now)
		older := enter(t.Context(), g, Votes, now.Add(-3*time.Second)) // decoded for long, say
		want(t, enter(t.Context(), g, Votes, now.Add(-4*time.Second)), ErrTooOld.Error())

		time.Sleep(time.Second - 1)
		want(t, fresh, "waits", older, "waits")
		time.Sleep(time.Nanosecond)
		want(t, fresh, "waits", older, ErrTooOld.Error())
		time.Sleep(3*time.Second - 1)
		want(t, fresh, "waits")
		time.Sleep(time.Nanosecond)
		want(t, fresh, ErrTooOld.Error())

		g.Leave()
		want(t, enter(t.Context(), g, Votes, now), ErrTooOld.Error(), // although there is room
			enter(t.Context(), g, Votes, time.Now()), "in")
	})
}

func TestWhoeverHasGoneIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Config{InFlight: 1})
		want(t, enter(t.Context(), g, Votes, time.Now()), "in")
		ctx, hangUp := context.WithCancel(t.Context())
		gone := enter(ctx, g, Proposals, time.Now())
		stays := enter(t.Context(), g, Registrations, time.Now())
		hangUp()
		want(t, gone, "context canceled", stays, "waits")
		g.Leave()
		want(t, stays, "in")
		g.Leave()
		want(t, enter(ctx, g, Proposals, time.Now()), "context canceled") // although there is room
	})
}

func TestAPlaceGivenToSomebodyWhoHangsUpInThatMomentGoesToTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Config{InFlight: 1})
		want(t, enter(t.Context(), g, Votes, time.Now()), "in")
		w, err := g.enterOrLineUp(Votes)
		if w == nil || err != nil {
			t.Fatalf("got %v, %v: want a waiter", w, err)
		}
		next := enter(t.Context(), g, Votes, time.Now())
		g.Leave() // gives the place to w
		want(t, next, "waits")
		if err := g.withdraw(w, context.Canceled); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		want(t, next, "in")
	})
}

func TestWhenTooManyWaitTheLeastUrgentAndLastIsTurnedAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Config{InFlight: 1, MaxWaiting: 3})
		now := time.Now()
		want(t, enter(t.Context(), g, Votes, now), "in")
		vote := enter(t.Context(), g, Votes, now)
		early := enter(t.Context(), g, Registrations, now)
		late := enter(t.Context(), g, Registrations, now)

		want(t, enter(t.Context(), g, Registrations, now), ErrFull.Error(), early, "waits", late, "waits")
		block := enter(t.Context(), g, Proposals, now)
		want(t, block, "waits", late, ErrFull.Error(), early, "waits")
		second := enter(t.Context(), g, Votes, now)
		want(t, second, "waits", early, ErrFull.Error())
		want(t, enter(t.Context(), g, Votes, now), ErrFull.Error(), enter(t.Context(), g, Aggregates, now), ErrFull.Error())

		for _, next := range []entry{block, vote, second} {
			want(t, next, "waits")
			g.Leave()
			want(t, next, "in")
		}
	})
}

func TestHowLongItTookToGetInIsObserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []string
		g := New(Config{InFlight: 1, Observe: func(c Class, waited time.Duration) {
			seen = append(seen, fmt.Sprint(c, " ", waited))
		}})
		want(t, enter(t.Context(), g, Proposals, time.Now().Add(-time.Second)), "in")
		vote := enter(t.Context(), g, Votes, time.Now())
		time.Sleep(2 * time.Second)
		g.Leave()
		want(t, vote, "in")
		if diff := cmp.Diff([]string{"proposal 0s", "vote 2s"}, seen); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// TestNobodyIsForgottenAndNoPlaceIsLost lets many come, stay, hang up and age at
// random. Each must get an answer by its greatest age, never more may be in than
// there are places, and in the end every place is free again.
func TestNobodyIsForgottenAndNoPlaceIsLost(t *testing.T) {
	outcomes := map[string]int{}
	for seed := range uint64(50) {
		synctest.Test(t, func(t *testing.T) { crowd(t, rand.New(rand.NewPCG(seed, 1)), outcomes) })
	}
	for _, err := range []error{nil, ErrTooOld, ErrFull, context.DeadlineExceeded} {
		if n := outcomes[fmt.Sprint(err)]; n < 100 {
			t.Errorf("%d visits ended with %v: the test aims badly", n, err)
		}
	}
	t.Log(outcomes)
}

func crowd(t *testing.T, random *rand.Rand, outcomes map[string]int) {
	const places = 3
	g := New(Config{InFlight: places, MaxWaiting: 8})
	var mu sync.Mutex // guards outcomes and what follows
	in, ended := 0, 0
	visit := func(ctx context.Context, c Class, since time.Time, stay time.Duration) {
		err := g.Enter(ctx, c, since)
		if time.Since(since) > 4*time.Second {
			t.Errorf("%v: answered at the age of %v", err, time.Since(since))
		}
		mu.Lock()
		outcomes[fmt.Sprint(err)]++
		ended++
		if err == nil {
			in++
		}
		if in > places {
			t.Errorf("%d are in, there are %d places", in, places)
		}
		mu.Unlock()
		if err != nil {
			return
		}
		time.Sleep(stay)
		mu.Lock()
		in--
		mu.Unlock()
		g.Leave()
	}
	var visits sync.WaitGroup
	const visitors = 300
	for range visitors {
		class := Classes()[random.IntN(len(Classes()))]
		// Whole steps, so that many things happen in the same moment.
		step := func(most int) time.Duration { return time.Duration(random.IntN(most)) * 250 * time.Millisecond }
		stay, old, patience := step(8), step(4), step(40)
		visits.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			visit(ctx, class, time.Now().Add(-old), stay)
		})
		time.Sleep(step(3))
	}
	visits.Wait()
	if ended != visitors {
		t.Errorf("%d of %d visits have ended", ended, visitors)
	}
	if g.free != places || g.length != 0 {
		t.Errorf("%d of %d places are free, and %d wait, when all have gone", g.free, places, g.length)
	}
}

func TestEveryKindHasItsClass(t *testing.T) {
	urgent := map[eth2.Kind]Class{
		eth2.KindBlock: Proposals, eth2.KindRandaoReveal: Proposals,
		eth2.KindExecutionPayloadBid: Proposals, eth2.KindExecutionPayloadEnvelope: Proposals,
		eth2.KindAttestation: Votes, eth2.KindPayloadAttestation: Votes, eth2.KindSyncCommitteeMessage: Votes,
		eth2.KindAggregateAndProof: Aggregates, eth2.KindContributionAndProof: Aggregates,
		eth2.KindValidatorRegistration: Registrations,
	}
	for _, k := range eth2.Kinds() {
		expected, ok := urgent[k]
		if !ok {
			expected = Others
		}
		if got := ClassOf(k); got != expected {
			t.Errorf("%v is of class %v, want %v", k, got, expected)
		}
	}
	for _, c := range Classes() {
		if c.String() == "" {
			t.Errorf("class %d has no name", c)
		}
	}
}

func TestMoreLeavingThanEnteringIsABug(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	New(Config{}).Leave()
}

// BenchmarkEnter is what the gate costs a signer with nothing else to do.
func BenchmarkEnter(b *testing.B) {
	g := New(Config{})
	b.ReportAllocs()
	for b.Loop() {
		if err := g.Enter(b.Context(), Votes, time.Now()); err != nil {
			b.Fatal(err)
		}
		g.Leave()
	}
}
