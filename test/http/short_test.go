package http_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

// A shortChain is one of its own whose epochs last eight seconds, so that a test
// can wait for the next one.
type shortChain struct {
	network daemon.Network
	genesis int64
}

const (
	shortEpoch = 8 // slots, of one second
	shortRoot  = "0x270d43e74ce340de4bca2b1936beca0f4f5408d9e78aec4850920baf659d5b69"
)

// newShortChain returns a chain that is a hundred epochs old.
func newShortChain(t *testing.T) shortChain {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	config := "PRESET_BASE: minimal\nCONFIG_NAME: short\nSECONDS_PER_SLOT: 1\n"
	for i, fork := range []string{"ALTAIR", "BELLATRIX", "CAPELLA", "DENEB", "ELECTRA", "FULU"} {
		config += fmt.Sprintf("%s_FORK_EPOCH: 0\n%s_FORK_VERSION: 0x%02x000001\n", fork, fork, i+1)
	}
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	genesis := time.Now().Unix() - 100*shortEpoch
	return shortChain{daemon.Network{Name: path, GenesisRoot: shortRoot, GenesisTime: strconv.FormatInt(genesis, 10)}, genesis}
}

// epoch is that of the clock.
func (c shortChain) epoch() uint64 { return uint64(time.Now().Unix()-c.genesis) / shortEpoch }

// wait returns when the clock is in the epoch.
func (c shortChain) wait(epoch uint64) {
	time.Sleep(time.Until(time.Unix(c.genesis+int64(epoch)*shortEpoch, 0)))
}

const shortForkInfo = `{"fork":{"previous_version":"0x05000001","current_version":"0x06000001","epoch":"0"},"genesis_validators_root":"` + shortRoot + `"}`

// vote is an attestation of the chain. Those for the same epochs with different
// variants conflict.
func (c shortChain) vote(source, target uint64, variant byte) string {
	return fmt.Sprintf(`{"type":"ATTESTATION","fork_info":%s,"attestation":{"slot":"%d","index":"0","beacon_block_root":%q,`+
		`"source":{"epoch":"%d","root":%q},"target":{"epoch":"%d","root":%q}}}`,
		shortForkInfo, target*shortEpoch, root(variant), source, root(0), target, root(variant))
}

// block is one of the chain. Those of one slot with different variants conflict.
func (c shortChain) block(slot uint64, variant byte) string {
	return fmt.Sprintf(`{"type":"BLOCK_V2","fork_info":%s,"beacon_block":{"version":"FULU","block_header":`+
		`{"slot":"%d","proposer_index":"7","parent_root":%q,"state_root":%q,"body_root":%q}}}`,
		shortForkInfo, slot, root(1), root(2), root(variant))
}

// A signedDuty is a message that a chain's validator has signed.
type signedDuty struct {
	key            interop.Key
	slot           uint64 // of a block
	source, target uint64 // of a vote
}

func (c shortChain) request(d signedDuty, variant byte) string {
	if d.slot > 0 {
		return c.block(d.slot, variant)
	}
	return c.vote(d.source, d.target, variant)
}

// sign has a duty signed, and keeps the signature for the judge.
func (c shortChain) sign(t *testing.T, d *daemon.Daemon, s *storm, what signedDuty) {
	t.Helper()
	body := c.request(what, 1)
	answer, err := d.Sign(what.key.Public, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if answer.Status != http.StatusOK {
		t.Fatalf("%.150s: %d %s\n%s", body, answer.Status, answer.Body, ending(d))
	}
	s.keep(what.key, body, answer)
}
