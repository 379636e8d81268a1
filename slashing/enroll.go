package slashing

import (
	"context"
	"fmt"

	"github.com/secure-signer/secure-signer/bls"
)

// An Origin says what is known of a key that is about to sign here. The zero
// Origin assumes least.
type Origin uint8

const (
	// Arrived is a key from elsewhere without its history: it starts at a floor
	// that the clock gives.
	Arrived Origin = iota

	// ArrivedNoFloor is a key from elsewhere of which its owner says explicitly
	// that it has signed nothing. Whoever is wrong about that may be slashed.
	ArrivedNoFloor

	// WithHistory is a key whose interchange has just been imported: its floors
	// are the history's.
	WithHistory

	// Generated is a key drawn at random in this process: nobody else has it.
	Generated
)

// Enroll lets pub sign. It makes the key's record, or keeps the one there is, also
// that of a deleted key, and raises it by what its origin demands. Until then a
// key does not sign here, whatever history of it was imported.
//
// It returns ErrClockUnknown if pub Arrived and there is no clock to take a floor
// from, and ErrNoRecord if pub comes WithHistory and none was imported.
func (g *Guard) Enroll(ctx context.Context, pub bls.PublicKey, origin Origin) error {
	var floors Floors
	switch origin {
	case Arrived:
		var err error
		if floors, err = g.clockFloors(g.now()); err != nil {
			return err
		}
	case ArrivedNoFloor, WithHistory, Generated:
	default:
		return fmt.Errorf("unknown origin %d of key %v", origin, pub)
	}
	return g.enroll(ctx, pub, floors, origin == WithHistory)
}

// EnrollAt is Enroll for keys that an operator holds and of which the history is
// lost: each starts at these floors, or where its record says if that is higher.
func (g *Guard) EnrollAt(ctx context.Context, pubs []bls.PublicKey, floors Floors) error {
	return summary("enrolled", eachKey(pubs, func(pub bls.PublicKey) error {
		return g.enroll(ctx, pub, floors, false)
	}))
}

func (g *Guard) enroll(ctx context.Context, pub bls.PublicKey, floors Floors, mustExist bool) error {
	return g.change(ctx, pub, func(s State, exists bool) (State, error) {
		if mustExist && !exists {
			return s, fmt.Errorf("%w of %v: no history of it was imported", ErrNoRecord, pub)
		}
		s.disabled = false
		return s.Raise(floors), nil
	})
}

// RaiseAll raises the floors of every record: nothing at or below them is signed
// again. It is for a store that is not certain of its newest records, and for a
// restored one: SignedUntil gives what such a one may have forgotten. It may be
// repeated; until it returns nil some records may not have been raised.
func (g *Guard) RaiseAll(ctx context.Context, by Floors) error {
	var keys []bls.PublicKey
	for k, err := range g.States(ctx) {
		if err != nil {
			return err
		}
		keys = append(keys, k.PublicKey)
	}
	return g.Raise(ctx, keys, by)
}
