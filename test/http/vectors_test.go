package http_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/internal/testdata"
	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

// A vectorFile is one file of vectors/, made by an implementation that shares
// no code with this one.
type vectorFile struct {
	Meta struct {
		Preset  string `json:"preset"`
		Network struct {
			Name                  string            `json:"name"`
			GenesisValidatorsRoot string            `json:"gvr"`
			Versions              map[string]string `json:"versions"`
			Epochs                map[string]uint64 `json:"epochs"`
		} `json:"network"`
	} `json:"meta"`
	Vectors []vector `json:"vectors"`
}

type vector struct {
	Type      string          `json:"type"`
	Variant   string          `json:"variant"`
	Request   json.RawMessage `json:"request"`
	PublicKey string          `json:"pubkey"`
	Signature string          `json:"signature"`
}

// slashableVectors are the attestations that a signer has to refuse when a file
// is replayed in ascending order: the files hold random messages of one key.
var slashableVectors = map[string][]string{
	"minimal/phase0.json":      {"ATTESTATION 13→14: double_vote"},
	"minimal/deneb.json":       {"ATTESTATION 406→409: surround_vote"},
	"mainnet/edge-uint64.json": sourceIsTarget(),
	"minimal/edge-uint64.json": sourceIsTarget(),
}

func sourceIsTarget() []string {
	var refused []string
	for _, epoch := range []uint64{1<<53 + 1, 1<<63 - 1, 1 << 63, 1<<64 - 2, 1<<64 - 1} {
		refused = append(refused, fmt.Sprintf("ATTESTATION %d→%d: source_after_target", epoch, epoch))
	}
	return refused
}

func TestEveryVectorIsSignedAsItsMakerSignedIt(t *testing.T) {
	root := testdata.Path(t, "vectors")
	files, err := filepath.Glob(filepath.Join(root, "*", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors below %s: %v", root, err)
	}
	folders := map[string]daemon.Folder{} // a new one for each chain, to be copied
	for _, path := range files {
		var file vectorFile
		readJSON(t, path, &file)
		chain := fmt.Sprint(file.Meta.Network)
		if _, made := folders[chain]; !made {
			folders[chain] = file.folder(t)
		}
		name := filepath.Base(filepath.Dir(path)) + "/" + filepath.Base(path)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := interop.New(0)
			d := serveKeys(t, copyFolder(t, folders[chain]), []interop.Key{key}, unbound...)
			refused := replayVectors(t, d, key, file.Vectors)
			if diff := cmp.Diff(slashableVectors[name], refused); diff != "" {
				t.Errorf("refused (-want +got):\n%s", diff)
			}
		})
	}
}

// replayVectors sends every vector three times: with a wrong root, without one
// and as it is. It returns what was refused as slashable.
func replayVectors(t *testing.T, d *daemon.Daemon, key interop.Key, vectors []vector) (refused []string) {
	slices.SortStableFunc(vectors, func(a, b vector) int { return inOrder(t, a.Request, b.Request) })
	signed, notOffered := 0, 0
	for _, v := range vectors {
		if v.PublicKey != key.Hex() {
			t.Fatalf("%s %s is of key %s, not of interop key 0", v.Type, v.Variant, v.PublicKey)
		}
		if v.Type == "BLS_TO_EXECUTION_CHANGE" {
			notOffered++
			mustRefuse(t, d, key, string(v.Request), http.StatusBadRequest, "malformed_request")
			continue
		}
		mustRefuse(t, d, key, withRoot(t, v.Request, wrongRoot), http.StatusBadRequest, "signing_root_mismatch")
		if reason := v.signOrRefuse(t, d, key); reason != "" {
			refused = append(refused, reason)
			continue
		}
		signed++
	}
	if signed == 0 || signed+notOffered+len(refused) != len(vectors) {
		t.Errorf("of %d vectors %d were signed, %d refused and %d not offered", len(vectors), signed, len(refused), notOffered)
	}
	return refused
}

