package web3signer

import (
	"bufio"
	"cmp"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/testdata"
)

// A vector is a request with its root and signature by @lodestar/types and
// interop key 0.
type vector struct {
	Type        string          `json:"type"`
	Variant     string          `json:"variant"`
	Request     json.RawMessage `json:"request"`
	SigningRoot eth2.Root       `json:"signing_root"`
	Pubkey      bls.PublicKey   `json:"pubkey"`
	Signature   bls.Signature   `json:"signature"`

	message eth2.Message
}

type vectorFile struct {
	Meta struct {
		Network struct {
			Name     string                  `json:"name"`
			Root     eth2.Root               `json:"gvr"`
			Versions map[string]eth2.Version `json:"versions"`
			Epochs   map[string]eth2.Epoch   `json:"epochs"`
		} `json:"network"`
	} `json:"meta"`
	Vectors []vector `json:"vectors"`
}

func (f *vectorFile) network(t *testing.T) *eth2.Network {
	t.Helper()
	meta := f.Meta.Network
	if n, ok := eth2.Builtin(meta.Name); ok {
		return n
	}
	n, err := eth2.NetworkFromConfig(map[string]string{"PRESET_BASE": "minimal", "CONFIG_NAME": meta.Name})
	if err != nil {
		t.Fatal(err)
	}
	n.GenesisValidatorsRoot = meta.Root
	n.Forks = nil
	for name, version := range meta.Versions {
		fork, err := eth2.ParseForkName(name)
		if err != nil {
			t.Fatal(err)
		}
		n.Forks = append(n.Forks, eth2.ScheduledFork{Fork: fork, Version: version, Epoch: meta.Epochs[name]})
	}
	slices.SortFunc(n.Forks, func(a, b eth2.ScheduledFork) int { return cmp.Compare(a.Fork, b.Fork) })
	return n
}

// when orders messages as their duties come, so that a signer that never goes
// back can sign them all.
func when(m eth2.Message) (target, source uint64) {
	switch m := m.(type) {
	case *eth2.Attestation:
		return uint64(m.Data.Target.Epoch), uint64(m.Data.Source.Epoch)
	case *eth2.Block:
		return uint64(m.Slot()), 0
	}
	return 0, 0
}

// TestEveryVectorIsSigned sends every vector through the whole signer. Those
// whose source is not older than their target, or older than one signed, must
// be refused; so must what a withdrawal key signs.
func TestEveryVectorIsSigned(t *testing.T) {
	for _, preset := range []string{"mainnet", "minimal"} {
		paths, err := filepath.Glob(filepath.Join(testdata.Path(t, "vectors/"+preset), "*.json"))
		if err != nil {
			t.Fatal(err)
		}
		signed, slashable, notOffered := 0, 0, 0
		for _, path := range paths {
			var f vectorFile
			testdata.ReadJSON(t, path, &f)
			r := newRig(t, f.network(t), 1)
			name := filepath.Base(path)
			for _, v := range sorted(t, r, f.Vectors) {
				w := r.post(string(v.Request))
				switch {
				case v.Type == "BLS_TO_EXECUTION_CHANGE":
					if msg := wantRefused(t, w, http.StatusBadRequest, "malformed_request"); !strings.Contains(msg, "withdrawal key") {
						t.Errorf("%s: %s", name, msg)
					}
					notOffered++
				case w.Code == http.StatusPreconditionFailed:
					slashable++
					if a, ok := v.message.(*eth2.Attestation); !ok || !strings.HasPrefix(v.Variant, "uint64") && preset != "minimal" {
						t.Errorf("%s %s %s: %s", name, v.Type, v.Variant, w.Body)
					} else if strings.HasPrefix(v.Variant, "uint64") && a.Data.Source.Epoch != a.Data.Target.Epoch {
						t.Errorf("%s %s: %s", name, v.Variant, w.Body)
					}
				default:
					if got := signatureIn(t, w); got != v.Signature || v.Pubkey != r.keys[0] {
						t.Errorf("%s %s %s: got %v, want %v", name, v.Type, v.Variant, got, v.Signature)
					}
					signed++
				}
			}
		}
		t.Logf("%s: %d signed, %d slashable, %d not offered", preset, signed, slashable, notOffered)
		wantSlashable := map[string]int{"mainnet": 5, "minimal": 7}[preset]
		if signed < 600 || slashable != wantSlashable || notOffered == 0 {
			t.Errorf("%s: %d signed, %d slashable, want %d, and %d not offered", preset, signed, slashable, wantSlashable, notOffered)
		}
	}
}

