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

// checkClock refuses what is of an epoch too far past the network's clock.
func (g *Guard) checkClock(what string, epoch eth2.Epoch) error {
	if g.unbounded || !g.knowsTime() {
		return nil
	}
	if now, last := g.epochs(g.now(), g.maxFutureEpochs); epoch > last {
		return refuse(reasonTooFarFuture, "%s is in epoch %d, but the clock is in epoch %d: epoch %d is the last that is signed now", what, epoch, now, last)
	}
	return nil
}

// epochs returns the epoch of the network's clock, which stands at 0 before
// genesis, and the last one that a bound lets be signed at that time.
func (g *Guard) epochs(at time.Time, bound uint64) (now, last eth2.Epoch) {
	slot, _ := g.network.SlotAt(at.Unix())
	now = g.network.EpochOf(slot)
	if last = now + eth2.Epoch(bound); last < now {
		last = math.MaxUint64
	}
	return now, last
}

// SignedUntil returns floors above everything that this Guard, or another of its
// configuration, has allowed until at: not only what was due by then, for it
// allows what is some epochs ahead. It returns ErrClockUnknown where the clock
// tells nothing.
//
// An unbounded Guard has no such floors: for it they assume DefaultMaxFutureEpochs.
func (g *Guard) SignedUntil(at time.Time) (Floors, error) {
	if !g.knowsTime() {
		return Floors{}, ErrClockUnknown
	}
	bound := g.maxFutureEpochs
	if g.unbounded {
		bound = DefaultMaxFutureEpochs
	}
	_, last := g.epochs(at, bound)
	return FloorsThrough(g.network, last), nil
}

// FloorsThrough returns floors that refuse every block and vote of an epoch and
// of those before it. The source is floored, too: a vote from before the source
// of one that is not known could surround it, and no source is later than the
// epoch before its target.
func FloorsThrough(n *eth2.Network, last eth2.Epoch) Floors {
	return Floors{
		HasSlot: true, Slot: lastSlot(n, last),
		HasSource: true, Source: max(last, 1) - 1,
		HasTarget: true, Target: last,
	}
}

// lastSlot returns the last slot of an epoch, or the greatest slot where the
// epoch goes beyond it.
func lastSlot(n *eth2.Network, e eth2.Epoch) eth2.Slot {
	if next := n.FirstSlot(e + 1); e < math.MaxUint64 && next < math.MaxUint64 {
		return next - 1
	}
	return math.MaxUint64
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
