package eth2

// A Message is something that a validator or builder signs: one of the
// pointers to the structs below. Its fields are named as in the Web3Signer
// API, so that an edge decodes a request's object straight into it or into its
// Data.
type Message interface {
	Kind() Kind

	// SigningRoot returns the root to sign for n. The error is
	// ErrForeignChain, ErrUnknownFork or ErrInvalidMessage.
	SigningRoot(n *Network) (Root, error)

	// forkInfo is nil where the domain does not depend on the fork.
	forkInfo() *ForkInfo
}

// An Attestation is a vote for a target, a source and a head.
type Attestation struct {
	ForkInfo ForkInfo
	Data     AttestationData
}

// A Block is a proposal: the whole block of Phase0 and Altair, or the header
// from Bellatrix on. Exactly one of Full and Header is set.
type Block struct {
	ForkInfo ForkInfo
	Version  ForkName // as sent; may be left out
	Full     *BeaconBlock
	Header   *BeaconBlockHeader
}

// An AggregationSlot proves that a validator is an aggregator of a slot.
type AggregationSlot struct {
	ForkInfo ForkInfo `json:"-"`
	Slot     Slot     `json:"slot"`
}

// An AggregateAndProof carries an aggregate in the layout of its fork:
// Version if given, else as CommitteeBits and the network's schedule tell.
type AggregateAndProof struct {
	ForkInfo ForkInfo
	Version  ForkName // as sent; may be left out
	Data     AggregateAndProofData
}

// A RandaoReveal is a proposer's share of an epoch's randomness.
type RandaoReveal struct {
	ForkInfo ForkInfo `json:"-"`
	Epoch    Epoch    `json:"epoch"`
}

// A Deposit is the specs' DepositMessage. It is valid across forks and names
// the chain by its genesis fork version alone.
type Deposit struct {
	Pubkey                PublicKey `json:"pubkey"`
	WithdrawalCredentials Root      `json:"withdrawal_credentials"`
	Amount                Gwei      `json:"amount"`
	GenesisForkVersion    Version   `json:"genesis_fork_version"`
}

// A VoluntaryExit ends a validator's service.
type VoluntaryExit struct {
	ForkInfo ForkInfo
	Data     VoluntaryExitData
}

// A SyncCommitteeMessage is a sync committee member's vote for a head.
type SyncCommitteeMessage struct {
	ForkInfo        ForkInfo `json:"-"`
	BeaconBlockRoot Root     `json:"beacon_block_root"`
	Slot            Slot     `json:"slot"`
}

// A SyncCommitteeSelectionProof proves that a validator is an aggregator of a
// sync subcommittee.
type SyncCommitteeSelectionProof struct {
	ForkInfo ForkInfo
	Data     SyncAggregatorSelectionData
}

// A ContributionAndProof carries a sync subcommittee's aggregate.
type ContributionAndProof struct {
	ForkInfo ForkInfo
	Data     ContributionAndProofData
}

// A ValidatorRegistration tells builders where a validator's fees go.
type ValidatorRegistration struct {
	Registration ValidatorRegistrationData
}

func (*Attestation) Kind() Kind                 { return KindAttestation }
func (*Block) Kind() Kind                       { return KindBlock }
func (*AggregationSlot) Kind() Kind             { return KindAggregationSlot }
func (*AggregateAndProof) Kind() Kind           { return KindAggregateAndProof }
func (*RandaoReveal) Kind() Kind                { return KindRandaoReveal }
func (*Deposit) Kind() Kind                     { return KindDeposit }
func (*VoluntaryExit) Kind() Kind               { return KindVoluntaryExit }
func (*SyncCommitteeMessage) Kind() Kind        { return KindSyncCommitteeMessage }
func (*SyncCommitteeSelectionProof) Kind() Kind { return KindSyncCommitteeSelectionProof }
func (*ContributionAndProof) Kind() Kind        { return KindContributionAndProof }
func (*ValidatorRegistration) Kind() Kind       { return KindValidatorRegistration }

