package slashing

import "github.com/secure-signer/secure-signer/eth2"

// A HighWatermark is where signing stops, for a planned move: nothing at or past
// it is signed, so another signer may be made ready to begin there. It replaces no
// interchange: the other signer must still know what was signed before. The zero
// HighWatermark stops nothing.
//
// It belongs to a Guard, not to a record: whoever starts a signer without it has
// taken it away.
//
// Source: Web3Signer, "high watermark": the same bounds are refused there.
type HighWatermark struct {
	Set   bool
	Slot  eth2.Slot  // a block at or past it is refused
	Epoch eth2.Epoch // an attestation whose source or target is at or past it is refused
}

// StopAt returns the watermark at an epoch and a slot. Where one of them is nil
// it follows from the other, so that blocks and votes of an epoch stop together:
// a key that only voted no more would go on to propose in two places.
func StopAt(n *eth2.Network, epoch *eth2.Epoch, slot *eth2.Slot) HighWatermark {
	switch {
	case epoch != nil && slot != nil:
		return HighWatermark{Set: true, Slot: *slot, Epoch: *epoch}
	case epoch != nil:
		return HighWatermark{Set: true, Slot: n.FirstSlot(*epoch), Epoch: *epoch}
	case slot != nil:
		return HighWatermark{Set: true, Slot: *slot, Epoch: n.EpochOf(*slot)}
	}
	return HighWatermark{}
}

// CheckBlock refuses a block at or past the watermark.
func (h HighWatermark) CheckBlock(slot eth2.Slot) error {
	if h.Set && slot >= h.Slot {
		return refuse(reasonHighWatermark, "block slot %d is not before the high watermark, slot %d", slot, h.Slot)
	}
	return nil
}

// CheckAttestation refuses a vote that touches an epoch at or past the watermark.
func (h HighWatermark) CheckAttestation(source, target eth2.Epoch) error {
	if h.Set && max(source, target) >= h.Epoch {
		return refuse(reasonHighWatermark, "attestation from source epoch %d to target epoch %d is not before the high watermark, epoch %d", source, target, h.Epoch)
	}
	return nil
}
