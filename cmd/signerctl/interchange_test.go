package main

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/testdata"
	"github.com/secure-signer/secure-signer/record/memory"
	"github.com/secure-signer/secure-signer/slashing"
)

const history = `{
	"metadata": {"interchange_format_version": "5", "genesis_validators_root": "0x0101010101010101010101010101010101010101010101010101010101010101"},
	"data": [
		{"pubkey": "0x` + keyA + `", "signed_blocks": [{"slot": "7"}], "signed_attestations": []},
		{"pubkey": "` + keyB + `", "signed_blocks": [], "signed_attestations": [{"source_epoch": "1", "target_epoch": "2"}]},
		{"signed_blocks": [{"slot": "9", "unknown": {}}], "signed_attestations": [], "pubkey": "0x` + keyA + `"}
	],
	"unknown": [1, 2]
}`

const (
	keyA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	keyB = "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"
)

// imports returns what a signer knows of some keys after the import of texts.
func imports(t *testing.T, genesis eth2.Root, pubs []bls.PublicKey, texts ...string) map[bls.PublicKey]slashing.Floors {
	t.Helper()
	guard := slashing.New(memory.New(), slashing.Config{Network: &eth2.Network{GenesisValidatorsRoot: genesis}})
	for _, text := range texts {
		if _, err := guard.Import(t.Context(), strings.NewReader(text), nil); err != nil {
			t.Fatalf("import of %s: %v", text, err)
		}
	}
	known := make(map[bls.PublicKey]slashing.Floors)
	for _, pub := range pubs {
		state, err := guard.State(t.Context(), pub)
		if err != nil {
			t.Fatal(err)
		}
		known[pub] = state.Watermarks()
	}
	return known
}

// cutUp imports a file as a whole, and cut up by key, and compares.
func cutUp(t *testing.T, in *interchange) {
	t.Helper()
	pubs := slices.Collect(maps.Keys(in.byKey))
	var parts []string
	for _, pub := range pubs {
		part, err := in.of([]*imported{{Pubkey: &pub}, {Pubkey: &pub}})
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, part)
	}
	if whole, cut := imports(t, in.genesis, pubs, in.whole), imports(t, in.genesis, pubs, parts...); !maps.Equal(whole, cut) {
		t.Errorf("as a whole %v, cut up %v", whole, cut)
	}
}

func TestAnInterchangeCutUpByKeySaysTheSame(t *testing.T) {
	in, err := parseInterchange(t.Context(), []byte(history))
	if err != nil {
		t.Fatal(err)
	}
	if len(in.byKey) != 2 {
		t.Errorf("%d keys, want 2", len(in.byKey))
	}
	cutUp(t, in)

	// A keystore that does not name its key may be any of them.
	if got, err := in.of([]*imported{{}}); err != nil || got != history {
		t.Errorf("for an unnamed key: %s, %v; want the whole", got, err)
	}
	stranger := bls.PublicKey{1}
	part, err := in.of([]*imported{{Pubkey: &stranger}})
	if err != nil {
		t.Fatal(err)
	}
	imports(t, in.genesis, nil, part)
	if in.names(&imported{Pubkey: &stranger}) {
		t.Error("it names a stranger")
	}
	var none *interchange
	if got, err := none.of([]*imported{{}}); got != "" || err != nil || none.names(&imported{}) {
		t.Errorf("no interchange: %q, %v", got, err)
	}
}

func TestAnInterchangeIsValidAsAWhole(t *testing.T) {
	for _, tt := range []struct{ name, old, new string }{
		{"no JSON", "{", ""},
		{"another version", `"5"`, `"4"`},
		{"no metadata", `"metadata"`, `"meta"`},
		{"no data", `"data"`, `"dat"`},
		{"a key that is none", keyB, "0x12"},
		{"a slot that is none", `"7"`, `"-7"`},
		{"an epoch left out", `"source_epoch": "1", `, ``},
		{"more behind it", "[1, 2]\n}", "[1, 2]\n} {}"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if !strings.Contains(history, tt.old) {
				t.Fatalf("nothing to replace: %s", tt.old)
			}
			if _, err := parseInterchange(t.Context(), []byte(strings.Replace(history, tt.old, tt.new, 1))); err == nil {
				t.Error("it was accepted")
			}
		})
	}
}

// TestOfficialInterchangesCutUp: what the official suite has signers import can
// be cut up.
func TestOfficialInterchangesCutUp(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(testdata.Path(t, "interchange"), "*.json"))
	if err != nil || len(files) != 38 {
		t.Fatalf("%d files, %v; want 38", len(files), err)
	}
	steps := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var suite struct {
			Steps []struct {
				Interchange json.RawMessage `json:"interchange"`
			} `json:"steps"`
		}
		if err := json.Unmarshal(text, &suite); err != nil {
			t.Fatal(err)
		}
		for _, step := range suite.Steps {
			in, err := parseInterchange(t.Context(), step.Interchange)
			if err != nil {
				t.Fatalf("%s: %v", filepath.Base(file), err)
			}
			cutUp(t, in)
			steps++
		}
	}
	if steps < len(files) {
		t.Errorf("only %d interchanges in %d files", steps, len(files))
	}
}

// FuzzInterchange: what is accepted says the same as a whole and cut up.
func FuzzInterchange(f *testing.F) {
	f.Add([]byte(history))
	f.Add([]byte(`{"metadata":{"interchange_format_version":"5","genesis_validators_root":"0x0101010101010101010101010101010101010101010101010101010101010101"},"data":[]}`))
	f.Add([]byte(`{"metadata":null,"data":null}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if in, err := parseInterchange(t.Context(), text); err == nil {
			cutUp(t, in)
		}
	})
}
