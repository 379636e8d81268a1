package slashing

import (
	"context"
	"errors"
	"math"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
)

// MayPropose returns what Record would say of a block that was never signed, and
// writes nothing. An answer holds for its moment only: what is asked for next may
// change it.
//
// Of other copies of the store it asks owned, where nil owns every epoch: the
// Guard's own Epochs may take the first question about a vote for the vote.
func (g *Guard) MayPropose(ctx context.Context, owned Epochs, pub bls.PublicKey, slot eth2.Slot) error {
	recorded, err := g.admitBlock(ctx, orEvery(owned), slot)
	if err != nil {
		return err
	}
	defer recorded()
	err = g.judge(ctx, pub, func(s State) (State, error) { return s.Propose(slot, eth2.Root{}) })
	if reasonOf(err) == reasonDoubleBlock {
		return refuse(reasonDoubleBlock, "a block was signed for slot %d: only that very block is signed again", slot)
	}
	return err
}

// MayAttest is MayPropose for an attestation.
func (g *Guard) MayAttest(ctx context.Context, owned Epochs, pub bls.PublicKey, source, target eth2.Epoch) error {
	recorded, err := g.admitVote(ctx, orEvery(owned), source, target)
	if err != nil {
		return err
	}
	defer recorded()
	err = g.judge(ctx, pub, func(s State) (State, error) { return s.Attest(source, target, eth2.Root{}) })
	if reasonOf(err) == reasonDoubleVote {
		return refuse(reasonDoubleVote, "an attestation was signed to target epoch %d: only that very one is signed again", target)
	}
	return err
}

// judge returns what rule says of the record of pub as it is.
func (g *Guard) judge(ctx context.Context, pub bls.PublicKey, rule func(State) (State, error)) error {
	s, version, err := g.load(ctx, pub)
	if err == nil {
		_, err = known(pub, rule)(s, version != noRecord)
	}
	return err
}

func reasonOf(err error) string {
	var r *Refusal
	if errors.As(err, &r) {
		return r.reason
	}
	return ""
}

// NextBlock returns the first slot, from one on, for which the record of pub and
// the high watermark allow a block once its time has come. It is false if there
// is none, as far as is known.
func (g *Guard) NextBlock(ctx context.Context, pub bls.PublicKey, from eth2.Slot) (eth2.Slot, bool) {
	s, err := g.State(ctx, pub)
	if err != nil {
		return 0, false
	}
	if w := s.Watermarks(); w.HasSlot && from <= w.Slot && w.Slot < math.MaxUint64 {
		from = w.Slot + 1
	}
	_, err = s.Propose(from, eth2.Root{})
	return from, err == nil && g.highWatermark.CheckBlock(from) == nil
}

// NextVote is NextBlock for an attestation whose source is the epoch before its
// target, than which none is later.
func (g *Guard) NextVote(ctx context.Context, pub bls.PublicKey, from eth2.Epoch) (target eth2.Epoch, ok bool) {
	s, err := g.State(ctx, pub)
	if err != nil {
		return 0, false
	}
	w := s.Watermarks()
	if w.HasTarget && from <= w.Target && w.Target < math.MaxUint64 {
		from = w.Target + 1
	}
	if w.HasSource && from <= w.Source && w.Source < math.MaxUint64 {
		from = w.Source + 1
	}
	source := LatestSource(from)
	_, err = s.Attest(source, from, eth2.Root{})
	return from, err == nil && g.highWatermark.CheckAttestation(source, from) == nil
}

// LatestSource returns the latest source of a vote to an epoch: no checkpoint of
// that epoch itself is justified before it has passed.
func LatestSource(target eth2.Epoch) eth2.Epoch { return max(target, 1) - 1 }
