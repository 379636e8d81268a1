package eth2

import (
	"fmt"
	"strings"
)

// A Kind is a kind of message that a validator or builder signs. The zero
// Kind is none.
type Kind uint8

// The kinds, in the order of Kinds.
const (
	KindAttestation Kind = iota + 1
	KindBlock
	KindAggregationSlot
	KindAggregateAndProof
	KindRandaoReveal
	KindDeposit
	KindVoluntaryExit
	KindSyncCommitteeMessage
	KindSyncCommitteeSelectionProof
	KindContributionAndProof
	KindValidatorRegistration
	KindExecutionPayloadBid
	KindExecutionPayloadEnvelope
	KindPayloadAttestation
	KindProposerPreferences
	KindBuilderRequestAuth
)

// kinds holds, by Kind, the name in remote-signing-api and the domain type.
var kinds = [...]struct {
	name   string
	domain DomainType
}{
	KindAttestation:                 {"ATTESTATION", DomainType{0: 0x01}},
	KindBlock:                       {"BLOCK_V2", DomainType{0: 0x00}},
	KindAggregationSlot:             {"AGGREGATION_SLOT", DomainType{0: 0x05}},
	KindAggregateAndProof:           {"AGGREGATE_AND_PROOF", DomainType{0: 0x06}},
	KindRandaoReveal:                {"RANDAO_REVEAL", DomainType{0: 0x02}},
	KindDeposit:                     {"DEPOSIT", DomainType{0: 0x03}},
	KindVoluntaryExit:               {"VOLUNTARY_EXIT", DomainType{0: 0x04}},
	KindSyncCommitteeMessage:        {"SYNC_COMMITTEE_MESSAGE", DomainType{0: 0x07}},
	KindSyncCommitteeSelectionProof: {"SYNC_COMMITTEE_SELECTION_PROOF", DomainType{0: 0x08}},
	KindContributionAndProof:        {"SYNC_COMMITTEE_CONTRIBUTION_AND_PROOF", DomainType{0: 0x09}},
	KindValidatorRegistration:       {"VALIDATOR_REGISTRATION", DomainType{3: 0x01}},
	KindExecutionPayloadBid:         {"EXECUTION_PAYLOAD_BID", DomainType{0: 0x0b}},
	KindExecutionPayloadEnvelope:    {"EXECUTION_PAYLOAD_ENVELOPE", DomainType{0: 0x0b}},
	KindPayloadAttestation:          {"PAYLOAD_ATTESTATION_MESSAGE", DomainType{0: 0x0c}},
	KindProposerPreferences:         {"PROPOSER_PREFERENCES", DomainType{0: 0x0d}},
	KindBuilderRequestAuth:          {"BUILDER_REQUEST_AUTH", DomainType{0: 0x0b, 3: 0x01}},
}

// Kinds returns every kind.
func Kinds() []Kind {
	all := make([]Kind, 0, len(kinds)-1)
	for k := KindAttestation; int(k) < len(kinds); k++ {
		all = append(all, k)
	}
	return all
}

// String returns the name of k in the Web3Signer API.
func (k Kind) String() string {
	if k == 0 || int(k) >= len(kinds) {
		return fmt.Sprintf("KIND_%d", uint8(k))
	}
	return kinds[k].name
}

// ParseKind returns the kind that a request names in its type, in any case.
// BLOCK and BLOCK_V2 are one kind, and so are the two aggregates.
func ParseKind(name string) (Kind, error) {
	upper := strings.ToUpper(name)
	switch upper {
	case "BLOCK":
		return KindBlock, nil
	case "AGGREGATE_AND_PROOF_V2":
		return KindAggregateAndProof, nil
	}
	for i, k := range kinds[1:] {
		if k.name == upper {
			return Kind(i + 1), nil
		}
	}
	return 0, fmt.Errorf("unknown type %.64q", name)
}
