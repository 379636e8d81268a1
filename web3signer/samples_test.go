package web3signer

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/eth2"
)

// Pieces of bodies, spelt as remote-signing-api has them. Each root, key and
// number differs from the next, so that none can be taken for another.
const (
	forkInfo = `{"fork":{"previous_version":"0x05000000","current_version":"0x06000000","epoch":"411392"},` +
		`"genesis_validators_root":"0x4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95"}`
	attestationData = `{"slot":"13164544","index":"0","beacon_block_root":"` + root1 + `",` +
		`"source":{"epoch":"411391","root":"` + root2 + `"},"target":{"epoch":"411392","root":"` + root3 + `"}}`
	blockHeader = `{"slot":"13164545","proposer_index":"2","parent_root":"` + root1 + `","state_root":"` + root2 + `","body_root":"` + root3 + `"}`

	root1 = "0x0101010101010101010101010101010101010101010101010101010101010101"
	root2 = "0x0202020202020202020202020202020202020202020202020202020202020202"
	root3 = "0x0303030303030303030303030303030303030303030303030303030303030303"

	address = "0x0404040404040404040404040404040404040404"
	// The public key of interop key 0.
	pubkey0 = "0xa99a76ed7796f7be22d5b7e85deeb7c5677e88e511e0b337618f8c4eb61349b4bf2d153f649f7b53359fe8b94a38e44c"
)

var (
	signature1 = "0x" + strings.Repeat("05", 96)
	signature2 = "0x" + strings.Repeat("06", 96)
	commitment = "0x" + strings.Repeat("07", 48)
	bloom      = "0x" + strings.Repeat("08", 256)

	signedHeader = `{"message":` + blockHeader + `,"signature":"` + signature1 + `"}`
	indexed      = `{"attesting_indices":["3","4"],"data":` + attestationData + `,"signature":"` + signature1 + `"}`
	phase0Body   = `{"randao_reveal":"` + signature1 + `",` +
		`"eth1_data":{"deposit_root":"` + root1 + `","deposit_count":"5","block_hash":"` + root2 + `"},"graffiti":"` + root3 + `",` +
		`"proposer_slashings":[{"signed_header_1":` + signedHeader + `,"signed_header_2":` + signedHeader + `}],` +
		`"attester_slashings":[{"attestation_1":` + indexed + `,"attestation_2":` + indexed + `}],` +
		`"attestations":[{"aggregation_bits":"0x03","data":` + attestationData + `,"signature":"` + signature1 + `"}],` +
		`"deposits":[{"proof":[` + strings.TrimSuffix(strings.Repeat(`"`+root1+`",`, 33), ",") + `],` +
		`"data":{"pubkey":"` + pubkey0 + `","withdrawal_credentials":"` + root2 + `","amount":"32000000000","signature":"` + signature1 + `"}}],` +
		`"voluntary_exits":[{"message":{"epoch":"6","validator_index":"7"},"signature":"` + signature1 + `"}]}`
	altairBody = strings.TrimSuffix(phase0Body, "}") +
		`,"sync_aggregate":{"sync_committee_bits":"0x` + strings.Repeat("00", 64) + `","sync_committee_signature":"` + signature1 + `"}}`

	aggregate = `{"aggregator_index":"8","aggregate":{"aggregation_bits":"0x03","data":` + attestationData +
		`,"signature":"` + signature1 + `"},"selection_proof":"` + signature2 + `"}`
	electraAggregate = strings.Replace(aggregate, `"data"`, `"committee_bits":"0x0000000000000001","data"`, 1)

	gloasForkInfo = strings.NewReplacer("0x05000000", "0x06000000", "0x06000000", "0x07000000").Replace(forkInfo)
	payload       = `{"parent_hash":"` + root1 + `","fee_recipient":"` + address + `","state_root":"` + root2 + `","receipts_root":"` + root3 + `",` +
		`"logs_bloom":"` + bloom + `","prev_randao":"` + root1 + `","block_number":"9","gas_limit":"10","gas_used":"11","timestamp":"12",` +
		`"extra_data":"0x0a","base_fee_per_gas":"13","block_hash":"` + root2 + `","transactions":["0x0b"],` +
		`"withdrawals":[{"index":"14","validator_index":"15","address":"` + address + `","amount":"16"}],` +
		`"blob_gas_used":"17","excess_blob_gas":"18","block_access_list":"0x0c","slot_number":"13164546"}`
)

