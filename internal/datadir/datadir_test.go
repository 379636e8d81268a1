package datadir_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/config"
	"github.com/secure-signer/secure-signer/internal/datadir"
	"github.com/secure-signer/secure-signer/internal/testdata"
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

	later, _ := eth2.Builtin("mainnet")
	later.Forks[len(later.Forks)-1].Epoch++
	networks["mainnet with a fork at another time"] = later

	for name, want := range networks {
		t.Run(name, func(t *testing.T) { mustSurvive(t, want) })
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
		{"foreign or half made", func(t *testing.T, d datadir.Dir) { remove(t, d.Config()) }, datadir.ErrMissing, "init or restore was cut off"},
		{"emptied config", func(t *testing.T, d datadir.Dir) { write(t, d.Config(), "") }, datadir.ErrDamaged, "config.yaml"},
		{"binary config", func(t *testing.T, d datadir.Dir) { write(t, d.Config(), "\x00\x01\x02") }, datadir.ErrDamaged, "config.yaml"},
		{"newer format", func(t *testing.T, d datadir.Dir) { edit(t, d.Config(), "format_version: 1", "format_version: 3") }, datadir.ErrVersion, `release "0.1.0" or newer`},
		{"edited genesis", func(t *testing.T, d datadir.Dir) { edit(t, d.Config(), "genesis_time: 1", "genesis_time: 2") }, datadir.ErrDamaged, "another genesis"},
		{"unknown network", func(t *testing.T, d datadir.Dir) { edit(t, d.Config(), "network: hoodi", "network: houdini") }, datadir.ErrDamaged, "houdini"},
		{"unknown member", func(t *testing.T, d datadir.Dir) {
			edit(t, d.Config(), "network: hoodi", "network: hoodi\nslots: 3")
		}, datadir.ErrDamaged, "slots"},
		{"root cut short", func(t *testing.T, d datadir.Dir) {
			edit(t, d.Config(), hoodi.GenesisValidatorsRoot.String(), "0x12")
		}, datadir.ErrDamaged, "genesis_validators_root"},
		{"no format", func(t *testing.T, d datadir.Dir) { edit(t, d.Config(), "format_version: 1\n", "") }, datadir.ErrDamaged, "from another folder"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "data")
			if err := datadir.Create(path, datadir.Settings{Network: hoodi}, nothing); err != nil {
				t.Fatal(err)
			}
			test.damage(t, datadir.At(path))
			_, err := datadir.Open(path)
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want %v and the words %q", err, test.want, test.says)
			}
		})
	}
}

// Whatever is lost from a network that was written out must not be filled in
// from another one.
func TestNoLineOfACustomNetworkCanBeLost(t *testing.T) {
	text, err := os.ReadFile("testdata/custom-1.yaml")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	path := t.TempDir()
	lost := 0
	for i, line := range lines {
		if line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "oldest_release") {
			continue
		}
		rest := strings.Join(slices.Delete(slices.Clone(lines), i, i+1), "")
		write(t, datadir.At(path).Config(), rest)
		got, err := datadir.Open(path)
		unscheduled := strings.Contains(line, `_EPOCH: "18446744073709551615"`)
		switch {
		case unscheduled: // absent says the same
			if err != nil {
				t.Errorf("without %q: %v", line, err)
			}
		case !errors.Is(err, datadir.ErrDamaged):
			t.Errorf("without %q: %v, network %v, want %v", line, err, got.Network, datadir.ErrDamaged)
		default:
			lost++
		}
	}
	if lost < 10 {
		t.Errorf("only %d lines were missed", lost)
	}
}

