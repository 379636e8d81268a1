package overload_test

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

// mainnet is the chain of every message below.
var mainnet = daemon.Network{Name: "mainnet"}

const forkInfo = `"fork_info":{"fork":{"previous_version":"0x05000000","current_version":"0x06000000","epoch":"411392"},` +
	`"genesis_validators_root":"0x4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95"}`

// firstEpoch is where the keys begin. It is of Fulu.
const firstEpoch = 420_000

var signature = "0xc0" + strings.Repeat("00", 95)

// A kind is one of those that are told apart under load, the most urgent first.
type kind int

const (
	reveal kind = iota // of a proposal, as urgent as its block
	block
	vote
	aggregate
	registration
	kinds int = iota
)

func (k kind) String() string {
	return [...]string{"randao reveal", "block", "attestation", "aggregate", "registration"}[k]
}

// slashable reports whether the messages of a key must come in their order.
func (k kind) slashable() bool { return k == block || k == vote }

// body is the n-th message of that kind by a key. Another variant conflicts with
// it if it is slashable. No two messages have one root.
func (k kind) body(key interop.Key, n uint64, variant byte) string {
	epoch := firstEpoch + n
	root := fmt.Sprintf("0x%02x%02x%x", variant, n%251, key.Public[:30])
	data := fmt.Sprintf(`{"slot":"%d","index":"0","beacon_block_root":%q,"source":{"epoch":"%d","root":%q},"target":{"epoch":"%d","root":%q}}`,
		epoch*32, root, epoch-1, root, epoch, root)
	switch k {
	case reveal:
		return fmt.Sprintf(`{"type":"RANDAO_REVEAL",%s,"randao_reveal":{"epoch":"%d"}}`,
			forkInfo, firstEpoch+n<<32+uint64(binary.BigEndian.Uint32(key.Public[1:]))) // a root for each key
	case block:
		return fmt.Sprintf(`{"type":"BLOCK_V2",%s,"beacon_block":{"version":"FULU","block_header":`+
			`{"slot":"%d","proposer_index":"7","parent_root":%q,"state_root":%q,"body_root":%q}}}`, forkInfo, epoch*32, root, root, root)
	case vote:
		return fmt.Sprintf(`{"type":"ATTESTATION",%s,"attestation":%s}`, forkInfo, data)
	case aggregate:
		return fmt.Sprintf(`{"type":"AGGREGATE_AND_PROOF_V2",%s,"aggregate_and_proof":{"version":"FULU","data":{"aggregator_index":"7",`+
			`"selection_proof":%q,"aggregate":{"aggregation_bits":"0xff01","committee_bits":"0x0100000000000000","data":%s,"signature":%q}}}}`,
			forkInfo, signature, data, signature)
	}
	return fmt.Sprintf(`{"type":"VALIDATOR_REGISTRATION","validator_registration":{"fee_recipient":"0x%040x","gas_limit":"36000000",`+
		`"timestamp":"%d","pubkey":%q}}`, variant, epoch, key.Hex())
}
