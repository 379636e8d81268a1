package kill_test

import (
	"fmt"
	"time"
)

// An ask is what a client wants signed. Two that differ only in their variant
// conflict, and two clients never use the same one.
type ask struct {
	vote    bool // or a block
	source  uint64
	at      uint64 // the target, or the block's slot
	variant int
}

func vote(source, target uint64, variant int) ask { return ask{true, source, target, variant} }
func block(slot uint64, variant int) ask          { return ask{at: slot, variant: variant} }

func (a ask) String() string {
	if a.vote {
		return fmt.Sprintf("vote %d→%d of variant %d", a.source, a.at, a.variant)
	}
	return fmt.Sprintf("block %d of variant %d", a.at, a.variant)
}

// conflicts reports whether both must not be signed.
func (a ask) conflicts(b ask) bool {
	if a.vote != b.vote || a == b {
		return false
	}
	surrounds := a.source < b.source && b.at < a.at || b.source < a.source && a.at < b.at
	return a.at == b.at || a.vote && surrounds
}

const forkInfo = `{"fork":{"previous_version":"0x05000000","current_version":"0x06000000","epoch":"411392"},` +
	`"genesis_validators_root":"0x4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95"}`

// body is the Web3Signer request.
func (a ask) body() []byte {
	if !a.vote {
		return fmt.Appendf(nil, `{"type":"BLOCK_V2","fork_info":%s,"beacon_block":{"version":"FULU","block_header":`+
			`{"slot":"%d","proposer_index":"7","parent_root":%q,"state_root":%q,"body_root":%q}}}`,
			forkInfo, a.at, root(1), root(2), root(a.variant))
	}
	return fmt.Appendf(nil, `{"type":"ATTESTATION","fork_info":%s,"attestation":{"slot":"%d","index":"0","beacon_block_root":%q,`+
		`"source":{"epoch":"%d","root":%q},"target":{"epoch":"%d","root":%q}}}`,
		forkInfo, a.at*32, root(a.variant), a.source, root(0), a.at, root(a.variant))
}

func root(variant int) string { return fmt.Sprintf("0x%064x", variant) }

// beyondTheClock is an epoch past the one that mainnet is in, and past its slots
// too, where a key signs also while it is held back after a torn record.
func beyondTheClock() uint64 {
	const genesis = 1606824023
	return uint64(time.Now().Unix()-genesis)/12 + 1000
}
