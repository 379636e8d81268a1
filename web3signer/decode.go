package web3signer

import (
	"strings"

	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/httpjson"
)

// A request is the body of any request to sign: the union of the members of
// every type, so that one pass reads it wherever its type stands. A member that
// belongs to another type must be well formed, and is not used.
type request struct {
	Type        string         `json:"type"`
	ForkInfo    *eth2.ForkInfo `json:"fork_info,omitzero"`
	SigningRoot *eth2.Root     `json:"signing_root,omitzero"`
	// The spelling of remote-signing-api's README, which Lighthouse and
	// Lodestar send.
	SigningRootCamel *eth2.Root `json:"signingRoot,omitzero"`

	Attestation       *eth2.AttestationData                         `json:"attestation,omitzero"`
	Block             *eth2.BeaconBlock                             `json:"block,omitzero"`
	BeaconBlock       *block                                        `json:"beacon_block,omitzero"`
	AggregationSlot   *eth2.AggregationSlot                         `json:"aggregation_slot,omitzero"`
	AggregateAndProof *aggregateAndProof                            `json:"aggregate_and_proof,omitzero"`
	RandaoReveal      *eth2.RandaoReveal                            `json:"randao_reveal,omitzero"`
	Deposit           *eth2.Deposit                                 `json:"deposit,omitzero"`
	VoluntaryExit     *eth2.VoluntaryExitData                       `json:"voluntary_exit,omitzero"`
	SyncMessage       *eth2.SyncCommitteeMessage                    `json:"sync_committee_message,omitzero"`
	SyncSelection     *eth2.SyncAggregatorSelectionData             `json:"sync_aggregator_selection_data,omitzero"`
	Contribution      *eth2.ContributionAndProofData                `json:"contribution_and_proof,omitzero"`
	Registration      *eth2.ValidatorRegistrationData               `json:"validator_registration,omitzero"`
	Bid               *versioned[eth2.ExecutionPayloadBidData]      `json:"execution_payload_bid,omitzero"`
	Envelope          *versioned[eth2.ExecutionPayloadEnvelopeData] `json:"execution_payload_envelope,omitzero"`
	PTCVote           *versioned[eth2.PayloadAttestationData]       `json:"payload_attestation_message,omitzero"`
	Preferences       *versioned[eth2.ProposerPreferencesData]      `json:"proposer_preferences,omitzero"`
	BuilderAuth       *versioned[eth2.BuilderRequestAuthData]       `json:"builder_request_auth,omitzero"`
}

// A block is the whole block of Phase0 and Altair, and the header from
// Bellatrix on.
type block struct {
	Version eth2.ForkName           `json:"version"`
	Block   *eth2.BeaconBlock       `json:"block,omitzero"`
	Header  *eth2.BeaconBlockHeader `json:"block_header,omitzero"`
}

// An aggregateAndProof is sent bare (Lighthouse, Teku) or as {version, data}
// (Prysm, Lodestar), whichever of the two types the request has.
type aggregateAndProof struct {
	Version *eth2.ForkName              `json:"version,omitzero"`
	Data    *eth2.AggregateAndProofData `json:"data,omitzero"`

	AggregatorIndex *eth2.ValidatorIndex `json:"aggregator_index,omitzero"`
	Aggregate       *eth2.Aggregate      `json:"aggregate,omitzero"`
	SelectionProof  *eth2.Signature      `json:"selection_proof,omitzero"`
}

// A versioned object is how every message of Gloas is sent.
type versioned[T any] struct {
	Version eth2.ForkName `json:"version"`
	Data    T             `json:"data"`
}

// claimedRoots returns the signing roots that the client sent, by either name.
func (r *request) claimedRoots() []eth2.Root {
	var roots []eth2.Root
	for _, root := range []*eth2.Root{r.SigningRoot, r.SigningRootCamel} {
		if root != nil {
			roots = append(roots, *root)
		}
	}
	return roots
}

// kind reads the type, in any case.
func (r *request) kind() (eth2.Kind, error) {
	kind, err := eth2.ParseKind(r.Type)
	if err == nil {
		return kind, nil
	}
	problem := err.Error()
	if strings.EqualFold(r.Type, "BLS_TO_EXECUTION_CHANGE") {
		problem = "BLS_TO_EXECUTION_CHANGE is signed by a withdrawal key, which this signer does not hold"
	}
	return 0, &httpjson.Malformed{Path: "type", Problem: problem}
}

// message returns what the client wants signed. The error is a
// *httpjson.Malformed that names the type or the member that is missing.
func (r *request) message() (eth2.Message, error) {
	kind, err := r.kind()
	if err != nil {
		return nil, err
	}
	var absent missing
	m := r.ofKind(kind, &absent)
	if absent != "" {
		return nil, &httpjson.Malformed{Path: string(absent), Problem: "missing"}
	}
	return m, nil
}

// missing is the path of the first member that was needed and not there.
type missing string

// need returns what is there; if nothing is, the message is not used.
func need[T any](absent *missing, path string, member *T) T {
	if member != nil {
		return *member
	}
	if *absent == "" {
		*absent = missing(path)
	}
	var none T
	return none
}

