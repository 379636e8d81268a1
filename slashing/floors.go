package slashing

import "github.com/secure-signer/secure-signer/eth2"

// Floors are bounds that come from elsewhere than from signing: an imported
// history, the clock at a key's arrival, a restore. What was signed at or below
// them is not known, so not even the identical message is signed again.
type Floors struct {
	HasSlot bool
	Slot    eth2.Slot // a block at or below is refused

	HasSource bool
	Source    eth2.Epoch // an attestation from below is refused

	HasTarget bool
	Target    eth2.Epoch // an attestation to this or below is refused
}

// raised returns the higher of f and by, each of the three for itself.
func (f Floors) raised(by Floors) Floors {
	f.HasSlot, f.Slot = higher(f.HasSlot, f.Slot, by.HasSlot, by.Slot)
	f.HasSource, f.Source = higher(f.HasSource, f.Source, by.HasSource, by.Source)
	f.HasTarget, f.Target = higher(f.HasTarget, f.Target, by.HasTarget, by.Target)
	return f
}

// higher returns the greater of two numbers that may be absent.
func higher[N ~uint64](hasA bool, a N, hasB bool, b N) (bool, N) {
	switch {
	case !hasA && !hasB:
		return false, 0
	case !hasB || hasA && a >= b:
		return true, a
	default:
		return true, b
	}
}
