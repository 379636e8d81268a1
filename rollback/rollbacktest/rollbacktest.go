// Package rollbacktest is the suite that every rollback.Counter must pass.
package rollbacktest

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/secure-signer/secure-signer/rollback"
)

// Test holds counters against the contract of rollback.Counter. For each test it
// asks for one new number, whatever it is at, as several copies of a signer see
// it: copies returns the Counter of one more copy at each call.
func Test(t *testing.T, fresh func(t *testing.T) (copies func() rollback.Counter)) {
	for name, test := range map[string]func(*testing.T, func() rollback.Counter){
		"it moves by one, and says so to every copy": moves,
		"it moves from one below only":               refuses,
		"of all calls for a number one wins":         onceEach,
		"of racing copies one wins each step":        races,
		"a caller that gives up leaves it usable":    outlivesItsCallers,
	} {
		t.Run(name, func(t *testing.T) { test(t, fresh(t)) })
	}
}

func read(t *testing.T, c rollback.Counter) uint64 {
	t.Helper()
	n, err := c.Read(t.Context())
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	return n
}

func moves(t *testing.T, copies func() rollback.Counter) {
	mine, other := copies(), copies()
	first := read(t, mine)
	for n := first + 1; n <= first+5; n++ {
		if err := mine.Advance(t.Context(), n); err != nil {
			t.Fatalf("advance from %d: %v", n-1, err)
		}
		for _, c := range []rollback.Counter{mine, other} {
			if got := read(t, c); got != n {
				t.Errorf("after an advance to %d it is at %d", n, got)
			}
		}
		mine, other = other, mine
	}
}

func refuses(t *testing.T, copies func() rollback.Counter) {
	c := copies()
	first := read(t, c)
	if err := c.Advance(t.Context(), first+1); err != nil {
		t.Fatal(err)
	}
	at := first + 1
	for _, to := range []uint64{first, at, at + 2, at + 1<<40} {
		if err := c.Advance(t.Context(), to); err == nil {
			t.Errorf("moved from %d to %d", at, to)
		}
		if got := read(t, c); got != at {
			t.Fatalf("a move to %d that was refused has left it at %d, it was at %d", to, got, at)
		}
	}
	if err := c.Advance(t.Context(), at+1); err != nil {
		t.Errorf("after refusals: %v", err)
	}
}

// onceEach: a copy that was started again on an old disk asks for what it, or
// another, has been given before.
func onceEach(t *testing.T, copies func() rollback.Counter) {
	c := copies()
	n := read(t, c) + 1
	if err := c.Advance(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	for _, again := range []rollback.Counter{c, copies()} {
		if err := again.Advance(t.Context(), n); err == nil {
			t.Errorf("%d was given twice", n)
		}
	}
}

const racers = 3

// races takes 25 steps of each racer, or 500 if SECURE_SIGNER_LONG is set.
func races(t *testing.T, copies func() rollback.Counter) {
	var (
		all    sync.WaitGroup
		mu     sync.Mutex
		owners = make(map[uint64]int)
		judge  = copies()
		first  = read(t, judge)
		steps  = 25
	)
	if os.Getenv("SECURE_SIGNER_LONG") != "" {
		steps = 500
	}
	for copy := range racers {
		c := copies()
		all.Go(func() {
			last := first
			for range steps {
				at, err := c.Read(t.Context())
				if err != nil {
					t.Errorf("read while others move it: %v", err)
					return
				}
				if at < last {
					t.Errorf("it fell from %d to %d", last, at)
				}
				last = at
				if c.Advance(t.Context(), at+1) != nil {
					continue
				}
				mu.Lock()
				if owner, taken := owners[at+1]; taken {
					t.Errorf("%d was given to copy %d and to copy %d", at+1, owner, copy)
				}
				owners[at+1] = copy
				mu.Unlock()
			}
		})
	}
	all.Wait()
	at := read(t, judge)
	t.Logf("%d claims by %d copies at once: %d numbers owned, it moved by %d", racers*steps, racers, len(owners), at-first)
	if len(owners) == 0 {
		t.Error("nobody ever wins: nothing was tested")
	}
	for n := range owners {
		if n > at {
			t.Errorf("%d is owned, and it is only at %d", n, at)
		}
	}
}

func outlivesItsCallers(t *testing.T, copies func() rollback.Counter) {
	c := copies()
	first := read(t, c)
	var calls atomic.Int64
	for range 10 {
		ctx, cancel := context.WithCancel(t.Context())
		var caller sync.WaitGroup
		caller.Go(func() {
			n, err := c.Read(ctx)
			if err == nil && c.Advance(ctx, n+1) == nil {
				calls.Add(1)
			}
		})
		cancel()
		caller.Wait()
	}
	n := read(t, c)
	if n < first+uint64(calls.Load()) {
		t.Errorf("%d moves succeeded from %d, and it is at %d", calls.Load(), first, n)
	}
	if err := c.Advance(t.Context(), n+1); err != nil {
		t.Errorf("after callers that gave up: %v", err)
	}
	if got := read(t, c); got != n+1 {
		t.Errorf("got %d, want %d", got, n+1)
	}
}
