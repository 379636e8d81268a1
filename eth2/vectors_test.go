package eth2

import (
	"bufio"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/internal/testdata"
)

// A vectorFile holds requests with roots computed by @lodestar/types.
type vectorFile struct {
	Meta struct {
		SlotsPerEpoch uint64 `json:"slots_per_epoch"`
		Network       struct {
			Name     string             `json:"name"`
			Root     Root               `json:"gvr"`
			Versions map[string]Version `json:"versions"`
			Epochs   map[string]uint64  `json:"epochs"`
		} `json:"network"`
	} `json:"meta"`
	Vectors []struct {
		Type        string          `json:"type"`
		Variant     string          `json:"variant"`
		Request     json.RawMessage `json:"request"`
		SigningRoot Root            `json:"signing_root"`
		ObjectRoot  Root            `json:"object_root"`
		Domain      Root            `json:"domain"`
	} `json:"vectors"`
}

func readVectors(t *testing.T, path string) vectorFile {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var f vectorFile
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return f
}

// network is the chain that a file's vectors were made for.
func (f *vectorFile) network(t *testing.T) *Network {
	t.Helper()
	meta := f.Meta.Network
	n, ok := Builtin(meta.Name)
	if !ok {
		n = minimal()
		n.Name = meta.Name
		n.GenesisValidatorsRoot = meta.Root
		for i := range n.Forks {
			if epoch, ok := meta.Epochs[n.Forks[i].Fork.String()]; ok {
				n.Forks[i].Epoch = Epoch(epoch)
			}
		}
		n.Forks = scheduled(n.Forks)
	}
	if n.GenesisValidatorsRoot != meta.Root || n.SlotsPerEpoch() != f.Meta.SlotsPerEpoch {
		t.Fatalf("the vectors are for another %s", meta.Name)
	}
	versions, epochs := map[string]Version{}, map[string]uint64{}
	for _, s := range n.Forks {
		versions[s.Fork.String()], epochs[s.Fork.String()] = s.Version, uint64(s.Epoch)
	}
	if !maps.Equal(versions, meta.Versions) || !maps.Equal(epochs, meta.Epochs) {
		t.Fatalf("schedule of %s: %v at %v, the vectors have %v at %v", meta.Name, versions, epochs, meta.Versions, meta.Epochs)
	}
	return n
}

func TestSigningRootsAreThoseOfTheVectors(t *testing.T) {
	for _, preset := range []string{"mainnet", "minimal"} {
		t.Run(preset, func(t *testing.T) {
			paths, err := filepath.Glob(filepath.Join(testdata.Path(t, "vectors/"+preset), "*.json"))
			if err != nil {
				t.Fatal(err)
			}
			checked := map[string]int{}
			for _, path := range paths {
				f := readVectors(t, path)
				checkVectors(t, filepath.Base(path), f, f.network(t), checked)
			}
			for _, typ := range []string{
				"ATTESTATION", "BLOCK", "BLOCK_V2", "AGGREGATION_SLOT", "AGGREGATE_AND_PROOF", "AGGREGATE_AND_PROOF_V2",
				"RANDAO_REVEAL", "DEPOSIT", "VOLUNTARY_EXIT", "SYNC_COMMITTEE_MESSAGE", "SYNC_COMMITTEE_SELECTION_PROOF",
				"SYNC_COMMITTEE_CONTRIBUTION_AND_PROOF", "VALIDATOR_REGISTRATION",
			} {
				if checked[typ] < 10 {
					t.Errorf("only %d vectors of %s", checked[typ], typ)
				}
			}
			t.Logf("checked %v", checked)
		})
	}
}

func checkVectors(t *testing.T, file string, f vectorFile, n *Network, checked map[string]int) {
	for i, v := range f.Vectors {
		if v.Type == "BLS_TO_EXECUTION_CHANGE" { // signed by a withdrawal key: not offered
			continue
		}
		m, err := decodeRequest(v.Request)
		if err != nil {
			t.Fatalf("%s %d %s: %v", file, i, v.Type, err)
		}
		got, err := m.SigningRoot(n)
		if err != nil || got != v.SigningRoot {
			t.Errorf("%s %d %s %s: signing root %v, %v, want %v", file, i, v.Type, v.Variant, got, err, v.SigningRoot)
		}
		if want := container(v.ObjectRoot, v.Domain); got != want {
			t.Errorf("%s %d %s %s: signing root %v, object root and domain make %v", file, i, v.Type, v.Variant, got, want)
		}
		if o, ok := object(m); ok {
			got, err := HashTreeRoot(o, n.Preset)
			if err != nil || got != v.ObjectRoot {
				t.Errorf("%s %d %s: object root %v, %v, want %v", file, i, v.Type, got, err, v.ObjectRoot)
			}
		}
		if n.UnknownFork(m) {
			t.Errorf("%s %d %s: its fork is called unknown", file, i, v.Type)
		}
		checked[v.Type]++
	}
}

func TestSigningRootsAreThoseOfRecordedClients(t *testing.T) {
	for _, client := range []string{"lodestar-1.5.1-minimal", "lodestar-1.22-minimal"} {
		t.Run(client, func(t *testing.T) {
			dir := testdata.Path(t, "captured/"+client)
			n := recordedNetwork(t, dir)
			paths, err := filepath.Glob(filepath.Join(dir, "*.*.[0-9].json"))
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range paths {
				var r struct {
					Body string `json:"raw_body"`
					Root Root   `json:"computed_signing_root"`
				}
				testdata.ReadJSON(t, path, &r)
				m, err := decodeRequest([]byte(r.Body))
				if err != nil {
					t.Fatalf("%s: %v", path, err)
				}
				if got, err := m.SigningRoot(n); err != nil || got != r.Root {
					t.Errorf("%s: signing root %v, %v, want %v", filepath.Base(path), got, err, r.Root)
				}
			}
			if len(paths) < 150 {
				t.Errorf("only %d requests", len(paths))
			}
		})
	}
}

func recordedNetwork(t *testing.T, dir string) *Network {
	t.Helper()
	n, err := NetworkFromConfig(readConfig(t, filepath.Join(dir, "CONFIG.yaml")))
	if err != nil {
		t.Fatal(err)
	}
	var genesis struct {
		Data struct {
			Root Root   `json:"genesis_validators_root"`
			Time Uint64 `json:"genesis_time"`
		} `json:"data"`
	}
	testdata.ReadJSON(t, filepath.Join(dir, "GENESIS.json"), &genesis)
	n.GenesisValidatorsRoot, n.GenesisTime = genesis.Data.Root, uint64(genesis.Data.Time)
	return n
}

// readConfig reads the flat part of a config.yaml.
func readConfig(t *testing.T, path string) map[string]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	kv := map[string]string{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if k, v, ok := strings.Cut(lines.Text(), ":"); ok {
			kv[k] = strings.Trim(v, ` "'`)
		}
	}
	return kv
}
