package eth2

// A Checkpoint is the block at the start of an epoch.
type Checkpoint struct {
	Epoch Epoch `json:"epoch"`
	Root  Root  `json:"root"`
}

func (c *Checkpoint) root(*hasher) Root {
	return container(number(c.Epoch), c.Root)
}

// AttestationData is a vote. Index is not validated: its meaning differs by
// fork.
type AttestationData struct {
	Slot            Slot       `json:"slot"`
	Index           Uint64     `json:"index"`
	BeaconBlockRoot Root       `json:"beacon_block_root"`
	Source          Checkpoint `json:"source"`
	Target          Checkpoint `json:"target"`
}

func (d *AttestationData) root(h *hasher) Root {
	return container(number(d.Slot), number(d.Index), d.BeaconBlockRoot, d.Source.root(h), d.Target.root(h))
}

// BeaconBlockHeader is a block whose body is only named by its root. Header
// and block have the same root.
type BeaconBlockHeader struct {
	Slot          Slot           `json:"slot"`
	ProposerIndex ValidatorIndex `json:"proposer_index"`
	ParentRoot    Root           `json:"parent_root"`
	StateRoot     Root           `json:"state_root"`
	BodyRoot      Root           `json:"body_root"`
}

func (b *BeaconBlockHeader) root(*hasher) Root {
	return container(number(b.Slot), number(b.ProposerIndex), b.ParentRoot, b.StateRoot, b.BodyRoot)
}

// BeaconBlock is a whole block of Phase0 or Altair.
type BeaconBlock struct {
	Slot          Slot            `json:"slot"`
	ProposerIndex ValidatorIndex  `json:"proposer_index"`
	ParentRoot    Root            `json:"parent_root"`
	StateRoot     Root            `json:"state_root"`
	Body          BeaconBlockBody `json:"body"`
}

func (b *BeaconBlock) root(h *hasher) Root {
	return container(number(b.Slot), number(b.ProposerIndex), b.ParentRoot, b.StateRoot, b.Body.root(h))
}

// BeaconBlockBody is the body of a Phase0 block or, with a sync aggregate, of
// an Altair block.
type BeaconBlockBody struct {
	RandaoReveal      Signature             `json:"randao_reveal"`
	Eth1Data          Eth1Data              `json:"eth1_data"`
	Graffiti          Root                  `json:"graffiti"`
	ProposerSlashings []ProposerSlashing    `json:"proposer_slashings"`
	AttesterSlashings []AttesterSlashing    `json:"attester_slashings"`
	Attestations      []Aggregate           `json:"attestations"`
	Deposits          []BlockDeposit        `json:"deposits"`
	VoluntaryExits    []SignedVoluntaryExit `json:"voluntary_exits"`
	SyncAggregate     *SyncAggregate        `json:"sync_aggregate,omitzero"`
}

func (b *BeaconBlockBody) root(h *hasher) Root {
	fields := [...]Root{
		vector(b.RandaoReveal[:]),
		b.Eth1Data.root(h),
		b.Graffiti,
		list(h, "proposer_slashings", b.ProposerSlashings, h.MaxProposerSlashings),
		list(h, "attester_slashings", b.AttesterSlashings, h.MaxAttesterSlashings),
		list(h, "attestations", b.Attestations, h.MaxAttestations),
		list(h, "deposits", b.Deposits, h.MaxDeposits),
		list(h, "voluntary_exits", b.VoluntaryExits, h.MaxVoluntaryExits),
		{},
	}
	if b.SyncAggregate == nil {
		return container(fields[:8]...)
	}
	fields[8] = b.SyncAggregate.root(h)
	return container(fields[:]...)
}

// Eth1Data is a vote on the deposit contract's state.
type Eth1Data struct {
	DepositRoot  Root   `json:"deposit_root"`
	DepositCount Uint64 `json:"deposit_count"`
	BlockHash    Root   `json:"block_hash"`
}

func (d *Eth1Data) root(*hasher) Root {
	return container(d.DepositRoot, number(d.DepositCount), d.BlockHash)
}

// SignedBeaconBlockHeader is half of a ProposerSlashing.
type SignedBeaconBlockHeader struct {
	Message   BeaconBlockHeader `json:"message"`
	Signature Signature         `json:"signature"`
}

func (b *SignedBeaconBlockHeader) root(h *hasher) Root {
	return container(b.Message.root(h), vector(b.Signature[:]))
}