func (m *Attestation) forkInfo() *ForkInfo                 { return &m.ForkInfo }
func (m *Block) forkInfo() *ForkInfo                       { return &m.ForkInfo }
func (m *AggregationSlot) forkInfo() *ForkInfo             { return &m.ForkInfo }
func (m *AggregateAndProof) forkInfo() *ForkInfo           { return &m.ForkInfo }
func (m *RandaoReveal) forkInfo() *ForkInfo                { return &m.ForkInfo }
func (*Deposit) forkInfo() *ForkInfo                       { return nil }
func (m *VoluntaryExit) forkInfo() *ForkInfo               { return &m.ForkInfo }
func (m *SyncCommitteeMessage) forkInfo() *ForkInfo        { return &m.ForkInfo }
func (m *SyncCommitteeSelectionProof) forkInfo() *ForkInfo { return &m.ForkInfo }
func (m *ContributionAndProof) forkInfo() *ForkInfo        { return &m.ForkInfo }
func (*ValidatorRegistration) forkInfo() *ForkInfo         { return nil }

func (m *Attestation) SigningRoot(n *Network) (Root, error) {
	h := hasher{Preset: n.Preset}
	return n.signingRoot(m, &h, m.Data.Target.Epoch, m.Data.root(&h))
}

// Slot returns the slot that the block is proposed for.
func (m *Block) Slot() Slot {
	switch {
	case m.Header != nil:
		return m.Header.Slot
	case m.Full != nil:
		return m.Full.Slot
	}
	return 0
}

func (m *Block) SigningRoot(n *Network) (Root, error) {
	h := hasher{Preset: n.Preset}
	return n.signingRoot(m, &h, n.EpochOf(m.Slot()), m.root(&h))
}

func (m *Block) root(h *hasher) Root {
	switch {
	case (m.Full == nil) == (m.Header == nil):
		h.invalid("a block needs either the whole block or its header")
		return Root{}
	case m.Header != nil:
		if m.Version == Phase0 || m.Version == Altair {
			h.invalid("a block of %v needs the whole block, not its header", m.Version)
		}
		return m.Header.root(h)
	}
	layout := Phase0
	if m.Full.Body.SyncAggregate != nil {
		layout = Altair
	}
	if m.Version != 0 && m.Version != layout {
		h.invalid("a block said to be of %v has the shape of %v", m.Version, layout)
	}
	return m.Full.root(h)
}

func (m *AggregationSlot) SigningRoot(n *Network) (Root, error) {
	return n.signingRoot(m, &hasher{}, n.EpochOf(m.Slot), number(m.Slot))
}

func (m *AggregateAndProof) SigningRoot(n *Network) (Root, error) {
	h := hasher{Preset: n.Preset}
	slot := m.Data.Aggregate.Data.Slot
	electra := m.Data.Aggregate.CommitteeBits != nil
	layout := m.Version
	if layout == 0 {
		layout = n.ForkAt(n.EpochOf(slot))
		if electra {
			layout = max(layout, Electra)
		}
	}
	if electra != (layout >= Electra) {
		h.invalid("committee_bits present: %t, in an aggregate of %v", electra, layout)
	}
	var object Root
	if layout >= Gloas {
		object = m.Data.gloasRoot(&h)
	} else {
		object = m.Data.root(&h)
	}
	return n.signingRoot(m, &h, n.EpochOf(slot), object)
}

func (m *RandaoReveal) SigningRoot(n *Network) (Root, error) {
	return n.signingRoot(m, &hasher{}, m.Epoch, number(m.Epoch))
}

func (m *Deposit) SigningRoot(*Network) (Root, error) {
	return container(m.MessageRoot(), computeDomain(m.Kind(), m.GenesisForkVersion, Root{})), nil
}

func (m *VoluntaryExit) SigningRoot(n *Network) (Root, error) {
	h := hasher{Preset: n.Preset}
	return n.signingRoot(m, &h, m.Data.Epoch, m.Data.root(&h))
}

func (m *SyncCommitteeMessage) SigningRoot(n *Network) (Root, error) {
	return n.signingRoot(m, &hasher{}, n.EpochOf(m.Slot), m.BeaconBlockRoot)
}

func (m *SyncCommitteeSelectionProof) SigningRoot(n *Network) (Root, error) {
	h := hasher{Preset: n.Preset}
	return n.signingRoot(m, &h, n.EpochOf(m.Data.Slot), m.Data.root(&h))
}

func (m *ContributionAndProof) SigningRoot(n *Network) (Root, error) {
	h := hasher{Preset: n.Preset}
	return n.signingRoot(m, &h, n.EpochOf(m.Data.Contribution.Slot), m.Data.root(&h))
}

func (m *ValidatorRegistration) SigningRoot(n *Network) (Root, error) {
	h := hasher{Preset: n.Preset}
	return n.builderRoot(m, &h, m.Registration.root(&h))
}
