package slashing_test

import (
	"fmt"
	"math/big"
	"testing"

	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/slashing"
)

func ExampleStopAt() {
	mainnet, _ := eth2.Builtin("mainnet")
	epoch := eth2.Epoch(300_000)
	stop := slashing.StopAt(mainnet, &epoch, nil)
	fmt.Println(stop.CheckBlock(9_599_999))
	fmt.Println(stop.CheckBlock(9_600_000))
	fmt.Println(stop.CheckAttestation(299_999, 300_000))
	// Output:
	// <nil>
	// block slot 9600000 is not before the high watermark, slot 9600000
	// attestation from source epoch 299999 to target epoch 300000 is not before the high watermark, epoch 300000
}

// corners are the numbers around which comparisons go wrong.
var corners = []uint64{
	0, 1, 2, 31, 32, 33, 63, 64, 65, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32,
	1<<59 - 1, 1 << 59, 1<<59 + 1, 1<<63 - 1, 1 << 63, 1<<63 + 1, maxUint64 - 1, maxUint64,
}

// before compares as numbers, whatever a machine's words do.
func before(a, b uint64) bool {
	return new(big.Int).SetUint64(a).Cmp(new(big.Int).SetUint64(b)) < 0
}

func TestNothingAtOrPastTheHighWatermarkIsSigned(t *testing.T) {
	for _, mark := range corners {
		h := slashing.HighWatermark{Set: true, Slot: eth2.Slot(mark), Epoch: eth2.Epoch(mark)}
		for _, a := range corners {
			if got := h.CheckBlock(eth2.Slot(a)) == nil; got != before(a, mark) {
				t.Errorf("watermark %d, block at slot %d: allowed %v", mark, a, got)
			}
			for _, b := range corners {
				err := h.CheckAttestation(eth2.Epoch(a), eth2.Epoch(b))
				if got := err == nil; got != (before(a, mark) && before(b, mark)) {
					t.Errorf("watermark %d, vote from %d to %d: allowed %v", mark, a, b, got)
				}
				if err != nil && reasonOf(t, err) != "high_watermark" {
					t.Errorf("reason of %v", err)
				}
			}
		}
	}
}

func TestWithoutAHighWatermarkNothingStops(t *testing.T) {
	h := slashing.HighWatermark{Slot: 5, Epoch: 5}
	for _, n := range corners {
		if err := h.CheckBlock(eth2.Slot(n)); err != nil {
			t.Error(err)
		}
		if err := h.CheckAttestation(eth2.Epoch(n), eth2.Epoch(n)); err != nil {
			t.Error(err)
		}
	}
}

// TestBlocksAndVotesOfAnEpochStopTogether gives one of the two numbers, and looks
// for a block that is signed of an epoch whose votes are not.
func TestBlocksAndVotesOfAnEpochStopTogether(t *testing.T) {
	n := timeless()
	for _, mark := range corners {
		epoch, slot := eth2.Epoch(mark), eth2.Slot(mark)
		for name, h := range map[string]slashing.HighWatermark{
			"epoch": slashing.StopAt(n, &epoch, nil),
			"slot":  slashing.StopAt(n, nil, &slot),
		} {
			if !h.Set || name == "epoch" && h.Epoch != epoch || name == "slot" && h.Slot != slot {
				t.Errorf("%s %d alone: %+v", name, mark, h)
			}
			for _, s := range corners {
				s := eth2.Slot(s)
				voteStops := h.CheckAttestation(0, n.EpochOf(s)) != nil
				blockStops := h.CheckBlock(s) != nil
				if blockStops && !voteStops && s != maxUint64 { // past the last epoch that has a first slot
					t.Errorf("%s %d alone: a block at slot %d stops, and votes of its epoch go on", name, mark, s)
				}
				if name == "epoch" && voteStops != blockStops && s != maxUint64 {
					t.Errorf("epoch %d alone: slot %d: votes stop %v, blocks stop %v", mark, s, voteStops, blockStops)
				}
			}
		}
		if h := slashing.StopAt(n, &epoch, &slot); h != (slashing.HighWatermark{Set: true, Slot: slot, Epoch: epoch}) {
			t.Errorf("both: %+v", h)
		}
	}
	if h := slashing.StopAt(n, nil, nil); h != (slashing.HighWatermark{}) {
		t.Errorf("neither: %+v", h)
	}
}

