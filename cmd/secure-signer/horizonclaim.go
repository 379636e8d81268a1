package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/secure-signer/secure-signer/eth2"
)

// claimFlags are those of serve for a folder with a horizon.
type claimFlags struct {
	tpm   tpmFlags
	until optional[eth2.Epoch]
}

func (f *claimFlags) define(flags *pflag.FlagSet) {
	f.tpm.define(flags)
	flags.Var(&f.until, "horizon-claim-until", "claim epochs until this `epoch` however far the clock has gone since the last one: your word that the clock is right")
}

// A claimClock says which epochs are due to be claimed. What is claimed is lost to
// every other copy of the signer, and after a crash to this one, so a clock that
// is wrong must not claim years. It is the host's, and serves liveness only.
type claimClock struct {
	network *eth2.Network
	started time.Time
	until   *eth2.Epoch // --horizon-claim-until: a person's word that the clock is right
}

// A leap further than this between the wall clock and the time that has really
// passed stops the claims.
const maxLeap = time.Hour

// maxGap is how much is claimed at once without a person's word.
const maxGap = 30 * 24 * time.Hour

// epochsIn returns how many there are in a time.
func (c claimClock) epochsIn(d time.Duration) eth2.Epoch {
	seconds := max(1, c.network.SlotsPerEpoch()*c.network.SecondsPerSlot) // of an epoch
	return eth2.Epoch(uint64(d/time.Second) / seconds)
}

var (
	errLeap = errors.New("this machine's clock has leapt")
	errGap  = errors.New("this machine's clock is far past the last epoch that was claimed")
)

// due returns the epoch of the clock and the last one that is to be claimed at
// that time: the next one is in the last slot of each, so that its first slot finds
// it owned. Before genesis there is none, and the chain's epoch 0 is never owned.
func (c claimClock) due(now time.Time) (current, last eth2.Epoch) {
	slot, started := c.network.SlotAt(now.Unix())
	if !started {
		return 0, 0
	}
	return c.network.EpochOf(slot), c.network.EpochOf(slot + 1)
}

// waitFor says to a person that nothing is signed before that epoch, and for how long.
func (c claimClock) waitFor(epoch eth2.Epoch, now time.Time) string {
	begins := time.Unix(int64(c.network.GenesisTime+uint64(c.network.FirstSlot(epoch))*c.network.SecondsPerSlot), 0)
	return fmt.Sprintf("another run may have signed in the epochs before %d, as after any crash: this one goes on by itself at %s, in %v",
		epoch, begins.UTC().Format(time.DateTime+" UTC"), begins.Sub(now).Round(time.Second))
}

// check returns nil if what is due at that time may be claimed, where all until
// claimed is. Passed is the time since the start that has really gone by.
func (c claimClock) check(now time.Time, passed time.Duration, claimed eth2.Epoch) error {
	_, last := c.due(now)
	if last <= claimed || c.until != nil && last <= *c.until {
		return nil
	}
	leap := now.Round(0).Sub(c.started.Round(0)) - passed
	if leap.Abs() > maxLeap {
		return fmt.Errorf("%w by %v since the start: if it is right now, restart the signer", errLeap, leap.Round(time.Second))
	}
	if missed := last - claimed; missed > c.epochsIn(maxGap) {
		return fmt.Errorf("%w: it is in epoch %d, and that is %d; if the clock is right, say so once: serve … --horizon-claim-until %d", errGap, last, claimed, last+c.epochsIn(24*time.Hour))
	}
	return nil
}
