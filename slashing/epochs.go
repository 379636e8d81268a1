package slashing

import (
	"context"
	"errors"
	"fmt"
)

// Epochs say where this copy of the store may sign, of all copies that there may
// be. A store remembers what it was asked to, and nothing that another copy of it
// has signed since. *rollback.Owner implements it.
//
// Recorded is called exactly once: as soon as the record of the message is
// durable, or nothing is going to be signed. An error that has a method
// Reason() string, with a reason of package signer, refuses the message; any
// other means that nothing is known of it.
type Epochs interface {
	// Propose returns nil if a block of that epoch may be signed, as far as other
	// copies are concerned.
	Propose(ctx context.Context, epoch uint64) (recorded func(), err error)
	// Attest returns nil if a vote from source to target may be signed, as far as
	// other copies are concerned.
	Attest(ctx context.Context, source, target uint64) (recorded func(), err error)
}

// everyEpoch is for a store that has no copies.
type everyEpoch struct{}

func (everyEpoch) Propose(context.Context, uint64) (func(), error)        { return func() {}, nil }
func (everyEpoch) Attest(context.Context, uint64, uint64) (func(), error) { return func() {}, nil }

// orEvery is every epoch where nobody tells.
func orEvery(e Epochs) Epochs {
	if e == nil {
		return everyEpoch{}
	}
	return e
}

// notOwned is a *Refusal where Epochs have a reason.
func notOwned(err error) error {
	var own interface{ Reason() string }
	if errors.As(err, &own) {
		return &Refusal{reason: own.Reason(), err: err}
	}
	return fmt.Errorf("ask whether another copy of this signer may have signed: %w", err)
}
