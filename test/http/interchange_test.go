package http_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/protolambda/zrnt/eth2/beacon/common"
	"github.com/protolambda/zrnt/eth2/beacon/phase0"
	"github.com/protolambda/ztyp/tree"

	"github.com/secure-signer/secure-signer/internal/testdata"
	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

// An officialCase is a file of the official EIP-3076 suite. Its roots stand for
// messages that it does not have.
type officialCase struct {
	Name  string         `json:"name"`
	Root  string         `json:"genesis_validators_root"`
	Steps []officialStep `json:"steps"`
}

type officialStep struct {
	ShouldSucceed bool              `json:"should_succeed"`
	Interchange   officialData      `json:"interchange"`
	Blocks        []officialAttempt `json:"blocks"`
	Attestations  []officialAttempt `json:"attestations"`
}

type officialData struct {
	Metadata json.RawMessage `json:"metadata"`
	Data     []struct {
		Pubkey       string          `json:"pubkey"`
		Blocks       []officialEntry `json:"signed_blocks"`
		Attestations []officialEntry `json:"signed_attestations"`
	} `json:"data"`
}

// An officialEntry is a block, which has a slot, or an attestation.
type officialEntry struct {
	Slot   string `json:"slot,omitempty"`
	Source string `json:"source_epoch,omitempty"`
	Target string `json:"target_epoch,omitempty"`
	Root   string `json:"signing_root,omitempty"`
}

type officialAttempt struct {
	officialEntry
	Pubkey                string `json:"pubkey"`
	ShouldSucceed         bool   `json:"should_succeed"`
	ShouldSucceedComplete bool   `json:"should_succeed_complete"`
}

// An officialRun counts what was tried.
type officialRun struct {
	mu                                                 sync.Mutex
	files, steps, refusedImports, blocks, attestations int
	signed, refused, rewritten                         int
}

