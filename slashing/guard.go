// Package slashing decides whether a validator may sign, and remembers it.
//
// # Guaranteed
//
// Of any two messages that a Guard has allowed one key to sign, on one chain,
// from one store, neither can be held against the other: no two blocks for one
// slot, no two votes for one target, no vote that surrounds another. This holds
// under concurrency, across processes that share the store, and across crashes,
// because Record returns nil only once the record that forbids every conflict is
// durable. An imported history forbids what conflicts with it in the same way.
//
// Every failure refuses: a record that is missing, damaged or of another format,
// a store that does not answer, a clock that is not known where one is needed.
//
// # Not guaranteed
//
//   - That a store which was rolled back or copied by its owner is noticed:
//     that is what Epochs are for.
//   - That every harmless message is allowed. Only the newest block and vote are
//     remembered (EIP-3076, "minimal" strategy): an older message is refused,
//     although it may conflict with nothing.
//   - That the clock is right. It is the host's: it serves liveness, and safety
//     against honest mistakes only.
//
// The rules are pure functions of a State; a Guard is the only place where they
// meet a store. Sources: EIP-3076; consensus-specs phase0/validator.md, "How to
// avoid slashing", and phase0/beacon-chain.md, is_slashable_attestation_data.
package slashing

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/record"
)

// Config says which chain a Guard protects and how far ahead it lets it sign.
type Config struct {
	Network *eth2.Network // required: its genesis_validators_root is part of every record's key

	// A block's epoch and a vote's target are at most this many epochs past the
	// network's clock: one absurd request would otherwise forbid everything until
	// then. Unbounded switches this off; so does an unknown time of genesis.
	MaxFutureEpochs uint64
	Unbounded       bool

	HighWatermark HighWatermark // nothing at or past it is signed

	Epochs Epochs // nil owns every epoch: no other copy of the store ever signs

	Now func() time.Time // nil is time.Now
}

// DefaultMaxFutureEpochs allows for a client whose clock is ahead of ours, and
// for the attestation duties of the next epoch.
const DefaultMaxFutureEpochs = 1

// A Guard keeps one record for each key of one chain in a store. It holds no
// state of its own, so any number of Guards may share a store. It is safe for
// concurrent use.
type Guard struct {
	store   record.Store
	network *eth2.Network
	owned   Epochs
	now     func() time.Time

	maxFutureEpochs uint64
	unbounded       bool
	highWatermark   HighWatermark
}

// New returns a Guard over store.
func New(store record.Store, cfg Config) *Guard {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Guard{
		store: store, network: cfg.Network, owned: orEvery(cfg.Epochs), now: cfg.Now,
		maxFutureEpochs: cfg.MaxFutureEpochs, unbounded: cfg.Unbounded,
		highWatermark: cfg.HighWatermark,
	}
}

// Record returns nil once m, whose signing root is root, may be signed with pub:
// its record is durable, and forbids whatever conflicts with m. Kinds of message
// that cannot be slashed need no record.
//
// Whether this copy of the store may sign in that epoch at all is asked before
// the store is, for a message that was signed before as for a new one: another
// copy may have signed there since.
//
// It returns a *Refusal if m must not be signed. After any other error nothing
// may be signed either, and m may have been recorded or not: only m itself is
// then certain not to conflict, and asking again tells.
//
// A caller that gives up before the record is written has changed nothing. One
// that gives up later waits all the same.
func (g *Guard) Record(ctx context.Context, pub bls.PublicKey, m eth2.Message, root eth2.Root) error {
	switch m := m.(type) {
	case *eth2.Block:
		slot := m.Slot()
		recorded, err := g.admitBlock(ctx, g.owned, slot)
		if err != nil {
			return err
		}
		defer recorded()
		return g.change(ctx, pub, known(pub, func(s State) (State, error) { return s.Propose(slot, root) }))
	case *eth2.Attestation:
		source, target := m.Data.Source.Epoch, m.Data.Target.Epoch
		recorded, err := g.admitVote(ctx, g.owned, source, target)
		if err != nil {
			return err
		}
		defer recorded()
		return g.change(ctx, pub, known(pub, func(s State) (State, error) { return s.Attest(source, target, root) }))
	default:
		return nil
	}
}

// admitBlock is what comes before the record: recorded must be called once that
// is durable, or nothing is going to be signed.
func (g *Guard) admitBlock(ctx context.Context, owned Epochs, slot eth2.Slot) (recorded func(), err error) {
	if err := g.highWatermark.CheckBlock(slot); err != nil {
		return nil, err
	}
	epoch := g.network.EpochOf(slot)
	if err := g.checkClock("block", epoch); err != nil {
		return nil, err
	}
	if recorded, err = owned.Propose(ctx, uint64(epoch)); err != nil {
		return nil, notOwned(err)
	}
	return recorded, nil
}

