package datadir_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/datadir"
)

func nothing(datadir.Dir) error { return nil }

func TestEveryNetworkSurvivesTheFolder(t *testing.T) {
	networks := map[string]*eth2.Network{}
	for _, name := range eth2.BuiltinNames() {
		networks[name], _ = eth2.Builtin(name)
	}
	devnet, err := eth2.NetworkFromConfig(map[string]string{
		"PRESET_BASE": "minimal", "CONFIG_NAME": "dev: net #1", "SECONDS_PER_SLOT": "2",
		"ALTAIR_FORK_EPOCH": "1", "BELLATRIX_FORK_EPOCH": "2", "CAPELLA_FORK_EPOCH": "3",
		"DENEB_FORK_EPOCH": "18446744073709551615", "ELECTRA_FORK_EPOCH": "18446744073709551615",
		"FULU_FORK_EPOCH": "18446744073709551615",
	})
	if err != nil {
		t.Fatal(err)
	}
	devnet.GenesisTime, devnet.GenesisValidatorsRoot = 1795350697, eth2.Root{31: 1}
	networks["a custom one"] = devnet

	impostor, _ := eth2.Builtin("mainnet")
	impostor.GenesisValidatorsRoot[0]++
	networks["another chain that calls itself mainnet"] = impostor

	for name, want := range networks {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "data")
			if err := datadir.Create(path, want, nothing); err != nil {
				t.Fatal(err)
			}
			_, got, err := datadir.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("network (-made +opened):\n%s", diff)
			}
		})
	}
}

func TestAFolderThatIsNotWholeIsRefusedAndSaysWhatToDo(t *testing.T) {
	hoodi, _ := eth2.Builtin("hoodi")
	tests := []struct {
		name   string
		damage func(t *testing.T, d datadir.Dir)
		want   error
		says   string
	}{
		{"missing", func(t *testing.T, d datadir.Dir) { remove(t, d.Path()) }, datadir.ErrMissing, "secure-signer init"},
		{"empty, as an unmounted disk is", func(t *testing.T, d datadir.Dir) {
			remove(t, d.Config())
			remove(t, d.TokenFile())
		}, datadir.ErrMissing, "mounted"},
		{"foreign or half made", func(t *testing.T, d datadir.Dir) { remove(t, d.Config()) }, datadir.ErrMissing, "init was cut off"},
		{"emptied config", func(t *testing.T, d datadir.Dir) { write(t, d.Config(), "") }, datadir.ErrDamaged, "config.yaml"},
		{"binary config", func(t *testing.T, d datadir.Dir) { write(t, d.Config(), "\x00\x01\x02") }, datadir.ErrDamaged, "config.yaml"},
		{"newer format", func(t *testing.T, d datadir.Dir) { edit(t, d.Config(), "format_version: 1", "format_version: 2") }, datadir.ErrVersion, "2"},
		{"edited genesis", func(t *testing.T, d datadir.Dir) { edit(t, d.Config(), "genesis_time: 1", "genesis_time: 2") }, datadir.ErrDamaged, "another genesis"},
		{"unknown network", func(t *testing.T, d datadir.Dir) { edit(t, d.Config(), "network: hoodi", "network: houdini") }, datadir.ErrDamaged, "houdini"},
		{"unknown member", func(t *testing.T, d datadir.Dir) {
			edit(t, d.Config(), "network: hoodi", "network: hoodi\nslots: 3")
		}, datadir.ErrDamaged, "slots"},
		{"root cut short", func(t *testing.T, d datadir.Dir) {
			edit(t, d.Config(), hoodi.GenesisValidatorsRoot.String(), "0x12")
		}, datadir.ErrDamaged, "genesis_validators_root"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "data")
			if err := datadir.Create(path, hoodi, nothing); err != nil {
				t.Fatal(err)
			}
			test.damage(t, datadir.At(path))
			_, _, err := datadir.Open(path)
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want %v and the words %q", err, test.want, test.says)
			}
		})
	}
}

func TestCreateNeverTouchesWhatIsThere(t *testing.T) {
	hoodi, _ := eth2.Builtin("hoodi")
	path := filepath.Join(t.TempDir(), "data")
	if err := datadir.Create(path, hoodi, nothing); err != nil {
		t.Fatal(err)
	}
	before, err := datadir.At(path).Token()
	if err != nil {
		t.Fatal(err)
	}
	filled := false
	err = datadir.Create(path, hoodi, func(datadir.Dir) error { filled = true; return nil })
	if !errors.Is(err, datadir.ErrExists) || filled {
		t.Errorf("second Create: %v, filled: %t", err, filled)
	}
	if after, _ := datadir.At(path).Token(); after != before {
		t.Error("the token changed")
	}

	foreign := t.TempDir()
	write(t, filepath.Join(foreign, "thesis.tex"), "x")
	if err := datadir.Create(foreign, hoodi, nothing); !errors.Is(err, datadir.ErrExists) {
		t.Errorf("Create in a foreign folder: %v", err)
	}
}

func TestAFolderWhoseMakingFailedIsNotOne(t *testing.T) {
	hoodi, _ := eth2.Builtin("hoodi")
	path := filepath.Join(t.TempDir(), "data")
	full := errors.New("disk full")
	err := datadir.Create(path, hoodi, func(d datadir.Dir) error {
		write(t, d.Vault(), "half a vault")
		return full
	})
	if !errors.Is(err, full) {
		t.Fatalf("got %v", err)
	}
	if _, _, err := datadir.Open(path); !errors.Is(err, datadir.ErrMissing) {
		t.Errorf("a half-made folder opens: %v", err)
	}
}

func TestTheTokenIsLongAndPrivate(t *testing.T) {
	hoodi, _ := eth2.Builtin("hoodi")
	seen := map[string]bool{}
	for range 3 {
		path := filepath.Join(t.TempDir(), "data")
		if err := datadir.Create(path, hoodi, nothing); err != nil {
			t.Fatal(err)
		}
		d := datadir.At(path)
		token, err := d.Token()
		if err != nil || len(token) != len("api-token-0x")+64 || seen[token] {
			t.Errorf("token %q, %v", token, err)
		}
		seen[token] = true
		for file, want := range map[string]os.FileMode{d.TokenFile(): 0o600, d.Path(): 0o700 | os.ModeDir} {
			if info, err := os.Stat(file); err != nil || info.Mode() != want {
				t.Errorf("%s: mode %v, %v, want %v", file, info.Mode(), err, want)
			}
		}
		write(t, d.TokenFile(), " \n")
		if token, err := d.Token(); err == nil {
			t.Errorf("an empty token is accepted: %q", token)
		}
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func edit(t *testing.T, path, from, to string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), from) {
		t.Fatalf("%s does not contain %q:\n%s", path, from, text)
	}
	write(t, path, strings.Replace(string(text), from, to, 1))
}