// TestASignerThatBeginsWhereAnotherStopsConflictsWithNothing is the planned move of
// docs/clients.md: the old signer stops at an epoch, the new one's floors are at
// the epoch before, and neither knows what the other signs.
func TestASignerThatBeginsWhereAnotherStopsConflictsWithNothing(t *testing.T) {
	n := timeless()
	pairs, late := 0, 0
	for epoch := eth2.Epoch(1); epoch < 7; epoch++ {
		stop := slashing.StopAt(n, &epoch, nil)
		begin := slashing.State{}.Raise(slashing.FloorsThrough(n, epoch-1))
		for s := eth2.Epoch(0); s < 8; s++ {
			for end := s; end < 9; end++ {
				if _, err := (slashing.State{}).Attest(s, end, root(1)); err != nil || stop.CheckAttestation(s, end) != nil {
					continue
				}
				for later := eth2.Epoch(0); later < 8; later++ {
					for target := later; target < 9; target++ {
						if _, err := begin.Attest(later, target, root(2)); err != nil {
							continue
						}
						if pairs++; slashable(vote(s, end, 1), vote(later, target, 2)) {
							t.Errorf("epoch %d: %v here and %v there", epoch, vote(s, end, 1), vote(later, target, 2))
						}
						if target == epoch {
							late++
						}
					}
				}
			}
		}
		for slot := n.FirstSlot(epoch) - 3; slot < n.FirstSlot(epoch)+3; slot++ {
			_, err := begin.Propose(slot, root(2))
			if signs := stop.CheckBlock(slot) == nil; signs == (err == nil) {
				t.Errorf("epoch %d, block at slot %d: the old signer %t, the new one %t", epoch, slot, signs, err == nil)
			}
		}
	}
	if pairs < 500 || late == 0 {
		t.Errorf("only %d pairs, %d of them at the epoch itself", pairs, late)
	}
}

func TestAGuardStopsAtItsHighWatermark(t *testing.T) {
	_, store := newGuard(t, 1)
	g := slashing.New(store, slashing.Config{Network: timeless(), HighWatermark: slashing.HighWatermark{Set: true, Slot: 320, Epoch: 10}})
	for _, step := range []struct {
		ask  message
		want string
	}{
		{vote(8, 9, 1), ""},
		{vote(8, 10, 1), "high_watermark"},
		{vote(8, 9, 1), ""}, // a retry below it goes on
		{vote(10, 11, 1), "high_watermark"},
		{block(319, 1), ""},
		{block(320, 1), "high_watermark"},
		{block(maxUint64, 1), "high_watermark"},
		{block(319, 1), ""},
	} {
		err := step.ask.record(g, key(0))
		if got := reasonOf(t, err); got != step.want {
			t.Errorf("%v: reason %q (%v), want %q", step.ask, got, err, step.want)
		}
	}
	// What was refused has left nothing behind: another signer on the same store
	// begins exactly there.
	next := slashing.New(store, slashing.Config{Network: timeless()})
	for _, m := range []message{vote(8, 10, 2), block(320, 2)} {
		if err := m.record(next, key(0)); err != nil {
			t.Errorf("%v by the next signer: %v", m, err)
		}
	}
	// What was signed past it elsewhere is not signed again here.
	for _, m := range []message{vote(8, 10, 2), block(320, 2)} {
		if got := reasonOf(t, m.record(g, key(0))); got != "high_watermark" {
			t.Errorf("%v again: reason %q", m, got)
		}
	}
	if got := g.HighWatermark(); got.Slot != 320 || got.Epoch != 10 {
		t.Errorf("HighWatermark: %+v", got)
	}
}