// sorted decodes and sorts vectors, and compares their roots.
func sorted(t *testing.T, r *rig, vectors []vector) []vector {
	t.Helper()
	for i := range vectors {
		v := &vectors[i]
		var req request
		if err := r.request.Decode(v.Request, &req); err != nil {
			t.Fatalf("%s %s: %v", v.Type, v.Variant, err)
		}
		m, err := req.message()
		if v.Type == "BLS_TO_EXECUTION_CHANGE" {
			continue
		}
		if err != nil {
			t.Fatalf("%s %s: %v", v.Type, v.Variant, err)
		}
		if root, err := m.SigningRoot(r.signer.Network); err != nil || root != v.SigningRoot {
			t.Errorf("%s %s: root %v, %v, want %v", v.Type, v.Variant, root, err, v.SigningRoot)
		}
		v.message = m
	}
	slices.SortStableFunc(vectors, func(a, b vector) int {
		at, as := when(a.message)
		bt, bs := when(b.message)
		return cmp.Or(cmp.Compare(at, bt), cmp.Compare(as, bs))
	})
	return vectors
}

// TestEveryRecordedRequestIsSigned replays what real validator clients sent,
// with the headers that they sent it with.
func TestEveryRecordedRequestIsSigned(t *testing.T) {
	for _, client := range []string{"lodestar-1.5.1-minimal", "lodestar-1.22-minimal"} {
		t.Run(client, func(t *testing.T) {
			dir := testdata.Path(t, "captured/"+client)
			r := newRig(t, recordedNetwork(t, dir), 64)
			all := recorded(t, r, dir)
			for _, c := range all {
				header := http.Header{}
				for name, value := range c.Headers {
					header.Set(name, value)
				}
				w := r.do(call{c.Method, c.Path, c.Body, header})
				if got := signatureIn(t, w); got != c.Signature {
					t.Errorf("%s: got %v, want %v", c.file, got, c.Signature)
				}
				if w.Header().Get("Content-Type") != "application/json" {
					t.Errorf("%s: a client that accepts %q got %q", c.file, header.Get("Accept"), w.Header().Get("Content-Type"))
				}
			}
			if len(all) < 150 {
				t.Errorf("only %d requests", len(all))
			}
		})
	}
}

// A recordedCall is one request of a real client.
type recordedCall struct {
	Method    string            `json:"method"`
	Path      string            `json:"path"`
	Headers   map[string]string `json:"headers"`
	Body      string            `json:"raw_body"`
	Signature bls.Signature     `json:"signature"`

	file    string
	message eth2.Message
}

func recorded(t *testing.T, r *rig, dir string) []recordedCall {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.*.[0-9].json"))
	if err != nil {
		t.Fatal(err)
	}
	all := make([]recordedCall, len(paths))
	for i, path := range paths {
		c := &all[i]
		testdata.ReadJSON(t, path, c)
		c.file = filepath.Base(path)
		var req request
		if err := r.request.Decode([]byte(c.Body), &req); err != nil {
			t.Fatalf("%s: %v", c.file, err)
		}
		if c.message, err = req.message(); err != nil {
			t.Fatalf("%s: %v", c.file, err)
		}
	}
	slices.SortStableFunc(all, func(a, b recordedCall) int {
		at, as := when(a.message)
		bt, bs := when(b.message)
		return cmp.Or(cmp.Compare(at, bt), cmp.Compare(as, bs))
	})
	return all
}

func recordedNetwork(t *testing.T, dir string) *eth2.Network {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, "CONFIG.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	kv := map[string]string{}
	for config := bufio.NewScanner(f); config.Scan(); {
		if k, v, ok := strings.Cut(config.Text(), ":"); ok {
			kv[k] = strings.Trim(v, ` "'`)
		}
	}
	n, err := eth2.NetworkFromConfig(kv)
	if err != nil {
		t.Fatal(err)
	}
	var genesis struct {
		Data struct {
			Root eth2.Root `json:"genesis_validators_root"`
		} `json:"data"`
	}
	testdata.ReadJSON(t, filepath.Join(dir, "GENESIS.json"), &genesis)
	n.GenesisValidatorsRoot = genesis.Data.Root
	return n
}
