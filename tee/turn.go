package tee

import (
	"context"
	"fmt"
)

// A Turn lets one operation at a time use hardware that keeps one state for all,
// as where the report data is written into one file and the quote read from
// another.
type Turn chan struct{}

// NewTurn returns a Turn that nobody has.
func NewTurn() Turn { return make(Turn, 1) }

// Take calls f when it is its turn, and returns what f returns, or earlier when ctx
// is done. The kernel's devices cannot be interrupted: then f goes on, and the turn
// is its until it has ended. A device that hangs thus holds up one goroutine, and
// never more.
func Take[T any](ctx context.Context, turn Turn, f func() (T, error)) (T, error) {
	type result struct {
		v   T
		err error
	}
	var none T
	if err := ctx.Err(); err != nil { // select picks any case that is ready
		return none, err
	}
	select {
	case turn <- struct{}{}:
	case <-ctx.Done():
		return none, fmt.Errorf("wait for the trusted hardware, which has not answered an earlier request: %w", ctx.Err())
	}
	done := make(chan result, 1)
	go func() {
		defer func() { <-turn }()
		v, err := f()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.v, r.err
	case <-ctx.Done():
		return none, fmt.Errorf("wait for an answer of the trusted hardware: %w", ctx.Err())
	}
}
