// Package admission keeps a signer useful when more is asked of it than it can
// do: it lets requests in by their urgency, and turns away what waits too long.
//
// A Gate guarantees that
//
//   - at most so many requests are in flight, so that whoever is let in is
//     done soon;
//   - of those that wait, the most urgent class goes first, and within a class
//     whoever came first;
//   - each one that waits is let in, or turned away once it is too old, or
//     leaves as soon as its context ends, and no place is lost meanwhile;
//   - so many wait at most: beyond that the least urgent is turned away.
//
// It knows age and nothing of slots: an attestation stays includable until the
// end of the next epoch, so only whoever asks knows what has become useless.
//
// It is not fair between classes. While urgent requests alone are more than the
// signer can do, the others age and are turned away. It does not tell callers
// apart either: a caller that may have blocks signed may ask for many.
package admission

import (
	"container/list"
	"context"
	"errors"
	"runtime"
	"sync"
	"time"
)

// Errors of Enter, besides its context's.
var (
	ErrTooOld = errors.New("waited for too long")
	ErrFull   = errors.New("too many requests wait")
)

// Config says how much a gate lets in. Its zero value is a good one.
type Config struct {
	// InFlight is how many requests are let in at once; 0: 128 for each
	// processor, which makes a signature in less than half a millisecond. So
	// whoever is let in is done within 60 ms, and there is work for the
	// processors while a slow disk takes 40 ms for a flush. (Half as many cost
	// four of a hundred signatures where the disk was busy.)
	InFlight int

	// MaxWaiting is how many may wait; 0: 8,192, as many as there are
	// connections. A processor that works through them needs less than MaxAge.
	MaxWaiting int

	// MaxAge is the age at which a request is turned away; 0: 4 s. Clients give
	// up after 5 s (Teku) or later, and an answer in time lets them try again.
	MaxAge time.Duration

	// Observe is told of each request that is let in how long it waited.
	Observe func(c Class, waited time.Duration)
}

// A Gate is where requests wait. Make it with New. It is safe for concurrent use.
type Gate struct {
	cfg Config

	mu      sync.Mutex // guards what follows
	free    int        // places; none is free while anybody waits
	waiting [len(classNames)]list.List
	length  int // of all of waiting
}

// A waiter is one request that waits. Whoever takes it out of its line, which
// the lock makes one only, tells it why.
type waiter struct {
	class  Class
	place  *list.Element // in the line of its class; nil once it is out
	called chan error    // nil: come in; has room, so that nobody waits to tell
}

// New returns an open gate.
func New(cfg Config) *Gate {
	if cfg.InFlight == 0 {
		cfg.InFlight = 128 * runtime.GOMAXPROCS(0)
	}
	if cfg.MaxWaiting == 0 {
		cfg.MaxWaiting = 8192
	}
	if cfg.MaxAge == 0 {
		cfg.MaxAge = 4 * time.Second
	}
	if cfg.Observe == nil {
		cfg.Observe = func(Class, time.Duration) {}
	}
	return &Gate{cfg: cfg, free: cfg.InFlight}
}

// Enter returns nil once a request that has been here since then is let in: the
// caller must Leave when it is done. Otherwise the error is ErrTooOld, ErrFull
// or that of ctx.
func (g *Gate) Enter(ctx context.Context, c Class, since time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	begin := time.Now()
	left := g.cfg.MaxAge - begin.Sub(since)
	if left <= 0 {
		return ErrTooOld
	}
	w, err := g.enterOrLineUp(c)
	if err != nil {
		return err
	}
	var waited time.Duration
	if w != nil {
		if err := g.wait(ctx, w, left); err != nil {
			return err
		}
		waited = time.Since(begin)
	}
	g.cfg.Observe(c, waited)
	return nil
}

// Leave gives the place of a request that was let in to the next.
func (g *Gate) Leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range g.waiting {
		if first := g.waiting[i].Front(); first != nil {
			g.call(first.Value.(*waiter), nil)
			return
		}
	}
	if g.free == g.cfg.InFlight {
		panic("admission: internal error: more requests leave than were let in")
	}
	g.free++
}

// Waiting returns how many requests of a class wait.
func (g *Gate) Waiting(c Class) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiting[c].Len()
}

// enterOrLineUp takes a free place or, if there is none, returns a waiter in
// line.
func (g *Gate) enterOrLineUp(c Class) (*waiter, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.free > 0 {
		g.free--
		return nil, nil
	}
	if g.length >= g.cfg.MaxWaiting && !g.turnAwayBelow(c) {
		return nil, ErrFull
	}
	w := &waiter{class: c, called: make(chan error, 1)}
	w.place = g.waiting[c].PushBack(w)
	g.length++
	return w, nil
}

// turnAwayBelow turns away the last in the line of the least urgent class that
// anybody waits in, if that is less urgent than c. g.mu is held.
func (g *Gate) turnAwayBelow(c Class) bool {
	for i := len(g.waiting) - 1; i > int(c); i-- {
		if last := g.waiting[i].Back(); last != nil {
			g.call(last.Value.(*waiter), ErrFull)
			return true
		}
	}
	return false
}

// call takes w out of its line and tells it. g.mu is held.
func (g *Gate) call(w *waiter, err error) {
	g.remove(w)
	w.called <- err
}

// remove takes w out of its line. g.mu is held.
func (g *Gate) remove(w *waiter) {
	g.waiting[w.class].Remove(w.place)
	w.place = nil
	g.length--
}

// wait returns nil once w is let in.
func (g *Gate) wait(ctx context.Context, w *waiter, left time.Duration) error {
	tooOld := time.NewTimer(left)
	defer tooOld.Stop()
	select {
	case err := <-w.called:
		return err
	case <-tooOld.C:
		return g.withdraw(w, ErrTooOld)
	case <-ctx.Done():
		return g.withdraw(w, ctx.Err())
	}
}

// withdraw takes w out of its line. If it was called in the same moment, the
// place that it was given goes to the next.
func (g *Gate) withdraw(w *waiter, cause error) error {
	g.mu.Lock()
	waiting := w.place != nil
	if waiting {
		g.remove(w)
	}
	g.mu.Unlock()
	if !waiting && <-w.called == nil {
		g.Leave()
	}
	return cause
}
