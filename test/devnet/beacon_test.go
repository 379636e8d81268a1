package devnet

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// A chain is the parameters of one test network: minimal preset, a fork an
// epoch from phase0 to capella.
type chain struct {
	params  string // a config.yaml
	jwt     string
	genesis time.Time
	slot    time.Duration
}

const (
	validators    = 8
	slotsPerEpoch = 8 // minimal preset
)

// newChain writes the parameters of a chain that starts after lead.
func newChain(t *testing.T, dir string, slot, lead time.Duration) chain {
	t.Helper()
	c := chain{
		params:  filepath.Join(dir, "config.yaml"),
		jwt:     filepath.Join(dir, "jwt.hex"),
		genesis: time.Now().Add(lead).Truncate(time.Second),
		slot:    slot,
	}
	const never = "18446744073709551615"
	config := fmt.Sprintf(`PRESET_BASE: minimal
CONFIG_NAME: devnet
SECONDS_PER_SLOT: %d
ALTAIR_FORK_EPOCH: 1
BELLATRIX_FORK_EPOCH: 2
CAPELLA_FORK_EPOCH: 3
EIP4844_FORK_EPOCH: %s
TERMINAL_TOTAL_DIFFICULTY: "%d"
`, int(slot.Seconds()), never, terminalDifficulty)
	for path, text := range map[string]string{c.params: config, c.jwt: fmt.Sprintf("%064x", 1)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// A beacon is a running beacon node.
type beacon struct {
	*process
	url string
}

// get asks the beacon API and decodes the member data of the answer. It is
// false where the node answers anything but 200.
func (b *beacon) get(path string, data any) bool {
	client := http.Client{Timeout: 5 * time.Second}
	response, err := client.Get(b.url + path)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	body := struct {
		Data any `json:"data"`
	}{data}
	return response.StatusCode == http.StatusOK && json.NewDecoder(response.Body).Decode(&body) == nil
}

// genesisRoot waits until the node serves its genesis; false if it has ended or
// does not before the deadline.
func (b *beacon) genesisRoot(deadline time.Time) (root string, ok bool) {
	var genesis struct {
		Root string `json:"genesis_validators_root"`
	}
	for time.Now().Before(deadline) && b.running() {
		if b.get("/eth/v1/beacon/genesis", &genesis) {
			return genesis.Root, true
		}
		time.Sleep(200 * time.Millisecond)
	}
	return "", false
}

// head returns the slot of the head and the finalised epoch.
func (b *beacon) head() (slot, finalized uint64) {
	var header struct {
		Header struct{ Message struct{ Slot string } }
	}
	var checkpoints struct{ Finalized struct{ Epoch string } }
	if b.get("/eth/v1/beacon/headers/head", &header) {
		slot, _ = strconv.ParseUint(header.Header.Message.Slot, 10, 64)
	}
	if b.get("/eth/v1/beacon/states/head/finality_checkpoints", &checkpoints) {
		finalized, _ = strconv.ParseUint(checkpoints.Finalized.Epoch, 10, 64)
	}
	return slot, finalized
}

// blocks counts the blocks of the chain from slot 1 to last.
func (b *beacon) blocks(last uint64) (n int) {
	for slot := uint64(1); slot <= last; slot++ {
		var header json.RawMessage
		if b.get(fmt.Sprintf("/eth/v1/beacon/headers/%d", slot), &header) {
			n++
		}
	}
	return n
}