// admitVote is admitBlock for an attestation.
func (g *Guard) admitVote(ctx context.Context, owned Epochs, source, target eth2.Epoch) (recorded func(), err error) {
	if err := g.highWatermark.CheckAttestation(source, target); err != nil {
		return nil, err
	}
	if err := g.checkClock("attestation target", target); err != nil {
		return nil, err
	}
	if recorded, err = owned.Attest(ctx, uint64(source), uint64(target)); err != nil {
		return nil, notOwned(err)
	}
	return recorded, nil
}

// known is a rule for records that exist. A missing record is not an empty one:
// the key may have signed anything.
func known(pub bls.PublicKey, rule func(State) (State, error)) func(State, bool) (State, error) {
	return func(s State, exists bool) (State, error) {
		if !exists {
			return s, refuse(reasonNoRecord, "%w of %v: import its history, or import the key again", ErrNoRecord, pub)
		}
		return rule(s)
	}
}

// Disable forbids pub to sign, durably. What it has signed stays on record. It
// returns ErrNoRecord if nothing is known of pub.
//
// It is a change like any other, so a Record at the same time comes either
// before it, and is in what Export then gives, or after it, and is refused.
func (g *Guard) Disable(ctx context.Context, pub bls.PublicKey) error {
	return g.change(ctx, pub, func(s State, exists bool) (State, error) {
		if !exists {
			return s, fmt.Errorf("%w of %v", ErrNoRecord, pub)
		}
		s.disabled = true
		return s, nil
	})
}

// HighWatermark returns where this Guard stops to sign.
func (g *Guard) HighWatermark() HighWatermark { return g.highWatermark }

// State returns what is remembered of pub, or ErrNoRecord.
func (g *Guard) State(ctx context.Context, pub bls.PublicKey) (State, error) {
	s, version, err := g.load(ctx, pub)
	if err == nil && version == noRecord {
		err = fmt.Errorf("%w of %v", ErrNoRecord, pub)
	}
	return s, err
}

// noRecord is the version of a record that does not exist: a store counts from 1.
const noRecord record.Version = 0

// writeTimeout bounds a write that goes on when its caller has gone. Past it the
// outcome is unknown, and nothing is signed.
const writeTimeout = 10 * time.Second

// change swaps the record of pub for what rule makes of it, and returns nil once
// that is durable. The write is made even where rule changes nothing: what was
// loaded proves only itself, not that a retry will still find it.
//
// If another change comes first, rule decides anew on its outcome. There is no
// limit to that: each round that is lost is one that another has won.
func (g *Guard) change(ctx context.Context, pub bls.PublicKey, rule func(s State, exists bool) (State, error)) error {
	for {
		s, version, err := g.load(ctx, pub)
		if err != nil {
			return err
		}
		if s, err = rule(s, version != noRecord); err != nil {
			return err
		}
		err = g.write(ctx, pub, version, s)
		if errors.Is(err, record.ErrConflict) || errors.Is(err, record.ErrExists) {
			continue
		}
		if err != nil {
			return fmt.Errorf("write the slashing record of %v: %w", pub, err)
		}
		return nil
	}
}

// load returns the record of pub and its version, or noRecord.
func (g *Guard) load(ctx context.Context, pub bls.PublicKey) (State, record.Version, error) {
	r, err := g.store.Load(ctx, g.key(pub))
	if errors.Is(err, record.ErrNotFound) {
		return State{}, noRecord, nil
	}
	if err != nil {
		return State{}, noRecord, fmt.Errorf("load the slashing record of %v: %w", pub, err)
	}
	var s State
	if err := s.UnmarshalBinary(r.Value); err != nil {
		return State{}, noRecord, fmt.Errorf("read the slashing record of %v: %w", pub, err)
	}
	return s, r.Version, nil
}

func (g *Guard) write(ctx context.Context, pub bls.PublicKey, old record.Version, s State) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	value, err := s.MarshalBinary()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	if old == noRecord {
		return g.store.Create(ctx, g.key(pub), value)
	}
	return g.store.Replace(ctx, g.key(pub), old, value)
}

// key binds a record to its chain: the same key on another chain has another.
func (g *Guard) key(pub bls.PublicKey) record.Key {
	return record.Key(g.network.GenesisValidatorsRoot[:]) + record.Key(pub[:])
}

// publicKey is the inverse of key. It is false for a record of another chain.
func (g *Guard) publicKey(key record.Key) (bls.PublicKey, bool) {
	var pub bls.PublicKey
	chain := record.Key(g.network.GenesisValidatorsRoot[:])
	if len(key) != len(chain)+len(pub) || key[:len(chain)] != chain {
		return pub, false
	}
	copy(pub[:], key[len(chain):])
	return pub, true
}