// signOrRefuse sends v without a root, where no Accept asks for JSON, and then
// as it is. Both answers have to agree.
func (v vector) signOrRefuse(t *testing.T, d *daemon.Daemon, key interop.Key) (refusal string) {
	t.Helper()
	bare, err := d.Sign(key.Public, []byte(withRoot(t, v.Request, "")))
	if err != nil {
		t.Fatal(err)
	}
	whole, err := d.Sign(key.Public, v.Request, "application/json")
	if err != nil {
		t.Fatal(err)
	}
	if bare.Status == http.StatusPreconditionFailed && whole.Status == http.StatusPreconditionFailed && bare.Reason() == whole.Reason() {
		return fmt.Sprintf("%s %s: %s", v.Type, votes(t, v.Request), bare.Reason())
	}
	wantBare := daemon.Answer{Status: http.StatusOK, ContentType: "text/plain", Body: v.Signature}
	wantWhole := daemon.Answer{Status: http.StatusOK, ContentType: "application/json", Body: `{"signature":"` + v.Signature + `"}`}
	if diff := cmp.Diff(wantBare, tidy(bare)); diff != "" {
		t.Errorf("%s %s without root and Accept (-want +got):\n%s", v.Type, v.Variant, diff)
	}
	if diff := cmp.Diff(wantWhole, tidy(whole)); diff != "" {
		t.Errorf("%s %s for JSON (-want +got):\n%s", v.Type, v.Variant, diff)
	}
	return ""
}

// tidy drops what carries no meaning: a charset and the space around a body.
func tidy(a daemon.Answer) daemon.Answer {
	a.ContentType, _, _ = strings.Cut(a.ContentType, ";")
	a.Body = strings.TrimSpace(a.Body)
	return a
}

// folder makes a data folder for the chain that the file's messages belong to.
func (f *vectorFile) folder(t *testing.T) daemon.Folder {
	t.Helper()
	n := f.Meta.Network
	if n.Name == mainnet.Name {
		return initMainnet(t)
	}
	var config strings.Builder
	fmt.Fprintf(&config, "PRESET_BASE: %s\nCONFIG_NAME: %s\nSECONDS_PER_SLOT: 6\n", f.Meta.Preset, n.Name)
	for fork, version := range n.Versions {
		name := strings.ToUpper(fork)
		if fork == "phase0" {
			name = "GENESIS"
		} else {
			fmt.Fprintf(&config, "%s_FORK_EPOCH: %d\n", name, n.Epochs[fork])
		}
		fmt.Fprintf(&config, "%s_FORK_VERSION: %s\n", name, version)
	}
	path := filepath.Join(t.TempDir(), "config.yaml")
	write(t, path, []byte(config.String()))
	return daemon.Init(t, daemon.Network{Name: path, GenesisRoot: n.GenesisValidatorsRoot, GenesisTime: "1606824023"})
}

var wrongRoot = "0x" + hex.EncodeToString(make([]byte, 31)) + "5a"

// withRoot returns the request with another signing root, or with none.
func withRoot(t *testing.T, request json.RawMessage, root string) string {
	t.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal(request, &members); err != nil {
		t.Fatal(err)
	}
	delete(members, "signing_root")
	delete(members, "signingRoot")
	if root != "" {
		members["signingRoot"] = json.RawMessage(strconv.Quote(root))
	}
	text, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A duty is what orders the requests of one key.
type duty struct {
	Attestation *struct {
		Source, Target struct {
			Epoch uint64 `json:"epoch,string"`
		}
	} `json:"attestation"`
	Block       *slotted `json:"block"`
	BeaconBlock *struct {
		Block  *slotted `json:"block"`
		Header *slotted `json:"block_header"`
	} `json:"beacon_block"`
}

type slotted struct {
	Slot uint64 `json:"slot,string"`
}

// inOrder compares two requests of one key by the slot or the target epoch that
// the slashing rules look at. Blocks and attestations do not constrain each
// other, and nothing constrains the rest.
func inOrder(t *testing.T, a, b json.RawMessage) int {
	t.Helper()
	x, y := dutyOf(t, a).at(), dutyOf(t, b).at()
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

func dutyOf(t *testing.T, request json.RawMessage) duty {
	t.Helper()
	var d duty
	if err := json.Unmarshal(request, &d); err != nil {
		t.Fatalf("%.200s: %v", request, err)
	}
	return d
}

func (d duty) at() uint64 {
	switch {
	case d.Attestation != nil:
		return d.Attestation.Target.Epoch
	case d.Block != nil:
		return d.Block.Slot
	case d.BeaconBlock != nil && d.BeaconBlock.Block != nil:
		return d.BeaconBlock.Block.Slot
	case d.BeaconBlock != nil && d.BeaconBlock.Header != nil:
		return d.BeaconBlock.Header.Slot
	}
	return 0
}

// votes says what an attestation votes for.
func votes(t *testing.T, request json.RawMessage) string {
	t.Helper()
	d := dutyOf(t, request)
	if d.Attestation == nil {
		return fmt.Sprint(d.at())
	}
	return fmt.Sprintf("%d→%d", d.Attestation.Source.Epoch, d.Attestation.Target.Epoch)
}

func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	if err := json.Unmarshal(read(t, path), into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}
