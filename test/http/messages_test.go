package http_test

import (
	"fmt"
	"time"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
)

// mainnet is the chain of every message below.
var mainnet = daemon.Network{Name: "mainnet"}

const (
	mainnetRoot     = "0x4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95"
	mainnetForkInfo = `{"fork":{"previous_version":"0x05000000","current_version":"0x06000000","epoch":"411392"},` +
		`"genesis_validators_root":"` + mainnetRoot + `"}`
)

// attestation is a request. Votes for the same epochs with different variants
// conflict.
func attestation(source, target uint64, variant byte) string {
	return fmt.Sprintf(`{"type":"ATTESTATION","fork_info":%s,"attestation":{"slot":"%d","index":"0","beacon_block_root":%q,`+
		`"source":{"epoch":"%d","root":%q},"target":{"epoch":"%d","root":%q}}}`,
		mainnetForkInfo, target*32, root(variant), source, root(0), target, root(variant))
}

// block is a request. Blocks of one slot with different variants conflict.
func block(slot uint64, variant byte) string {
	return fmt.Sprintf(`{"type":"BLOCK_V2","fork_info":%s,"beacon_block":{"version":"FULU","block_header":`+
		`{"slot":"%d","proposer_index":"7","parent_root":%q,"state_root":%q,"body_root":%q}}}`,
		mainnetForkInfo, slot, root(1), root(2), root(variant))
}

// randao is a request that no slashing rule looks at.
func randao(epoch uint64) string {
	return fmt.Sprintf(`{"type":"RANDAO_REVEAL","fork_info":%s,"randao_reveal":{"epoch":"%d"}}`, mainnetForkInfo, epoch)
}

func exit(epoch uint64) string {
	return fmt.Sprintf(`{"type":"VOLUNTARY_EXIT","fork_info":%s,"voluntary_exit":{"epoch":"%d","validator_index":"7"}}`, mainnetForkInfo, epoch)
}

func deposit(pubkey string) string {
	return fmt.Sprintf(`{"type":"DEPOSIT","deposit":{"pubkey":%q,"withdrawal_credentials":%q,"amount":"32000000000",`+
		`"genesis_fork_version":"0x00000000"}}`, pubkey, root(1))
}

func root(variant byte) string { return fmt.Sprintf("0x%064x", variant) }

// clockEpoch is the epoch that mainnet is in by this machine's clock.
func clockEpoch() uint64 {
	const genesis = 1606824023
	return uint64(time.Now().Unix()-genesis) / (32 * 12)
}
