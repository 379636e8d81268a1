package slashing

import (
	"github.com/secure-signer/secure-signer/eth2"
)

// A State is all that is remembered of one key on one chain: the last block and
// the last attestation signed here, and floors that say what else must not be
// signed. It is a value: a rule returns the State that permits what was asked,
// which must be durable before anything is signed, or a *Refusal.
//
// The zero State is that of a key that has never signed anything anywhere.
type State struct {
	block       signedBlock
	attestation signedAttestation
	floors      Floors
	disabled    bool
}

// Presence is a bit of its own: slot 0 and epoch 0 are signed too.
type signedBlock struct {
	present bool
	slot    eth2.Slot
	root    eth2.Root // the signing root
}

type signedAttestation struct {
	present        bool
	source, target eth2.Epoch
	root           eth2.Root // the signing root: it differs where only the fork does
}

// Propose returns the State after a block at slot with that signing root.
//
// A block is refused unless its slot is after the last one signed; only the
// identical signing root is signed again, so that a lost answer costs no duty.
//
// Source: EIP-3076, "Conditions" 1 and 2, and is_slashable in consensus-specs
// phase0/beacon-chain.md, process_proposer_slashing.
func (s State) Propose(slot eth2.Slot, root eth2.Root) (State, error) {
	last := s.block
	switch {
	case s.disabled:
		return s, errDisabled()
	case s.floors.HasSlot && slot <= s.floors.Slot:
		return s, refuse(reasonBelowFloor, "block slot %d is not above the floor, slot %d", slot, s.floors.Slot)
	case last.present && slot < last.slot:
		return s, refuse(reasonBelowWatermark, "block slot %d is before slot %d, the last one signed", slot, last.slot)
	case last.present && slot == last.slot && root == last.root:
		return s, nil
	case last.present && slot == last.slot:
		return s, refuse(reasonDoubleBlock, "block at slot %d has signing root %v, but %v was signed for that slot", slot, root, last.root)
	}
	s.block = signedBlock{present: true, slot: slot, root: root}
	return s, nil
}

// Attest returns the State after an attestation from source to target with that
// signing root.
//
// An attestation is refused unless its target is after the last one signed and
// its source is not before the last one signed: then it can neither double nor
// surround, nor be surrounded by, any earlier one. Only the identical signing
// root is signed again.
//
// Source: EIP-3076, "Conditions" 3 to 5, and is_slashable_attestation_data in
// consensus-specs phase0/beacon-chain.md.
func (s State) Attest(source, target eth2.Epoch, root eth2.Root) (State, error) {
	last := s.attestation
	switch {
	case s.disabled:
		return s, errDisabled()
	case !isVote(source, target):
		return s, refuse(reasonSourceAfterTarget, "attestation source epoch %d is not before target epoch %d", source, target)
	case s.floors.HasTarget && target <= s.floors.Target:
		return s, refuse(reasonBelowFloor, "attestation target epoch %d is not above the floor, epoch %d", target, s.floors.Target)
	case s.floors.HasSource && source < s.floors.Source:
		return s, refuse(reasonBelowFloor, "attestation source epoch %d is below the floor, epoch %d", source, s.floors.Source)
	case last.present && target < last.target:
		return s, refuse(reasonBelowWatermark, "attestation target epoch %d is before epoch %d, the last one signed", target, last.target)
	case last == signedAttestation{present: true, source: source, target: target, root: root}:
		return s, nil
	case last.present && target == last.target:
		return s, refuse(reasonDoubleVote, "attestation to target epoch %d has signing root %v, but %v was signed for that epoch", target, root, last.root)
	case last.present && source < last.source:
		return s, refuse(reasonSurroundVote, "attestation from source epoch %d to target epoch %d would surround the last one signed, from %d to %d", source, target, last.source, last.target)
	}
	s.attestation = signedAttestation{present: true, source: source, target: target, root: root}
	return s, nil
}

// isVote tells whether a vote can exist: its source is justified before its
// target begins, except that the chain starts with a vote from 0 to 0.
func isVote(source, target eth2.Epoch) bool {
	return source < target || source == 0 && target == 0
}

// Raise returns the State with floors at least as high as by. It lowers nothing.
func (s State) Raise(by Floors) State {
	s.floors = s.floors.raised(by)
	return s
}

// Disabled tells whether the key may sign nothing that could be slashed,
// because it has been deleted or has never been enrolled.
func (s State) Disabled() bool { return s.disabled }

// LastBlock returns the last block signed here, with its signing root. It is false
// if there was none.
func (s State) LastBlock() (slot eth2.Slot, root eth2.Root, ok bool) {
	return s.block.slot, s.block.root, s.block.present
}

// LastAttestation returns the last attestation signed here, with its signing root.
// It is false if there was none.
func (s State) LastAttestation() (source, target eth2.Epoch, root eth2.Root, ok bool) {
	a := s.attestation
	return a.source, a.target, a.root, a.present
}

// Floors returns the bounds that come from elsewhere than from signing here.
func (s State) Floors() Floors { return s.floors }

// Watermarks returns the higher of what was signed and what the floors say.
func (s State) Watermarks() Floors {
	return s.floors.raised(Floors{
		HasSlot: s.block.present, Slot: s.block.slot,
		HasSource: s.attestation.present, Source: s.attestation.source,
		HasTarget: s.attestation.present, Target: s.attestation.target,
	})
}
