package eth2

// SyncAggregate is the sync committee's signature in an Altair block.
type SyncAggregate struct {
	SyncCommitteeBits      Bitvector `json:"sync_committee_bits"`
	SyncCommitteeSignature Signature `json:"sync_committee_signature"`
}

func (a *SyncAggregate) root(h *hasher) Root {
	return container(
		h.bitvector("sync_committee_bits", a.SyncCommitteeBits, h.SyncCommitteeSize),
		vector(a.SyncCommitteeSignature[:]))
}

// SyncAggregatorSelectionData selects the aggregators of a sync subcommittee.
type SyncAggregatorSelectionData struct {
	Slot              Slot   `json:"slot"`
	SubcommitteeIndex Uint64 `json:"subcommittee_index"`
}

func (d *SyncAggregatorSelectionData) root(*hasher) Root {
	return container(number(d.Slot), number(d.SubcommitteeIndex))
}

// SyncCommitteeContribution is the aggregate of one sync subcommittee.
type SyncCommitteeContribution struct {
	Slot              Slot      `json:"slot"`
	BeaconBlockRoot   Root      `json:"beacon_block_root"`
	SubcommitteeIndex Uint64    `json:"subcommittee_index"`
	AggregationBits   Bitvector `json:"aggregation_bits"`
	Signature         Signature `json:"signature"`
}

func (c *SyncCommitteeContribution) root(h *hasher) Root {
	return container(
		number(c.Slot),
		c.BeaconBlockRoot,
		number(c.SubcommitteeIndex),
		h.bitvector("aggregation_bits", c.AggregationBits, h.SyncCommitteeSize/syncSubcommittees),
		vector(c.Signature[:]))
}

// ContributionAndProofData is the specs' ContributionAndProof.
type ContributionAndProofData struct {
	AggregatorIndex ValidatorIndex            `json:"aggregator_index"`
	Contribution    SyncCommitteeContribution `json:"contribution"`
	SelectionProof  Signature                 `json:"selection_proof"`
}

func (c *ContributionAndProofData) root(h *hasher) Root {
	return container(number(c.AggregatorIndex), c.Contribution.root(h), vector(c.SelectionProof[:]))
}

// ValidatorRegistrationData is builder-specs' ValidatorRegistrationV1.
type ValidatorRegistrationData struct {
	FeeRecipient Address   `json:"fee_recipient"`
	GasLimit     Uint64    `json:"gas_limit"`
	Timestamp    Uint64    `json:"timestamp"`
	Pubkey       PublicKey `json:"pubkey"`
}

func (r *ValidatorRegistrationData) root(*hasher) Root {
	return container(vector(r.FeeRecipient[:]), number(r.GasLimit), number(r.Timestamp), vector(r.Pubkey[:]))
}
