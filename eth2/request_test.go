package eth2

import (
	"encoding/json"
	"fmt"
)

// A wireRequest is a request of the Web3Signer API, decoded leniently: enough
// to feed recorded and generated requests to the messages.
type wireRequest struct {
	Type     string   `json:"type"`
	ForkInfo ForkInfo `json:"fork_info"`

	Attestation     AttestationData `json:"attestation"`
	Block           *BeaconBlock    `json:"block"`
	AggregationSlot AggregationSlot `json:"aggregation_slot"`
	BeaconBlock     struct {
		Version ForkName           `json:"version"`
		Block   *BeaconBlock       `json:"block"`
		Header  *BeaconBlockHeader `json:"block_header"`
	} `json:"beacon_block"`
	AggregateAndProof struct {
		Version ForkName               `json:"version"`
		Data    *AggregateAndProofData `json:"data"`
		AggregateAndProofData
	} `json:"aggregate_and_proof"`
	RandaoReveal  RandaoReveal                        `json:"randao_reveal"`
	Deposit       Deposit                             `json:"deposit"`
	VoluntaryExit VoluntaryExitData                   `json:"voluntary_exit"`
	SyncMessage   SyncCommitteeMessage                `json:"sync_committee_message"`
	SyncSelection SyncAggregatorSelectionData         `json:"sync_aggregator_selection_data"`
	Contribution  ContributionAndProofData            `json:"contribution_and_proof"`
	Registration  ValidatorRegistrationData           `json:"validator_registration"`
	Bid           gloas[ExecutionPayloadBidData]      `json:"execution_payload_bid"`
	Envelope      gloas[ExecutionPayloadEnvelopeData] `json:"execution_payload_envelope"`
	PTC           gloas[PayloadAttestationData]       `json:"payload_attestation_message"`
	Preferences   gloas[ProposerPreferencesData]      `json:"proposer_preferences"`
	BuilderAuth   gloas[BuilderRequestAuthData]       `json:"builder_request_auth"`
}

type gloas[T any] struct {
	Version ForkName `json:"version"`
	Data    T        `json:"data"`
}

func decodeRequest(body []byte) (Message, error) {
	var r wireRequest
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, err
	}
	kind, err := ParseKind(r.Type)
	if err != nil {
		return nil, err
	}
	f := r.ForkInfo
	switch kind {
	case KindAttestation:
		return &Attestation{f, r.Attestation}, nil
	case KindBlock:
		if r.Block != nil {
			return &Block{ForkInfo: f, Version: Phase0, Full: r.Block}, nil
		}
		return &Block{f, r.BeaconBlock.Version, r.BeaconBlock.Block, r.BeaconBlock.Header}, nil
	case KindAggregationSlot:
		return &AggregationSlot{f, r.AggregationSlot.Slot}, nil
	case KindAggregateAndProof:
		a := r.AggregateAndProof
		if a.Data == nil {
			a.Data = &a.AggregateAndProofData
		}
		return &AggregateAndProof{f, a.Version, *a.Data}, nil
	case KindRandaoReveal:
		return &RandaoReveal{f, r.RandaoReveal.Epoch}, nil
	case KindDeposit:
		return &r.Deposit, nil
	case KindVoluntaryExit:
		return &VoluntaryExit{f, r.VoluntaryExit}, nil
	case KindSyncCommitteeMessage:
		return &SyncCommitteeMessage{f, r.SyncMessage.BeaconBlockRoot, r.SyncMessage.Slot}, nil
	case KindSyncCommitteeSelectionProof:
		return &SyncCommitteeSelectionProof{f, r.SyncSelection}, nil
	case KindContributionAndProof:
		return &ContributionAndProof{f, r.Contribution}, nil
	case KindValidatorRegistration:
		return &ValidatorRegistration{r.Registration}, nil
	case KindExecutionPayloadBid:
		return &ExecutionPayloadBid{f, r.Bid.Version, r.Bid.Data}, nil
	case KindExecutionPayloadEnvelope:
		return &ExecutionPayloadEnvelope{f, r.Envelope.Version, r.Envelope.Data}, nil
	case KindPayloadAttestation:
		return &PayloadAttestation{f, r.PTC.Version, r.PTC.Data}, nil
	case KindProposerPreferences:
		return &ProposerPreferences{f, r.Preferences.Version, r.Preferences.Data}, nil
	case KindBuilderRequestAuth:
		return &BuilderRequestAuth{r.BuilderAuth.Version, r.BuilderAuth.Data}, nil
	}
	return nil, fmt.Errorf("no decoder for %v", kind)
}

// object is what a message signs, where that is a container.
func object(m Message) (Object, bool) {
	switch m := m.(type) {
	case *Attestation:
		return &m.Data, true
	case *Block:
		if m.Full != nil {
			return m.Full, true
		}
		return m.Header, true
	case *AggregateAndProof:
		return &m.Data, true
	case *VoluntaryExit:
		return &m.Data, true
	case *SyncCommitteeSelectionProof:
		return &m.Data, true
	case *ContributionAndProof:
		return &m.Data, true
	case *ValidatorRegistration:
		return &m.Registration, true
	}
	return nil, false
}

// encodeRequest is the body that asks for m.
func encodeRequest(m Message) ([]byte, error) {
	r := map[string]any{"type": m.Kind().String()}
	if f := m.forkInfo(); f != nil {
		r["fork_info"] = f
	}
	switch m := m.(type) {
	case *Attestation:
		r["attestation"] = m.Data
	case *Block:
		if m.Full != nil {
			r["beacon_block"] = map[string]any{"version": m.Version, "block": m.Full}
		} else {
			r["beacon_block"] = map[string]any{"version": m.Version, "block_header": m.Header}
		}
	case *AggregationSlot:
		r["aggregation_slot"] = m
	case *AggregateAndProof:
		r["aggregate_and_proof"] = map[string]any{"version": m.Version, "data": m.Data}
	case *RandaoReveal:
		r["randao_reveal"] = m
	case *Deposit:
		r["deposit"] = m
	case *VoluntaryExit:
		r["voluntary_exit"] = m.Data
	case *SyncCommitteeMessage:
		r["sync_committee_message"] = m
	case *SyncCommitteeSelectionProof:
		r["sync_aggregator_selection_data"] = m.Data
	case *ContributionAndProof:
		r["contribution_and_proof"] = m.Data
	case *ValidatorRegistration:
		r["validator_registration"] = m.Registration
	case *ExecutionPayloadBid:
		r["execution_payload_bid"] = gloas[ExecutionPayloadBidData]{Gloas, m.Data}
	case *ExecutionPayloadEnvelope:
		r["execution_payload_envelope"] = gloas[ExecutionPayloadEnvelopeData]{Gloas, m.Data}
	case *PayloadAttestation:
		r["payload_attestation_message"] = gloas[PayloadAttestationData]{Gloas, m.Data}
	case *ProposerPreferences:
		r["proposer_preferences"] = gloas[ProposerPreferencesData]{Gloas, m.Data}
	case *BuilderRequestAuth:
		r["builder_request_auth"] = gloas[BuilderRequestAuthData]{Gloas, m.Data}
	default:
		return nil, fmt.Errorf("no encoder for %T", m)
	}
	return json.Marshal(r)
}