// TestTheOfficialInterchangeSuiteOverHTTP plays each file to a daemon of its own,
// on a network with the file's genesis root. An abstract root becomes the root of
// a block that the message holds, so that messages are equal where their roots
// are; the roots in what is imported become the signing roots of those messages,
// worked out by another implementation. Each attempt must end as a signer that
// remembers only its watermarks has to end it, or, where the identical message
// was signed here before, as a complete one.
func TestTheOfficialInterchangeSuiteOverHTTP(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob(filepath.Join(testdata.Path(t, "interchange"), "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	const zero = "0x0000000000000000000000000000000000000000000000000000000000000000"
	folder := daemon.Init(t, daemon.Network{Name: ownNetwork(t), GenesisRoot: zero, GenesisTime: "0"})
	run := new(officialRun)
	t.Run("files", func(t *testing.T) {
		for _, path := range paths {
			t.Run(strings.TrimSuffix(filepath.Base(path), ".json"), func(t *testing.T) {
				t.Parallel()
				var c officialCase
				if err := json.Unmarshal(read(t, path), &c); err != nil {
					t.Fatal(err)
				}
				f := copyFolder(t, folder)
				pinned := filepath.Join(f.Path, "config.yaml")
				write(t, pinned, bytes.Replace(read(t, pinned), []byte(zero), []byte(c.Root), 1))
				run.play(t, f, daemon.Serve(t, f, unbound...), c)
			})
		}
	})
	t.Logf("%d files, %d steps, %d block and %d attestation attempts: %d signed, %d refused; %d roots rewritten",
		run.files, run.steps, run.blocks, run.attestations, run.signed, run.refused, run.rewritten)
	if run.files != 38 || run.steps != 49 || run.refusedImports != 1 || run.blocks != 71 || run.attestations != 79 ||
		run.signed == 0 || run.refused == 0 || run.rewritten == 0 {
		t.Errorf("the suite has 38 files, 49 steps of which 1 fails, 71 blocks and 79 attestations; ran %d, %d, %d, %d and %d",
			run.files, run.steps, run.refusedImports, run.blocks, run.attestations)
	}
}

// ownNetwork writes the config.yaml of a chain with mainnet's forks.
func ownNetwork(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	write(t, path, []byte("PRESET_BASE: mainnet\nCONFIG_NAME: interchange\n"))
	return path
}

// A player plays one file. It remembers which messages were signed.
type player struct {
	run    *officialRun
	folder daemon.Folder
	daemon *daemon.Daemon
	root   string
	keys   map[string]interop.Key
	signed map[string]bool
}

func (run *officialRun) play(t *testing.T, f daemon.Folder, d *daemon.Daemon, c officialCase) {
	p := player{run: run, folder: f, daemon: d, root: c.Root, keys: map[string]interop.Key{}, signed: map[string]bool{}}
	for _, k := range interop.Keys(16) {
		p.keys[k.Hex()] = k
	}
	run.count(func() { run.files++ })
	for _, step := range c.Steps {
		run.count(func() { run.steps++ })
		p.importStep(t, c, step)
		if !step.ShouldSucceed {
			run.count(func() { run.refusedImports++ })
			if held := listed(t, d); len(held) != 0 {
				t.Errorf("keys came into service although their history was refused: %v", held)
			}
			return
		}
		for _, b := range step.Blocks {
			run.count(func() { run.blocks++ })
			p.attempt(t, b, p.block(b.officialEntry))
		}
		for _, a := range step.Attestations {
			run.count(func() { run.attestations++ })
			p.attempt(t, a, p.attestation(a.officialEntry))
		}
	}
}

func (run *officialRun) count(f func()) {
	run.mu.Lock()
	defer run.mu.Unlock()
	f()
}

// importStep imports every key of the file with the history of the step.
func (p *player) importStep(t *testing.T, c officialCase, step officialStep) {
	t.Helper()
	for i := range step.Interchange.Data {
		history := &step.Interchange.Data[i]
		for j := range history.Blocks {
			p.rewrite(t, &history.Blocks[j], p.block(history.Blocks[j]))
		}
		for j := range history.Attestations {
			p.rewrite(t, &history.Attestations[j], p.attestation(history.Attestations[j]))
		}
	}
	slashingData, err := json.Marshal(step.Interchange)
	if err != nil {
		t.Fatal(err)
	}
	var keystores, passwords []string
	for _, k := range p.keysOf(t, c) {
		keystores, passwords = append(keystores, k.Keystore("a password")), append(passwords, "a password")
	}
	request := map[string]any{"keystores": keystores, "passwords": passwords, "slashing_protection": string(slashingData)}
	status, body := call(t, p.folder, p.daemon, "/eth/v1/keystores", request)
	if status == http.StatusOK != step.ShouldSucceed {
		t.Fatalf("import: %d %s, should succeed: %v", status, body, step.ShouldSucceed)
	}
	if !step.ShouldSucceed && !strings.Contains(body, "foreign_chain") {
		t.Errorf("import: %d %s, want the reason foreign_chain", status, body)
	}
	if strings.Contains(body, `"error"`) && step.ShouldSucceed {
		t.Fatalf("import: %s", body)
	}
}

// call posts a body with the token of the folder that the daemon serves.
func call(t *testing.T, f daemon.Folder, d *daemon.Daemon, path string, body any) (status int, answer string) {
	t.Helper()
	encoded, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.URL+path, bytes.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token(t, f))
	r.Header.Set("Content-Type", "application/json")
	a, err := do(http.DefaultClient, r)
	if err != nil {
		t.Fatal(err)
	}
	return a.Status, a.Body
}

// keysOf returns the keys that the file names anywhere, or one if it names none.
func (p *player) keysOf(t *testing.T, c officialCase) (keys []interop.Key) {
	t.Helper()
	var names []string
	for _, step := range c.Steps {
		for _, history := range step.Interchange.Data {
			names = append(names, history.Pubkey)
		}
		for _, a := range slices.Concat(step.Blocks, step.Attestations) {
			names = append(names, a.Pubkey)
		}
	}
	if len(names) == 0 {
		names = append(names, interop.New(0).Hex())
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		key, ok := p.keys[name]
		if !ok {
			t.Fatalf("%s is none of the first interop keys", name)
		}
		keys = append(keys, key)
	}
	return keys
}

// rewrite gives an entry the signing root of its message.
func (p *player) rewrite(t *testing.T, e *officialEntry, body string) {
	t.Helper()
	if e.Root == "" {
		return
	}
	e.Root = signingRoot(t, body)
	p.run.count(func() { p.run.rewritten++ })
}

// attempt asks for a signature.
func (p *player) attempt(t *testing.T, a officialAttempt, body string) {
	t.Helper()
	want := a.ShouldSucceed
	if p.signed[a.Pubkey+body] {
		want = a.ShouldSucceedComplete
	}
	answer, err := p.daemon.Sign(p.keys[a.Pubkey].Public, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case want && answer.Status == http.StatusOK:
		p.signed[a.Pubkey+body] = true
		p.run.count(func() { p.run.signed++ })
	case !want && answer.Status == http.StatusPreconditionFailed && slices.Contains(slashable, answer.Reason()):
		p.run.count(func() { p.run.refused++ })
	default:
		t.Errorf("%+v: %d %s, should be signed: %v", a, answer.Status, answer.Body, want)
	}
}

// slashable are the reasons that the suite is about.
var slashable = []string{"double_block", "double_vote", "surround_vote", "below_watermark", "below_floor", "source_after_target"}

func (p *player) forkInfo() string {
	return fmt.Sprintf(`{"fork":{"previous_version":"0x05000000","current_version":"0x06000000","epoch":"0"},"genesis_validators_root":%q}`, p.root)
}

func (p *player) block(e officialEntry) string {
	return fmt.Sprintf(`{"type":"BLOCK_V2","fork_info":%s,"beacon_block":{"version":"FULU","block_header":`+
		`{"slot":%q,"proposer_index":"7","parent_root":%q,"state_root":%q,"body_root":%q}}}`,
		p.forkInfo(), e.Slot, root(1), root(2), e.abstractRoot())
}

func (p *player) attestation(e officialEntry) string {
	return fmt.Sprintf(`{"type":"ATTESTATION","fork_info":%s,"attestation":{"slot":"7","index":"0","beacon_block_root":%q,`+
		`"source":{"epoch":%q,"root":%q},"target":{"epoch":%q,"root":%q}}}`,
		p.forkInfo(), e.abstractRoot(), e.Source, root(1), e.Target, root(2))
}

func (e officialEntry) abstractRoot() string {
	if e.Root == "" {
		return root(0)
	}
	return e.Root
}

// signingRoot is the signing root of a request, by zrnt.
func signingRoot(t *testing.T, body string) string {
	t.Helper()
	var r struct {
		ForkInfo struct {
			Fork common.Fork `json:"fork"`
			Root common.Root `json:"genesis_validators_root"`
		} `json:"fork_info"`
		Attestation *phase0.AttestationData `json:"attestation"`
		Block       struct {
			Header *common.BeaconBlockHeader `json:"block_header"`
		} `json:"beacon_block"`
	}
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		t.Fatal(err)
	}
	domain, hash := common.DOMAIN_BEACON_PROPOSER, tree.GetHashFn()
	var hashed common.Root
	if r.Attestation != nil {
		domain, hashed = common.DOMAIN_BEACON_ATTESTER, r.Attestation.HashTreeRoot(hash)
	} else {
		hashed = r.Block.Header.HashTreeRoot(hash)
	}
	return common.ComputeSigningRoot(hashed, common.ComputeDomain(domain, r.ForkInfo.Fork.CurrentVersion, r.ForkInfo.Root)).String()
}
