package eth2

import (
	"fmt"
	"slices"
)

// ForkInfo is what a client says about the fork of its message.
type ForkInfo struct {
	Fork                  Fork `json:"fork"`
	GenesisValidatorsRoot Root `json:"genesis_validators_root"`
}

// A Fork is the version before and from an epoch on.
type Fork struct {
	PreviousVersion Version `json:"previous_version"`
	CurrentVersion  Version `json:"current_version"`
	Epoch           Epoch   `json:"epoch"`
}

// UnknownFork reports that m is one of the messages whose root is computed
// although its current_version is not in the schedule: worth a warning,
// because a newer release of the signer is due.
func (n *Network) UnknownFork(m Message) bool {
	f := m.forkInfo()
	return f != nil && f.GenesisValidatorsRoot == n.GenesisValidatorsRoot && n.isNewer(m, f)
}

// signingRoot mixes the root of m's object with its domain at an epoch.
func (n *Network) signingRoot(m Message, h *hasher, at Epoch, object Root) (Root, error) {
	f := m.forkInfo()
	if err := n.checkFork(m, f); err != nil {
		return Root{}, err
	}
	if h.err != nil {
		return Root{}, fmt.Errorf("%v: %w", m.Kind(), h.err)
	}
	version := f.Fork.CurrentVersion
	if at < f.Fork.Epoch {
		version = f.Fork.PreviousVersion
	}
	if m.Kind() == KindVoluntaryExit {
		version = n.exitVersion(f, version)
	}
	return container(object, computeDomain(m.Kind(), version, n.GenesisValidatorsRoot)), nil
}

// builderRoot mixes the root of m's object with a domain of the builder specs:
// the same on every fork, under the genesis version and a root of zeros.
func (n *Network) builderRoot(m Message, h *hasher, object Root) (Root, error) {
	if h.err != nil {
		return Root{}, fmt.Errorf("%v: %w", m.Kind(), h.err)
	}
	return container(object, computeDomain(m.Kind(), n.Forks[0].Version, Root{})), nil
}

// checkFork holds f against the chain and its schedule. Each version must be
// in the schedule, and no more: Lodestar sends the message's epoch as that of
// the fork, Lighthouse sends Capella as both versions of an exit.
func (n *Network) checkFork(m Message, f *ForkInfo) error {
	switch {
	case f.GenesisValidatorsRoot != n.GenesisValidatorsRoot:
		return fmt.Errorf("%w: %v, want %v of %s", ErrForeignChain, f.GenesisValidatorsRoot, n.GenesisValidatorsRoot, n.Name)
	case n.position(f.Fork.PreviousVersion) < 0:
		return fmt.Errorf("%w: previous_version %v on %s", ErrUnknownFork, f.Fork.PreviousVersion, n.Name)
	case n.position(f.Fork.CurrentVersion) < 0 && !n.isNewer(m, f):
		return fmt.Errorf("%w: current_version %v on %s", ErrUnknownFork, f.Fork.CurrentVersion, n.Name)
	}
	return nil
}

// isNewer tells whether f names the fork after the last one we know, for a
// message whose layout has not changed since Altair. Those are signed, so that
// a signer upgraded late does not stop its validators. A wrong guess costs a
// useless signature, never a conflict: the record does not depend on the fork.
func (n *Network) isNewer(m Message, f *ForkInfo) bool {
	switch m := m.(type) {
	case *Attestation, *RandaoReveal, *AggregationSlot,
		*SyncCommitteeMessage, *SyncCommitteeSelectionProof, *ContributionAndProof:
	case *Block:
		if m.Full != nil {
			return false
		}
	default:
		return false
	}
	last := len(n.Forks) - 1
	return n.position(f.Fork.CurrentVersion) < 0 && last >= 0 && n.position(f.Fork.PreviousVersion) == last
}

// exitVersion is the version that an exit is signed under: Capella's for ever
// once the client is at Deneb.
//
// Source: EIP-7044. The client's fork decides and not the exit's epoch, which
// may be old.
func (n *Network) exitVersion(f *ForkInfo, otherwise Version) Version {
	deneb := slices.IndexFunc(n.Forks, func(s ScheduledFork) bool { return s.Fork >= Deneb })
	capella := slices.IndexFunc(n.Forks, func(s ScheduledFork) bool { return s.Fork == Capella })
	if deneb < 0 || capella < 0 || n.position(f.Fork.CurrentVersion) < deneb {
		return otherwise
	}
	return n.Forks[capella].Version
}

// computeDomain is the domain of a kind of message under a fork version.
//
// Source: consensus-specs phase0/beacon-chain.md, compute_domain.
func computeDomain(k Kind, v Version, genesisValidatorsRoot Root) (domain Root) {
	var version Root
	copy(version[:], v[:])
	forkData := container(version, genesisValidatorsRoot)
	copy(domain[:4], kinds[k].domain[:])
	copy(domain[4:], forkData[:28])
	return domain
}
