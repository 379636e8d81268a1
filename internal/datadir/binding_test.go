package datadir_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/datadir"
)

func releaseKey(b byte) ed25519.PublicKey { return bytes.Repeat([]byte{b}, ed25519.PublicKeySize) }

func bound() datadir.Binding {
	return datadir.Binding{
		Platform: "gramine",
		Sealing:  datadir.Keeper{Kind: "peer", Identity: []byte(`{"key":"0x12"}`)},
		Horizon:  datadir.Keeper{Kind: "tpm", Identity: []byte(`{"ek":"0x00ff","base":12}`)},
		Release:  datadir.Release{Threshold: 2, Keys: []ed25519.PublicKey{releaseKey(3), releaseKey(1), releaseKey(2)}},
	}
}

// TestTheHashOfABindingIsForEver: a vault that was sealed under it opens only under it.
func TestTheHashOfABindingIsForEver(t *testing.T) {
	tests := []struct {
		name    string
		binding datadir.Binding
		want    string
	}{
		{"bound to everything", bound(), "7838d3d019fcf984dc5d11bc4913dc5f3214cac090c8276da5432209571ae01a"},
		{"bound to nothing", datadir.Binding{}, "1bd326f4d0793265bee57216605de769c36195dfc7b13f2351109dddd107de0c"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			hash := test.binding.Hash(eth2.Root{0: 0xab, 31: 1}, 32)
			if got := hex.EncodeToString(hash[:]); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestTheHashTellsEveryChange(t *testing.T) {
	root := eth2.Root{0: 0xab}
	want := bound().Hash(root, 32)
	change := func(edit func(*datadir.Binding)) [32]byte {
		b := bound()
		edit(&b)
		return b.Hash(root, 32)
	}
	for name, got := range map[string][32]byte{
		"another chain":       bound().Hash(eth2.Root{0: 0xac}, 32),
		"shorter epochs":      bound().Hash(root, 16),
		"no horizon":          change(func(b *datadir.Binding) { b.Horizon = datadir.Keeper{} }),
		"another horizon":     change(func(b *datadir.Binding) { b.Horizon.Identity = []byte(`{"ek":"0x00fe","base":12}`) }),
		"another key keeper":  change(func(b *datadir.Binding) { b.Sealing.Identity = []byte(`{"key":"0x13"}`) }),
		"keepers exchanged":   change(func(b *datadir.Binding) { b.Sealing, b.Horizon = b.Horizon, b.Sealing }),
		"another kind":        change(func(b *datadir.Binding) { b.Horizon.Kind = "witness" }),
		"a byte that moves":   change(func(b *datadir.Binding) { b.Horizon = datadir.Keeper{Kind: "tpm{", Identity: b.Horizon.Identity[1:]} }),
		"another threshold":   change(func(b *datadir.Binding) { b.Release.Threshold = 1 }),
		"another release key": change(func(b *datadir.Binding) { b.Release.Keys[0] = releaseKey(9) }),
		"a release key less":  change(func(b *datadir.Binding) { b.Release.Keys = b.Release.Keys[:2] }),
	} {
		if got == want {
			t.Errorf("%s has the same hash", name)
		}
	}
	if got := change(func(b *datadir.Binding) {
		b.Release.Keys = []ed25519.PublicKey{releaseKey(1), releaseKey(2), releaseKey(3)}
	}); got != want {
		t.Error("the order of the release keys changes the hash")
	}
}

func TestABindingSurvives(t *testing.T) {
	hoodi, _ := eth2.Builtin("hoodi")
	for name, b := range map[string]datadir.Binding{
		"everything":     bound(),
		"platform alone": {Platform: "tpm"},
		"sealing alone":  {Platform: "nitro", Sealing: bound().Sealing},
		"horizon alone":  {Horizon: bound().Horizon},
		"release alone":  {Release: bound().Release},
		"nothing":        {},
		"odd bytes":      {Platform: "dev", Horizon: datadir.Keeper{Kind: "x", Identity: []byte("{\"a\":\n \"\u2028: # 'é'\\n\"}")}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "data")
			want := datadir.Settings{Network: hoodi, Binding: b}
			if err := datadir.Create(path, want, nothing); err != nil {
				t.Fatal(err)
			}
			if err := datadir.Update(path, func(n *eth2.Network) (*eth2.Network, error) { return n, nil }); err != nil {
				t.Fatal(err)
			}
			got, err := datadir.Open(path)
			if diff := cmp.Diff(want, got.Settings); err != nil || diff != "" {
				t.Errorf("%v, settings (-made +opened):\n%s", err, diff)
			}
		})
	}
}

func TestARebindChangesWhatTheFolderIsBoundTo(t *testing.T) {
	path := boundFolder(t)
	if err := datadir.Rebind(path, func(f datadir.Folder) (datadir.Binding, error) {
		f.Binding.Platform = "tpm"
		return f.Binding, nil
	}); err != nil {
		t.Fatal(err)
	}
	want := bound()
	want.Platform = "tpm"
	got, err := datadir.Open(path)
	if diff := cmp.Diff(want, got.Binding); err != nil || diff != "" {
		t.Errorf("%v, binding (-want +got):\n%s", err, diff)
	}
	fault := errors.New("no")
	err = datadir.Rebind(path, func(datadir.Folder) (datadir.Binding, error) { return datadir.Binding{}, fault })
	if again, _ := datadir.Open(path); !errors.Is(err, fault) || !cmp.Equal(again.Binding, want) {
		t.Errorf("%v, and the folder is bound to %+v", err, again.Binding)
	}
}

func TestABindingThatMeansNothingMakesNoFolder(t *testing.T) {
	hoodi, _ := eth2.Builtin("hoodi")
	twice := datadir.Release{Threshold: 2, Keys: []ed25519.PublicKey{releaseKey(1), releaseKey(1)}}
	for name, b := range map[string]datadir.Binding{
		"a key twice":               {Release: twice},
		"a threshold of none":       {Release: datadir.Release{Keys: []ed25519.PublicKey{releaseKey(1)}}},
		"a threshold above all":     {Release: datadir.Release{Threshold: 2, Keys: []ed25519.PublicKey{releaseKey(1)}}},
		"a threshold without keys":  {Release: datadir.Release{Threshold: 1}},
		"half a key":                {Release: datadir.Release{Threshold: 1, Keys: []ed25519.PublicKey{releaseKey(1)[:16]}}},
		"a horizon without a kind":  {Horizon: datadir.Keeper{Identity: []byte("{}")}},
		"a horizon without a name":  {Horizon: datadir.Keeper{Kind: "tpm"}},
		"an identity in other form": {Horizon: datadir.Keeper{Kind: "tpm", Identity: []byte(`"tpm"`)}},
		"a key keeper without name": {Sealing: datadir.Keeper{Kind: "peer"}},
		"an identity and a half":    {Horizon: datadir.Keeper{Kind: "tpm", Identity: []byte(`{}{`)}},
	} {
		path := filepath.Join(t.TempDir(), "data")
		if err := datadir.Create(path, datadir.Settings{Network: hoodi, Binding: b}, nothing); err == nil || !strings.Contains(err.Error(), "bound to") {
			t.Errorf("%s: %v, want an error that says what the folder is bound to", name, err)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s: there is a folder", name)
		}
	}
}

// TestABindingCannotBeHidden edits config.yaml in ways that could make a release
// sign without what the folder asks for.
func TestABindingCannotBeHidden(t *testing.T) {
	tests := []struct {
		name, from, to string
		want           error
		says           string
	}{
		{"an older format has none", "format_version: 2", "format_version: 1", datadir.ErrDamaged, "bound_to"},
		{"renamed", "bound_to:", "bound_too:", datadir.ErrDamaged, "bound_too"},
		{"a member misspelt", "  platform: gramine", "  plattform: gramine", datadir.ErrDamaged, "plattform"},
		{"the format of a later release", "format_version: 2", "format_version: 3", datadir.ErrVersion, `release "0.2.0" or newer`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := boundFolder(t)
			edit(t, datadir.At(path).Config(), test.from, test.to)
			if _, err := datadir.Open(path); !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want %v and the words %q", err, test.want, test.says)
			}
		})
	}
	t.Run("cut out", func(t *testing.T) {
		path := boundFolder(t)
		text, err := os.ReadFile(datadir.At(path).Config())
		if err != nil {
			t.Fatal(err)
		}
		write(t, datadir.At(path).Config(), string(text[:bytes.Index(text, []byte("bound_to:"))]))
		if _, err := datadir.Open(path); !errors.Is(err, datadir.ErrDamaged) {
			t.Errorf("got %v, want %v", err, datadir.ErrDamaged)
		}
	})
}

func boundFolder(t *testing.T) string {
	t.Helper()
	hoodi, _ := eth2.Builtin("hoodi")
	path := filepath.Join(t.TempDir(), "data")
	if err := datadir.Create(path, datadir.Settings{Network: hoodi, Binding: bound()}, nothing); err != nil {
		t.Fatal(err)
	}
	return path
}

// The bound folder of each released format must open for ever.
func TestAReleasedBoundFolderOpens(t *testing.T) {
	hoodi, _ := eth2.Builtin("hoodi")
	text, err := os.ReadFile("testdata/bound-2.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got, err := datadir.ReadConfig(text)
	if diff := cmp.Diff(datadir.Settings{Network: hoodi, Binding: bound()}, got); err != nil || diff != "" {
		t.Errorf("%v, settings (-want +got):\n%s", err, diff)
	}
}
