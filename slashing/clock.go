package slashing

import (
	"errors"
	"math"
	"time"

	"github.com/secure-signer/secure-signer/eth2"
)

// ErrClockUnknown means that a floor should come from the clock, but the time of
// the network's genesis is not known.
var ErrClockUnknown = errors.New("the time of genesis is unknown, so the clock gives no floor: " +
	"set it, import the key's history, or say explicitly that the key starts without a floor")

// knowsTime tells whether slots can be told from the time of day.
func (g *Guard) knowsTime() bool {
	return g.network.GenesisTime != 0 && g.network.SecondsPerSlot != 0
}

// checkClock refuses what is of an epoch too far past the network's clock, which
// stands at epoch 0 before genesis.
func (g *Guard) checkClock(what string, epoch eth2.Epoch) error {
	if g.unbounded || !g.knowsTime() {
		return nil
	}
	slot, _ := g.network.SlotAt(g.now().Unix())
	now := g.network.EpochOf(slot)
	limit := now + eth2.Epoch(g.maxFutureEpochs)
	if limit < now {
		limit = math.MaxUint64
	}
	if epoch > limit {
		return refuse(reasonTooFarFuture, "%s is in epoch %d, but the clock is in epoch %d: epoch %d is the last that is signed now", what, epoch, now, limit)
	}
	return nil
}

// clockFloors returns floors above everything that an honest signer elsewhere
// can have signed until at: the block of the next slot, in case its clock is
// ahead, and the vote of that epoch, whose source is the epoch before at most.
// Before genesis there was nothing to sign.
func (g *Guard) clockFloors(at time.Time) (Floors, error) {
	if !g.knowsTime() {
		return Floors{}, ErrClockUnknown
	}
	now, started := g.network.SlotAt(at.Unix())
	if !started {
		return Floors{}, nil
	}
	slot := now + 1
	target := g.network.EpochOf(slot)
	source := target
	if source > 0 {
		source--
	}
	return Floors{
		HasSlot: true, Slot: slot,
		HasSource: true, Source: source,
		HasTarget: true, Target: target,
	}, nil
}
