package bench

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/secure-signer/secure-signer/eth2"
)

// A writer of bodies renders requests as consensus clients send them, of the
// fork that is in force in the load's first epoch. No two rounds ask for the
// same, and a later round is of a later epoch.
type writer struct {
	load    Load
	fork    string // the member fork_info
	name    string // of the fork, as the API writes it
	electra bool   // or later: aggregates name their committees
}

func newWriter(l Load) *writer {
	at := l.Network.Forks[0]
	for _, f := range l.Network.Forks {
		if f.Epoch <= l.FromEpoch {
			at = f
		}
	}
	// A block is a header only from Bellatrix on. Signers look at the version of
	// fork_info for the domain, and at this one for the shape.
	return &writer{
		load:    l,
		name:    strings.ToUpper(max(at.Fork, eth2.Bellatrix).String()),
		electra: at.Fork >= eth2.Electra,
		fork: fmt.Sprintf(`"fork_info":{"fork":{"previous_version":"%v","current_version":"%v","epoch":"%d"},"genesis_validators_root":"%v"}`,
			at.Version, at.Version, at.Epoch, l.Network.GenesisValidatorsRoot),
	}
}

// Bytes that are well formed and prove nothing: a signature, and the votes of a
// whole committee of 504.
var (
	infinity  = "0xc0" + strings.Repeat("00", 95)
	committee = "0x" + strings.Repeat("ff", 63) + "01"
)

// bits is a bitvector of that many bits with the first one set.
func bits(n uint64) string { return "0x01" + strings.Repeat("00", int(n+7)/8-1) }

// body is what key asks for in a round.
func (w *writer) body(kind Kind, key int, round uint64) string {
	epoch := w.load.FromEpoch + eth2.Epoch(round)
	slot := w.load.Network.FirstSlot(epoch)
	var shared, own eth2.Root
	binary.BigEndian.PutUint64(shared[:], uint64(epoch)+1)
	own = shared
	binary.BigEndian.PutUint64(own[8:], uint64(key)+1)

	switch kind {
	case Block:
		return fmt.Sprintf(`{"type":"BLOCK_V2",%s,"beacon_block":{"version":"%s","block_header":{"slot":"%d","proposer_index":"%d","parent_root":"%v","state_root":"%v","body_root":"%v"}}}`,
			w.fork, w.name, slot, key, shared, own, own)
	case Randao:
		return fmt.Sprintf(`{"type":"RANDAO_REVEAL",%s,"randao_reveal":{"epoch":"%d"}}`, w.fork, epoch)
	case SelectionProof:
		return fmt.Sprintf(`{"type":"AGGREGATION_SLOT",%s,"aggregation_slot":{"slot":"%d"}}`, w.fork, slot)
	case Aggregate:
		return w.aggregate(key, w.attestation(epoch, slot, shared, shared))
	case SyncMessage:
		return fmt.Sprintf(`{"type":"SYNC_COMMITTEE_MESSAGE",%s,"sync_committee_message":{"beacon_block_root":"%v","slot":"%d"}}`, w.fork, shared, slot)
	case SyncSelectionProof:
		return fmt.Sprintf(`{"type":"SYNC_COMMITTEE_SELECTION_PROOF",%s,"sync_aggregator_selection_data":{"slot":"%d","subcommittee_index":"0"}}`, w.fork, slot)
	case Contribution:
		return fmt.Sprintf(`{"type":"SYNC_COMMITTEE_CONTRIBUTION_AND_PROOF",%s,"contribution_and_proof":{"aggregator_index":"%d","selection_proof":"%s","contribution":{"slot":"%d","beacon_block_root":"%v","subcommittee_index":"0","aggregation_bits":"%s","signature":"%s"}}}`,
			w.fork, key, infinity, slot, shared, bits(w.load.Network.Preset.SyncCommitteeSize/4), infinity)
	case Registration:
		return fmt.Sprintf(`{"type":"VALIDATOR_REGISTRATION","validator_registration":{"fee_recipient":"0x%040x","gas_limit":"36000000","timestamp":"%d","pubkey":"%v"}}`,
			1, w.load.Network.GenesisTime+uint64(slot)*w.load.Network.SecondsPerSlot, w.load.Keys[key])
	case DistinctAttestation:
		return w.attestationRequest(w.attestation(epoch, slot, own, shared))
	}
	return w.attestationRequest(w.attestation(epoch, slot, shared, shared))
}

func (w *writer) attestationRequest(data string) string {
	return `{"type":"ATTESTATION",` + w.fork + `,"attestation":` + data + `}`
}

func (w *writer) attestation(epoch eth2.Epoch, slot eth2.Slot, head, target eth2.Root) string {
	source := max(epoch, 1) - 1
	return fmt.Sprintf(`{"slot":"%d","index":"0","beacon_block_root":"%v","source":{"epoch":"%d","root":"%v"},"target":{"epoch":"%d","root":"%v"}}`,
		slot, head, source, target, epoch, target)
}

func (w *writer) aggregate(key int, data string) string {
	committees := ""
	if w.electra {
		committees = fmt.Sprintf(`,"committee_bits":"%s"`, bits(w.load.Network.Preset.MaxCommitteesPerSlot))
	}
	return fmt.Sprintf(`{"type":"AGGREGATE_AND_PROOF_V2",%s,"aggregate_and_proof":{"version":"%s","data":{"aggregator_index":"%d","selection_proof":"%s","aggregate":{"aggregation_bits":"%s","data":%s,"signature":"%s"%s}}}}`,
		w.fork, w.name, key, infinity, committee, data, infinity, committees)
}