func (r *request) ofKind(kind eth2.Kind, absent *missing) eth2.Message {
	switch kind {
	case eth2.KindDeposit:
		m := need(absent, "deposit", r.Deposit)
		return &m
	case eth2.KindValidatorRegistration:
		return &eth2.ValidatorRegistration{Registration: need(absent, "validator_registration", r.Registration)}
	case eth2.KindBuilderRequestAuth:
		v := need(absent, "builder_request_auth", r.BuilderAuth)
		return &eth2.BuilderRequestAuth{Version: v.Version, Data: v.Data}
	}
	fork := need(absent, "fork_info", r.ForkInfo)
	switch kind {
	case eth2.KindAttestation:
		return &eth2.Attestation{ForkInfo: fork, Data: need(absent, "attestation", r.Attestation)}
	case eth2.KindBlock:
		return r.block(fork, absent)
	case eth2.KindAggregationSlot:
		m := need(absent, "aggregation_slot", r.AggregationSlot)
		m.ForkInfo = fork
		return &m
	case eth2.KindAggregateAndProof:
		a := need(absent, "aggregate_and_proof", r.AggregateAndProof)
		return a.message(fork, absent)
	case eth2.KindRandaoReveal:
		m := need(absent, "randao_reveal", r.RandaoReveal)
		m.ForkInfo = fork
		return &m
	case eth2.KindVoluntaryExit:
		return &eth2.VoluntaryExit{ForkInfo: fork, Data: need(absent, "voluntary_exit", r.VoluntaryExit)}
	case eth2.KindSyncCommitteeMessage:
		m := need(absent, "sync_committee_message", r.SyncMessage)
		m.ForkInfo = fork
		return &m
	case eth2.KindSyncCommitteeSelectionProof:
		return &eth2.SyncCommitteeSelectionProof{ForkInfo: fork, Data: need(absent, "sync_aggregator_selection_data", r.SyncSelection)}
	case eth2.KindContributionAndProof:
		return &eth2.ContributionAndProof{ForkInfo: fork, Data: need(absent, "contribution_and_proof", r.Contribution)}
	}
	return r.ofGloas(kind, fork, absent)
}

func (r *request) ofGloas(kind eth2.Kind, fork eth2.ForkInfo, absent *missing) eth2.Message {
	switch kind {
	case eth2.KindExecutionPayloadBid:
		v := need(absent, "execution_payload_bid", r.Bid)
		return &eth2.ExecutionPayloadBid{ForkInfo: fork, Version: v.Version, Data: v.Data}
	case eth2.KindExecutionPayloadEnvelope:
		v := need(absent, "execution_payload_envelope", r.Envelope)
		return &eth2.ExecutionPayloadEnvelope{ForkInfo: fork, Version: v.Version, Data: v.Data}
	case eth2.KindPayloadAttestation:
		v := need(absent, "payload_attestation_message", r.PTCVote)
		return &eth2.PayloadAttestation{ForkInfo: fork, Version: v.Version, Data: v.Data}
	case eth2.KindProposerPreferences:
		v := need(absent, "proposer_preferences", r.Preferences)
		return &eth2.ProposerPreferences{ForkInfo: fork, Version: v.Version, Data: v.Data}
	}
	panic("web3signer: internal error: no member for " + kind.String())
}

// block reads BLOCK, which is Phase0's, or BLOCK_V2.
func (r *request) block(fork eth2.ForkInfo, absent *missing) eth2.Message {
	if strings.EqualFold(r.Type, "BLOCK") {
		full := need(absent, "block", r.Block)
		return &eth2.Block{ForkInfo: fork, Version: eth2.Phase0, Full: &full}
	}
	b := need(absent, "beacon_block", r.BeaconBlock)
	if b.Version >= eth2.Bellatrix {
		header := need(absent, "beacon_block.block_header", b.Header)
		return &eth2.Block{ForkInfo: fork, Version: b.Version, Header: &header}
	}
	full := need(absent, "beacon_block.block", b.Block)
	if b.Version == eth2.Altair {
		need(absent, "beacon_block.block.body.sync_aggregate", full.Body.SyncAggregate)
	}
	return &eth2.Block{ForkInfo: fork, Version: b.Version, Full: &full}
}

func (a *aggregateAndProof) message(fork eth2.ForkInfo, absent *missing) eth2.Message {
	m := &eth2.AggregateAndProof{ForkInfo: fork}
	if a.Version != nil {
		m.Version = *a.Version
	}
	if a.Data != nil {
		m.Data = *a.Data
		return m
	}
	m.Data = eth2.AggregateAndProofData{
		AggregatorIndex: need(absent, "aggregate_and_proof.aggregator_index", a.AggregatorIndex),
		Aggregate:       need(absent, "aggregate_and_proof.aggregate", a.Aggregate),
		SelectionProof:  need(absent, "aggregate_and_proof.selection_proof", a.SelectionProof),
	}
	return m
}
