package eth2

// SpecVersion is the release of the consensus-specs that the Gloas containers
// follow. Until Gloas is final a later one may lay them out differently.
const SpecVersion = "v1.7.0-beta.0"

// Limits that are constants, whatever the preset.
const (
	maxExtraDataBytes      = 32   // consensus-specs bellatrix/beacon-chain.md
	maxBuilderAuthDataSize = 4096 // builder-specs gloas/builder.md
)

// The containers below are ProgressiveContainers where they say
// progressiveContainer, and their lists have no limit: EIP-7688 moved the
// limits from the types to the state transition.

// gloasRoot is the root of the Gloas layout, which has the same JSON as
// Electra's.
func (a *AggregateAndProofData) gloasRoot(h *hasher) Root {
	return container(number(a.AggregatorIndex), a.Aggregate.gloasRoot(h), vector(a.SelectionProof[:]))
}

func (a *Aggregate) gloasRoot(h *hasher) Root {
	return progressiveContainer(
		h.progressiveBitlist("aggregation_bits", a.AggregationBits),
		a.Data.root(h),
		vector(a.Signature[:]),
		h.bitvector("committee_bits", a.CommitteeBits, h.MaxCommitteesPerSlot))
}

// ExecutionPayloadBidData is the specs' ExecutionPayloadBid.
type ExecutionPayloadBidData struct {
	ParentBlockHash       Root            `json:"parent_block_hash"`
	ParentBlockRoot       Root            `json:"parent_block_root"`
	BlockHash             Root            `json:"block_hash"`
	PrevRandao            Root            `json:"prev_randao"`
	FeeRecipient          Address         `json:"fee_recipient"`
	GasLimit              Uint64          `json:"gas_limit"`
	BuilderIndex          Uint64          `json:"builder_index"`
	Slot                  Slot            `json:"slot"`
	Value                 Gwei            `json:"value"`
	ExecutionPayment      Gwei            `json:"execution_payment"`
	BlobKZGCommitments    []KZGCommitment `json:"blob_kzg_commitments"`
	ExecutionRequestsRoot Root            `json:"execution_requests_root"`
}

func (b *ExecutionPayloadBidData) root(h *hasher) Root {
	return progressiveContainer(
		b.ParentBlockHash,
		b.ParentBlockRoot,
		b.BlockHash,
		b.PrevRandao,
		vector(b.FeeRecipient[:]),
		number(b.GasLimit),
		number(b.BuilderIndex),
		number(b.Slot),
		number(b.Value),
		number(b.ExecutionPayment),
		progressiveList(h, b.BlobKZGCommitments),
		b.ExecutionRequestsRoot)
}

func (c *KZGCommitment) root(*hasher) Root { return vector(c[:]) }

// ExecutionPayloadEnvelopeData is the specs' ExecutionPayloadEnvelope.
type ExecutionPayloadEnvelopeData struct {
	Payload               ExecutionPayload  `json:"payload"`
	ExecutionRequests     ExecutionRequests `json:"execution_requests"`
	BuilderIndex          Uint64            `json:"builder_index"`
	BeaconBlockRoot       Root              `json:"beacon_block_root"`
	ParentBeaconBlockRoot Root              `json:"parent_beacon_block_root"`
}

func (e *ExecutionPayloadEnvelopeData) root(h *hasher) Root {
	return progressiveContainer(
		e.Payload.root(h),
		e.ExecutionRequests.root(h),
		number(e.BuilderIndex),
		e.BeaconBlockRoot,
		e.ParentBeaconBlockRoot)
}

// ExecutionPayload is an execution block as Gloas has it.
type ExecutionPayload struct {
	ParentHash      Root         `json:"parent_hash"`
	FeeRecipient    Address      `json:"fee_recipient"`
	StateRoot       Root         `json:"state_root"`
	ReceiptsRoot    Root         `json:"receipts_root"`
	LogsBloom       LogsBloom    `json:"logs_bloom"`
	PrevRandao      Root         `json:"prev_randao"`
	BlockNumber     Uint64       `json:"block_number"`
	GasLimit        Uint64       `json:"gas_limit"`
	GasUsed         Uint64       `json:"gas_used"`
	Timestamp       Uint64       `json:"timestamp"`
	ExtraData       Bytes        `json:"extra_data"`
	BaseFeePerGas   Uint256      `json:"base_fee_per_gas"`
	BlockHash       Root         `json:"block_hash"`
	Transactions    []Bytes      `json:"transactions"`
	Withdrawals     []Withdrawal `json:"withdrawals"`
	BlobGasUsed     Uint64       `json:"blob_gas_used"`
	ExcessBlobGas   Uint64       `json:"excess_blob_gas"`
	BlockAccessList Bytes        `json:"block_access_list"`
	SlotNumber      Slot         `json:"slot_number"`
}

func (p *ExecutionPayload) root(h *hasher) Root {
	return progressiveContainer(
		p.ParentHash,
		vector(p.FeeRecipient[:]),
		p.StateRoot,
		p.ReceiptsRoot,
		vector(p.LogsBloom[:]),
		p.PrevRandao,
		number(p.BlockNumber),
		number(p.GasLimit),
		number(p.GasUsed),
		number(p.Timestamp),
		h.byteList("extra_data", p.ExtraData, maxExtraDataBytes),
		Root(p.BaseFeePerGas),
		p.BlockHash,
		progressiveList(h, p.Transactions),
		progressiveList(h, p.Withdrawals),
		number(p.BlobGasUsed),
		number(p.ExcessBlobGas),
		p.BlockAccessList.root(h),
		number(p.SlotNumber))
}

