package web3signer

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"

	"github.com/secure-signer/secure-signer/eth2"
)

// Encode returns the body of a request to sign m, as any signer with the
// Web3Signer API reads it. A block needs its version.
func Encode(m eth2.Message) ([]byte, error) {
	if b, ok := m.(*eth2.Block); ok && b.Version == 0 {
		return nil, errors.New("no body for a block without a version")
	}
	r := request{Type: m.Kind().String()}
	if !r.setDuty(m) && !r.setGloas(m) {
		return nil, fmt.Errorf("no body for %T", m)
	}
	return json.Marshal(&r)
}

func (r *request) setDuty(m eth2.Message) bool {
	switch m := m.(type) {
	case *eth2.Attestation:
		r.ForkInfo, r.Attestation = &m.ForkInfo, &m.Data
	case *eth2.Block:
		r.ForkInfo, r.BeaconBlock = &m.ForkInfo, &block{Version: m.Version, Block: m.Full, Header: m.Header}
	case *eth2.AggregationSlot:
		r.ForkInfo, r.AggregationSlot = &m.ForkInfo, m
	case *eth2.AggregateAndProof:
		r.ForkInfo, r.AggregateAndProof = &m.ForkInfo, encodeAggregate(m)
	case *eth2.RandaoReveal:
		r.ForkInfo, r.RandaoReveal = &m.ForkInfo, m
	case *eth2.Deposit:
		r.Deposit = m
	case *eth2.VoluntaryExit:
		r.ForkInfo, r.VoluntaryExit = &m.ForkInfo, &m.Data
	case *eth2.SyncCommitteeMessage:
		r.ForkInfo, r.SyncMessage = &m.ForkInfo, m
	case *eth2.SyncCommitteeSelectionProof:
		r.ForkInfo, r.SyncSelection = &m.ForkInfo, &m.Data
	case *eth2.ContributionAndProof:
		r.ForkInfo, r.Contribution = &m.ForkInfo, &m.Data
	case *eth2.ValidatorRegistration:
		r.Registration = &m.Registration
	default:
		return false
	}
	return true
}

func (r *request) setGloas(m eth2.Message) bool {
	switch m := m.(type) {
	case *eth2.ExecutionPayloadBid:
		r.ForkInfo, r.Bid = &m.ForkInfo, &versioned[eth2.ExecutionPayloadBidData]{cmp.Or(m.Version, eth2.Gloas), m.Data}
	case *eth2.ExecutionPayloadEnvelope:
		r.ForkInfo, r.Envelope = &m.ForkInfo, &versioned[eth2.ExecutionPayloadEnvelopeData]{cmp.Or(m.Version, eth2.Gloas), m.Data}
	case *eth2.PayloadAttestation:
		r.ForkInfo, r.PTCVote = &m.ForkInfo, &versioned[eth2.PayloadAttestationData]{cmp.Or(m.Version, eth2.Gloas), m.Data}
	case *eth2.ProposerPreferences:
		r.ForkInfo, r.Preferences = &m.ForkInfo, &versioned[eth2.ProposerPreferencesData]{cmp.Or(m.Version, eth2.Gloas), m.Data}
	case *eth2.BuilderRequestAuth:
		r.BuilderAuth = &versioned[eth2.BuilderRequestAuthData]{cmp.Or(m.Version, eth2.Gloas), m.Data}
	default:
		return false
	}
	return true
}

// encodeAggregate writes {version, data} where the version is known, else the
// bare object.
func encodeAggregate(m *eth2.AggregateAndProof) *aggregateAndProof {
	if m.Version != 0 {
		return &aggregateAndProof{Version: &m.Version, Data: &m.Data}
	}
	return &aggregateAndProof{
		AggregatorIndex: &m.Data.AggregatorIndex,
		Aggregate:       &m.Data.Aggregate,
		SelectionProof:  &m.Data.SelectionProof,
	}
}