// samples holds a valid body for every type and shape.
func samples() map[string]string {
	block := func(slot, body string) string {
		return `{"slot":"` + slot + `","proposer_index":"1","parent_root":"` + root1 + `","state_root":"` + root2 + `","body":` + body + `}`
	}
	all := map[string]string{
		"ATTESTATION":                           `"attestation":` + attestationData,
		"BLOCK":                                 `"block":` + block("1", phase0Body),
		"BLOCK_V2 of PHASE0":                    `"beacon_block":{"version":"PHASE0","block":` + block("2", phase0Body) + `}`,
		"BLOCK_V2 of ALTAIR":                    `"beacon_block":{"version":"ALTAIR","block":` + block("2375680", altairBody) + `}`,
		"AGGREGATION_SLOT":                      `"aggregation_slot":{"slot":"13164545"}`,
		"AGGREGATE_AND_PROOF":                   `"aggregate_and_proof":` + electraAggregate,
		"AGGREGATE_AND_PROOF in the V2 shape":   `"aggregate_and_proof":{"version":"FULU","data":` + electraAggregate + `}`,
		"AGGREGATE_AND_PROOF_V2":                `"aggregate_and_proof":{"version":"FULU","data":` + electraAggregate + `}`,
		"AGGREGATE_AND_PROOF_V2, bare":          `"aggregate_and_proof":` + electraAggregate,
		"AGGREGATE_AND_PROOF_V2 of DENEB":       `"aggregate_and_proof":{"version":"DENEB","data":` + aggregate + `}`,
		"RANDAO_REVEAL":                         `"randao_reveal":{"epoch":"411392"}`,
		"VOLUNTARY_EXIT":                        `"voluntary_exit":{"epoch":"411392","validator_index":"1"}`,
		"SYNC_COMMITTEE_MESSAGE":                `"sync_committee_message":{"beacon_block_root":"` + root1 + `","slot":"13164545"}`,
		"SYNC_COMMITTEE_SELECTION_PROOF":        `"sync_aggregator_selection_data":{"slot":"13164545","subcommittee_index":"3"}`,
		"SYNC_COMMITTEE_CONTRIBUTION_AND_PROOF": `"contribution_and_proof":{"aggregator_index":"1","selection_proof":"` + signature1 + `","contribution":{"slot":"13164545","beacon_block_root":"` + root1 + `","subcommittee_index":"3","aggregation_bits":"0x` + strings.Repeat("01", 16) + `","signature":"` + signature2 + `"}}`,
	}
	for _, version := range []string{"BELLATRIX", "CAPELLA", "DENEB", "ELECTRA", "FULU", "GLOAS"} {
		all["BLOCK_V2 of "+version] = `"beacon_block":{"version":"` + version + `","block_header":` + blockHeader + `}`
	}
	for name, members := range all {
		all[name] = bodyOf(name, `"fork_info":`+forkInfo, members)
	}
	maps.Copy(all, map[string]string{
		"DEPOSIT":                bodyOf("DEPOSIT", `"deposit":{"pubkey":"`+pubkey0+`","withdrawal_credentials":"`+root1+`","amount":"32000000000","genesis_fork_version":"0x00000000"}`),
		"VALIDATOR_REGISTRATION": bodyOf("VALIDATOR_REGISTRATION", `"validator_registration":{"fee_recipient":"`+address+`","gas_limit":"36000000","timestamp":"1700000000","pubkey":"`+pubkey0+`"}`),
	})
	maps.Copy(all, gloasSamples())
	return all
}