// The folder of each released format must open for ever.
func TestAReleasedFolderOpens(t *testing.T) {
	hoodi, _ := eth2.Builtin("hoodi")
	custom, err := eth2.NetworkFromConfig(map[string]string{
		"PRESET_BASE": "minimal", "CONFIG_NAME": "devnet-1", "SECONDS_PER_SLOT": "6", "GENESIS_FORK_VERSION": "0x10000038",
		"ALTAIR_FORK_EPOCH": "0", "BELLATRIX_FORK_EPOCH": "0", "CAPELLA_FORK_EPOCH": "0", "DENEB_FORK_EPOCH": "0",
		"ELECTRA_FORK_EPOCH": "7", "FULU_FORK_EPOCH": "18446744073709551615", "GLOAS_FORK_EPOCH": "18446744073709551615",
	})
	if err != nil {
		t.Fatal(err)
	}
	custom.GenesisTime, custom.GenesisValidatorsRoot = 1795350697, eth2.Root{0: 0xab, 31: 1}
	for name, want := range map[string]*eth2.Network{"testdata/hoodi-1.yaml": hoodi, "testdata/custom-1.yaml": custom} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			path := t.TempDir()
			write(t, datadir.At(path).Config(), string(text))
			got, err := datadir.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got.Network); diff != "" {
				t.Errorf("network (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheNetworkOfARecordedChainSurvives(t *testing.T) {
	values, err := config.ReadNetworkFile(testdata.Path(t, "captured/lodestar-1.22-minimal/CONFIG.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := eth2.NetworkFromConfig(values)
	if err != nil {
		t.Fatal(err)
	}
	mustSurvive(t, want)
}

func TestANetworkThatCannotBeWrittenMakesNoFolder(t *testing.T) {
	network, _ := eth2.Builtin("mainnet")
	network.Preset.SlotsPerEpoch = 31 // a preset is written by its name
	path := filepath.Join(t.TempDir(), "data")
	if err := datadir.Create(path, datadir.Settings{Network: network}, nothing); err == nil {
		t.Error("the folder would open with another network")
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder was made: %v", err)
	}
}

// FuzzConfig holds that what opens is written again as the same settings, and
// that hostile text never panics.
func FuzzConfig(f *testing.F) {
	for _, name := range []string{"testdata/hoodi-1.yaml", "testdata/custom-1.yaml", "testdata/bound-2.yaml"} {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("format_version: 9\noldest_release: \"\\n\""))
	root := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		d := datadir.At(root)
		if err := os.WriteFile(d.Config(), text, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := datadir.Open(root)
		if err != nil {
			if !errors.Is(err, datadir.ErrDamaged) && !errors.Is(err, datadir.ErrVersion) {
				t.Errorf("got %v, want one that says damage or version", err)
			}
			return
		}
		path := filepath.Join(t.TempDir(), "data")
		if err := datadir.Create(path, got.Settings, nothing); err != nil {
			t.Error(err)
		}
	})
}

func TestCreateNeverTouchesWhatIsThere(t *testing.T) {
	hoodi, _ := eth2.Builtin("hoodi")
	path := filepath.Join(t.TempDir(), "data")
	if err := datadir.Create(path, datadir.Settings{Network: hoodi}, nothing); err != nil {
		t.Fatal(err)
	}
	before, err := datadir.At(path).Token()
	if err != nil {
		t.Fatal(err)
	}
	filled := false
	err = datadir.Create(path, datadir.Settings{Network: hoodi}, func(datadir.Dir) error { filled = true; return nil })
	if !errors.Is(err, datadir.ErrExists) || filled {
		t.Errorf("second Create: %v, filled: %t", err, filled)
	}
	if after, _ := datadir.At(path).Token(); after != before {
		t.Error("the token changed")
	}

	foreign := t.TempDir()
	write(t, filepath.Join(foreign, "thesis.tex"), "x")
	if err := datadir.Create(foreign, datadir.Settings{Network: hoodi}, nothing); !errors.Is(err, datadir.ErrExists) {
		t.Errorf("Create in a foreign folder: %v", err)
	}
}

func TestAFolderWhoseMakingFailedLeavesNothing(t *testing.T) {
	hoodi, _ := eth2.Builtin("hoodi")
	full := errors.New("disk full")
	fail := func(d datadir.Dir) error {
		write(t, d.Vault(), "half a vault")
		return full
	}
	path := filepath.Join(t.TempDir(), "data")
	if err := datadir.Create(path, datadir.Settings{Network: hoodi}, fail); !errors.Is(err, full) {
		t.Fatalf("got %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
	mounted := t.TempDir()
	if err := datadir.Create(mounted, datadir.Settings{Network: hoodi}, fail); !errors.Is(err, full) {
		t.Fatalf("got %v", err)
	}
	if err := datadir.Create(mounted, datadir.Settings{Network: hoodi}, nothing); err != nil {
		t.Errorf("a folder that was there is not left empty: %v", err)
	}
}

// TestAFolderWhoseMakingWasCutOffIsNotOne stops in the middle as a crash does.
func TestAFolderWhoseMakingWasCutOffIsNotOne(t *testing.T) {
	hoodi, _ := eth2.Builtin("hoodi")
	path := filepath.Join(t.TempDir(), "data")
	func() {
		defer func() { _ = recover() }()
		_ = datadir.Create(path, datadir.Settings{Network: hoodi}, func(d datadir.Dir) error {
			write(t, d.Vault(), "half a vault")
			panic("crash")
		})
	}()
	if _, err := datadir.Open(path); !errors.Is(err, datadir.ErrMissing) {
		t.Errorf("a half-made folder opens: %v", err)
	}
	err := datadir.Create(path, datadir.Settings{Network: hoodi}, nothing)
	if !errors.Is(err, datadir.ErrExists) || !strings.Contains(err.Error(), "init or restore was cut off") {
		t.Errorf("a half-made folder is made again: %v", err)
	}
}

func TestTheTokenIsLongAndPrivate(t *testing.T) {
	hoodi, _ := eth2.Builtin("hoodi")
	seen := map[string]bool{}
	for range 3 {
		path := filepath.Join(t.TempDir(), "data")
		if err := datadir.Create(path, datadir.Settings{Network: hoodi}, nothing); err != nil {
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

// mustSurvive makes a folder for a network and reads it back the same.
func mustSurvive(t *testing.T, want *eth2.Network) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "data")
	if err := datadir.Create(path, datadir.Settings{Network: want}, nothing); err != nil {
		t.Fatal(err)
	}
	got, err := datadir.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.Network); diff != "" {
		t.Errorf("network (-made +opened):\n%s", diff)
	}
}