// ProposerSlashing proves a double proposal.
type ProposerSlashing struct {
	SignedHeader1 SignedBeaconBlockHeader `json:"signed_header_1"`
	SignedHeader2 SignedBeaconBlockHeader `json:"signed_header_2"`
}

func (s *ProposerSlashing) root(h *hasher) Root {
	return container(s.SignedHeader1.root(h), s.SignedHeader2.root(h))
}

// IndexedAttestation is half of an AttesterSlashing.
type IndexedAttestation struct {
	AttestingIndices []ValidatorIndex `json:"attesting_indices"`
	Data             AttestationData  `json:"data"`
	Signature        Signature        `json:"signature"`
}

func (a *IndexedAttestation) root(h *hasher) Root {
	return container(
		numbers(h, "attesting_indices", a.AttestingIndices, h.MaxValidatorsPerCommittee),
		a.Data.root(h),
		vector(a.Signature[:]))
}

// AttesterSlashing proves a double or a surround vote.
type AttesterSlashing struct {
	Attestation1 IndexedAttestation `json:"attestation_1"`
	Attestation2 IndexedAttestation `json:"attestation_2"`
}

func (s *AttesterSlashing) root(h *hasher) Root {
	return container(s.Attestation1.root(h), s.Attestation2.root(h))
}

// Aggregate is what the specs call an Attestation: one vote and the signature
// of those who cast it. CommitteeBits exist from Electra on and are nil before.
type Aggregate struct {
	AggregationBits Bitlist         `json:"aggregation_bits"`
	Data            AttestationData `json:"data"`
	Signature       Signature       `json:"signature"`
	CommitteeBits   Bitvector       `json:"committee_bits,omitzero"`
}

func (a *Aggregate) root(h *hasher) Root {
	if a.CommitteeBits != nil {
		return container(
			h.bitlist("aggregation_bits", a.AggregationBits, h.MaxValidatorsPerCommittee*h.MaxCommitteesPerSlot),
			a.Data.root(h),
			vector(a.Signature[:]),
			h.bitvector("committee_bits", a.CommitteeBits, h.MaxCommitteesPerSlot))
	}
	return container(
		h.bitlist("aggregation_bits", a.AggregationBits, h.MaxValidatorsPerCommittee),
		a.Data.root(h),
		vector(a.Signature[:]))
}

// AggregateAndProofData is the specs' AggregateAndProof.
type AggregateAndProofData struct {
	AggregatorIndex ValidatorIndex `json:"aggregator_index"`
	Aggregate       Aggregate      `json:"aggregate"`
	SelectionProof  Signature      `json:"selection_proof"`
}

func (a *AggregateAndProofData) root(h *hasher) Root {
	return container(number(a.AggregatorIndex), a.Aggregate.root(h), vector(a.SelectionProof[:]))
}

// BlockDeposit is what the specs call a Deposit: one leaf of the deposit
// contract's tree and its proof of 33 roots.
type BlockDeposit struct {
	Proof []Root      `json:"proof"`
	Data  DepositData `json:"data"`
}

func (d *BlockDeposit) root(h *hasher) Root {
	if len(d.Proof) != depositProofLength {
		h.invalid("deposits: a proof of %d roots, want %d", len(d.Proof), depositProofLength)
		return Root{}
	}
	return container(merkleize(append([]Root(nil), d.Proof...), depositProofLength), d.Data.root(h))
}

// DepositData is a signed DepositMessage.
type DepositData struct {
	Pubkey                PublicKey `json:"pubkey"`
	WithdrawalCredentials Root      `json:"withdrawal_credentials"`
	Amount                Gwei      `json:"amount"`
	Signature             Signature `json:"signature"`
}

func (d *DepositData) root(*hasher) Root {
	return container(vector(d.Pubkey[:]), d.WithdrawalCredentials, number(d.Amount), vector(d.Signature[:]))
}

// VoluntaryExitData is the specs' VoluntaryExit.
type VoluntaryExitData struct {
	Epoch          Epoch          `json:"epoch"`
	ValidatorIndex ValidatorIndex `json:"validator_index"`
}

func (e *VoluntaryExitData) root(*hasher) Root {
	return container(number(e.Epoch), number(e.ValidatorIndex))
}

// SignedVoluntaryExit is an exit in a block.
type SignedVoluntaryExit struct {
	Message   VoluntaryExitData `json:"message"`
	Signature Signature         `json:"signature"`
}

func (e *SignedVoluntaryExit) root(h *hasher) Root {
	return container(e.Message.root(h), vector(e.Signature[:]))
}