func gloasSamples() map[string]string {
	versioned := func(member, data string) string { return `"` + member + `":{"version":"GLOAS","data":` + data + `}` }
	fork := `"fork_info":` + gloasForkInfo
	requests := `{"deposits":[{"pubkey":"` + pubkey0 + `","withdrawal_credentials":"` + root1 + `","amount":"19","signature":"` + signature1 + `","index":"20"}],` +
		`"withdrawals":[{"source_address":"` + address + `","validator_pubkey":"` + pubkey0 + `","amount":"21"}],` +
		`"consolidations":[{"source_address":"` + address + `","source_pubkey":"` + pubkey0 + `","target_pubkey":"` + commitment + `"}],` +
		`"builder_deposits":[{"pubkey":"` + pubkey0 + `","withdrawal_credentials":"` + root1 + `","amount":"22","signature":"` + signature1 + `"}],` +
		`"builder_exits":[{"source_address":"` + address + `","pubkey":"` + pubkey0 + `"}]}`
	return map[string]string{
		"EXECUTION_PAYLOAD_BID": bodyOf("EXECUTION_PAYLOAD_BID", fork, versioned("execution_payload_bid",
			`{"parent_block_hash":"`+root1+`","parent_block_root":"`+root2+`","block_hash":"`+root3+`","prev_randao":"`+root1+`","fee_recipient":"`+address+`",`+
				`"gas_limit":"1","builder_index":"2","slot":"13164545","value":"3","execution_payment":"4","blob_kzg_commitments":["`+commitment+`"],"execution_requests_root":"`+root2+`"}`)),
		"EXECUTION_PAYLOAD_ENVELOPE": bodyOf("EXECUTION_PAYLOAD_ENVELOPE", fork, versioned("execution_payload_envelope",
			`{"payload":`+payload+`,"execution_requests":`+requests+`,"builder_index":"5","beacon_block_root":"`+root1+`","parent_beacon_block_root":"`+root2+`"}`)),
		"PAYLOAD_ATTESTATION_MESSAGE": bodyOf("PAYLOAD_ATTESTATION_MESSAGE", fork, versioned("payload_attestation_message",
			`{"beacon_block_root":"`+root1+`","slot":"13164545","payload_present":true,"blob_data_available":false}`)),
		"PROPOSER_PREFERENCES": bodyOf("PROPOSER_PREFERENCES", fork, versioned("proposer_preferences",
			`{"dependent_root":"`+root1+`","proposal_slot":"13164545","validator_index":"1","fee_recipient":"`+address+`","target_gas_limit":"2"}`)),
		"BUILDER_REQUEST_AUTH": bodyOf("BUILDER_REQUEST_AUTH", versioned("builder_request_auth", `{"data":"0x0d","slot":"13164545"}`)),
	}
}

// bodyOf makes a body of the type that name begins with.
func bodyOf(name string, members ...string) string {
	kind, _, _ := strings.Cut(name, " ")
	return fmt.Sprintf(`{"type":"%s",%s}`, strings.TrimSuffix(kind, ","), strings.Join(members, ","))
}

// gloasNetwork is mainnet with Gloas scheduled.
func gloasNetwork(t testing.TB) *eth2.Network {
	n := *mainnet(t)
	n.Forks = append(slices.Clone(n.Forks), eth2.ScheduledFork{Fork: eth2.Gloas, Version: eth2.Version{7}, Epoch: 500000})
	return &n
}

func TestSamplesCoverEveryKindAndAreSigned(t *testing.T) {
	covered := map[eth2.Kind]bool{}
	for name, body := range samples() {
		r := newRig(t, gloasNetwork(t), 1)
		if w := r.post(body); w.Code != 200 {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		kind, err := eth2.ParseKind(strings.Split(strings.Split(name, " ")[0], ",")[0])
		if err != nil {
			t.Error(err)
		}
		if r.seen.count(kind, "") != 1 {
			t.Errorf("%s was not seen as %v", name, kind)
		}
		covered[kind] = true
	}
	for _, k := range eth2.Kinds() {
		if !covered[k] {
			t.Errorf("no sample of %v", k)
		}
	}
}
