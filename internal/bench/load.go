package bench

import (
	"context"
	"sync"
	"time"
)

// Closed runs a closed loop: so many connections, each of which asks again as
// soon as it is answered, for so long.
func (t *Target) Closed(ctx context.Context, connections int, long time.Duration) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, long)
	defer cancel()
	return t.measure(func(tally *tally) {
		var workers sync.WaitGroup
		for range connections {
			workers.Go(func() {
				for ctx.Err() == nil {
					r := t.ready()
					t.ask(context.WithoutCancel(ctx), r, time.Now(), tally)
				}
			})
		}
		workers.Wait()
	})
}

// Open asks so many times a second for so long, however fast the answers come.
// Requests that find no connection free wait, and that time is theirs.
func (t *Target) Open(ctx context.Context, perSecond float64, long time.Duration) (Result, error) {
	return t.measure(func(tally *tally) {
		var asked sync.WaitGroup
		start := time.Now()
		for i := range int(perSecond * long.Seconds()) {
			due := start.Add(time.Duration(float64(i) / perSecond * float64(time.Second)))
			time.Sleep(time.Until(due))
			if ctx.Err() != nil {
				break
			}
			asked.Go(func() { t.ask(context.WithoutCancel(ctx), t.ready(), due, tally) })
		}
		asked.Wait()
	})
}

// Bursts are what the starts of slots look like: so many requests at once, but
// not more than there are keys, so many times. The time of a request is from its
// burst's start.
func (t *Target) Bursts(ctx context.Context, size, bursts int) (Result, error) {
	return t.measure(func(tally *tally) {
		for range bursts {
			if ctx.Err() != nil {
				return
			}
			requests := make([]request, size)
			for j := range requests {
				requests[j] = t.ready()
			}
			var asked sync.WaitGroup
			due := time.Now()
			for _, r := range requests {
				asked.Go(func() { t.ask(context.WithoutCancel(ctx), r, due, tally) })
			}
			asked.Wait()
		}
	})
}
