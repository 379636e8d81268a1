package horizon_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
)

const (
	epochSlots  = 8 // of one second
	genesisRoot = "0x270d43e74ce340de4bca2b1936beca0f4f5408d9e78aec4850920baf659d5b69"
	forkInfo    = `{"fork":{"previous_version":"0x05000001","current_version":"0x06000001","epoch":"0"},"genesis_validators_root":"` + genesisRoot + `"}`
)

// A chain is one of its own, a hundred epochs old.
type chain struct {
	network daemon.Network
	genesis int64
}

func newChain(t *testing.T) chain {
	t.Helper()
	config := "PRESET_BASE: minimal\nCONFIG_NAME: short\nSECONDS_PER_SLOT: 1\n"
	for i, fork := range []string{"ALTAIR", "BELLATRIX", "CAPELLA", "DENEB", "ELECTRA", "FULU"} {
		config += fmt.Sprintf("%s_FORK_EPOCH: 0\n%s_FORK_VERSION: 0x%02x000001\n", fork, fork, i+1)
	}
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	genesis := time.Now().Unix() - 100*epochSlots
	return chain{daemon.Network{Name: path, GenesisRoot: genesisRoot, GenesisTime: strconv.FormatInt(genesis, 10)}, genesis}
}

func (c chain) slot() uint64  { return uint64(time.Now().Unix() - c.genesis) }
func (c chain) epoch() uint64 { return c.slot() / epochSlots }

// wait returns when the clock is in the epoch.
func (c chain) wait(epoch uint64) {
	time.Sleep(time.Until(time.Unix(c.genesis+int64(epoch)*epochSlots, 0)))
}

// vote is an attestation. Those for one target conflict if their variants differ.
func vote(source, target uint64, variant int) string {
	return fmt.Sprintf(`{"type":"ATTESTATION","fork_info":%s,"attestation":{"slot":"%d","index":"0","beacon_block_root":%q,`+
		`"source":{"epoch":"%d","root":%q},"target":{"epoch":"%d","root":%q}}}`,
		forkInfo, target*epochSlots, root(variant), source, root(0), target, root(variant))
}

// block is a proposal. Those for one slot conflict if their variants differ.
func block(slot uint64, variant int) string {
	return fmt.Sprintf(`{"type":"BLOCK_V2","fork_info":%s,"beacon_block":{"version":"FULU","block_header":`+
		`{"slot":"%d","proposer_index":"7","parent_root":%q,"state_root":%q,"body_root":%q}}}`,
		forkInfo, slot, root(1), root(2), root(variant))
}

// reveal is what no rule of slashing looks at.
func reveal(epoch uint64) string {
	return fmt.Sprintf(`{"type":"RANDAO_REVEAL","fork_info":%s,"randao_reveal":{"epoch":"%d"}}`, forkInfo, epoch)
}

func root(variant int) string { return fmt.Sprintf("0x%064x", variant) }

// A duty is what a client asks for.
type duty struct {
	epoch uint64
	body  string
}

// duty is any around now, mostly one that is due: votes from as early as four
// epochs before their target, which surround others.
func (c chain) duty(r *rand.Rand) duty {
	variant := r.IntN(5)
	if r.IntN(3) == 0 {
		slot := c.slot() + 3 - uint64(r.IntN(8))
		return duty{slot / epochSlots, block(slot, variant)}
	}
	target := c.epoch() + 1 - []uint64{0, 1, 1, 1, 1, 2, 2, 3}[r.IntN(8)]
	return duty{target, vote(target-1-uint64(r.IntN(4)*r.IntN(2)), target, variant)}
}