// root is that of a ProgressiveByteList, as transactions and access lists are.
func (b *Bytes) root(*hasher) Root {
	return withLength(progressive(packed(*b), 1), len(*b))
}

// Withdrawal moves a validator's balance to the execution layer.
type Withdrawal struct {
	Index          Uint64         `json:"index"`
	ValidatorIndex ValidatorIndex `json:"validator_index"`
	Address        Address        `json:"address"`
	Amount         Gwei           `json:"amount"`
}

func (w *Withdrawal) root(*hasher) Root {
	return container(number(w.Index), number(w.ValidatorIndex), vector(w.Address[:]), number(w.Amount))
}

// ExecutionRequests are what the execution layer asks of the beacon chain.
type ExecutionRequests struct {
	Deposits        []DepositRequest        `json:"deposits"`
	Withdrawals     []WithdrawalRequest     `json:"withdrawals"`
	Consolidations  []ConsolidationRequest  `json:"consolidations"`
	BuilderDeposits []BuilderDepositRequest `json:"builder_deposits"`
	BuilderExits    []BuilderExitRequest    `json:"builder_exits"`
}

func (r *ExecutionRequests) root(h *hasher) Root {
	return progressiveContainer(
		progressiveList(h, r.Deposits),
		progressiveList(h, r.Withdrawals),
		progressiveList(h, r.Consolidations),
		progressiveList(h, r.BuilderDeposits),
		progressiveList(h, r.BuilderExits))
}

// DepositRequest is a deposit seen by the execution layer.
type DepositRequest struct {
	Pubkey                PublicKey `json:"pubkey"`
	WithdrawalCredentials Root      `json:"withdrawal_credentials"`
	Amount                Gwei      `json:"amount"`
	Signature             Signature `json:"signature"`
	Index                 Uint64    `json:"index"`
}

func (r *DepositRequest) root(*hasher) Root {
	return container(
		vector(r.Pubkey[:]),
		r.WithdrawalCredentials,
		number(r.Amount),
		vector(r.Signature[:]),
		number(r.Index))
}

// WithdrawalRequest asks for a validator's exit or partial withdrawal.
type WithdrawalRequest struct {
	SourceAddress   Address   `json:"source_address"`
	ValidatorPubkey PublicKey `json:"validator_pubkey"`
	Amount          Gwei      `json:"amount"`
}

func (r *WithdrawalRequest) root(*hasher) Root {
	return container(vector(r.SourceAddress[:]), vector(r.ValidatorPubkey[:]), number(r.Amount))
}

// ConsolidationRequest asks to merge one validator into another.
type ConsolidationRequest struct {
	SourceAddress Address   `json:"source_address"`
	SourcePubkey  PublicKey `json:"source_pubkey"`
	TargetPubkey  PublicKey `json:"target_pubkey"`
}

func (r *ConsolidationRequest) root(*hasher) Root {
	return container(vector(r.SourceAddress[:]), vector(r.SourcePubkey[:]), vector(r.TargetPubkey[:]))
}

// BuilderDepositRequest is a builder's deposit.
type BuilderDepositRequest struct {
	Pubkey                PublicKey `json:"pubkey"`
	WithdrawalCredentials Root      `json:"withdrawal_credentials"`
	Amount                Gwei      `json:"amount"`
	Signature             Signature `json:"signature"`
}

func (r *BuilderDepositRequest) root(*hasher) Root {
	return container(vector(r.Pubkey[:]), r.WithdrawalCredentials, number(r.Amount), vector(r.Signature[:]))
}

// BuilderExitRequest asks for a builder's exit.
type BuilderExitRequest struct {
	SourceAddress Address   `json:"source_address"`
	Pubkey        PublicKey `json:"pubkey"`
}

func (r *BuilderExitRequest) root(*hasher) Root {
	return container(vector(r.SourceAddress[:]), vector(r.Pubkey[:]))
}

// PayloadAttestationData is what a member of the payload timeliness committee
// saw.
type PayloadAttestationData struct {
	BeaconBlockRoot   Root `json:"beacon_block_root"`
	Slot              Slot `json:"slot"`
	PayloadPresent    bool `json:"payload_present"`
	BlobDataAvailable bool `json:"blob_data_available"`
}

func (d *PayloadAttestationData) root(*hasher) Root {
	return container(d.BeaconBlockRoot, number(d.Slot), boolean(d.PayloadPresent), boolean(d.BlobDataAvailable))
}

// ProposerPreferencesData is the specs' ProposerPreferences.
type ProposerPreferencesData struct {
	DependentRoot  Root           `json:"dependent_root"`
	ProposalSlot   Slot           `json:"proposal_slot"`
	ValidatorIndex ValidatorIndex `json:"validator_index"`
	FeeRecipient   Address        `json:"fee_recipient"`
	TargetGasLimit Uint64         `json:"target_gas_limit"`
}

func (p *ProposerPreferencesData) root(*hasher) Root {
	return container(
		p.DependentRoot,
		number(p.ProposalSlot),
		number(p.ValidatorIndex),
		vector(p.FeeRecipient[:]),
		number(p.TargetGasLimit))
}

// BuilderRequestAuthData is builder-specs' BuilderRequestAuth.
type BuilderRequestAuthData struct {
	Data Bytes `json:"data"`
	Slot Slot  `json:"slot"`
}

func (a *BuilderRequestAuthData) root(h *hasher) Root {
	return container(h.byteList("data", a.Data, maxBuilderAuthDataSize), number(a.Slot))
}
