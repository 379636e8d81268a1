package slashing

import (
	"context"
	"fmt"
	"iter"

	"github.com/secure-signer/secure-signer/bls"
)

// A KeyState is what is remembered of one key.
type KeyState struct {
	PublicKey bls.PublicKey
	State     State
}

// States yields what is remembered of every key of this chain, sorted, also of
// keys that are not held here. After an error it yields no more.
func (g *Guard) States(ctx context.Context) iter.Seq2[KeyState, error] {
	return func(yield func(KeyState, error) bool) {
		for e, err := range g.store.List(ctx) {
			if err != nil {
				yield(KeyState{}, fmt.Errorf("list slashing records: %w", err))
				return
			}
			pub, ok := g.publicKey(e.Key)
			if !ok {
				continue
			}
			k := KeyState{PublicKey: pub}
			if err := k.State.UnmarshalBinary(e.Value); err != nil {
				yield(KeyState{}, fmt.Errorf("read the slashing record of %v: %w", pub, err))
				return
			}
			if !yield(k, nil) {
				return
			}
		}
	}
}

// Raise raises the floors of keys, and lowers none. Nothing is raised if one of
// them has no record: the error is ErrNoRecord. After another error some may not
// have been raised. It may be repeated.
func (g *Guard) Raise(ctx context.Context, keys []bls.PublicKey, by Floors) error {
	for _, pub := range keys {
		if _, err := g.State(ctx, pub); err != nil {
			return err
		}
	}
	return summary("raised", eachKey(keys, func(pub bls.PublicKey) error {
		return g.change(ctx, pub, func(s State, _ bool) (State, error) { return s.Raise(by), nil })
	}))
}
