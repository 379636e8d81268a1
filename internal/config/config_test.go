package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

// settings is one flag of each type that the programs use.
type settings struct {
	Port  uint16
	Allow []string
	Quiet bool
	Wait  time.Duration
}

func newFlags(s *settings) *pflag.FlagSet {
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	flags.String(FileFlag, "", "")
	flags.Uint16Var(&s.Port, "listen-port", 9000, "")
	flags.StringSliceVar(&s.Allow, "allow", nil, "")
	flags.BoolVar(&s.Quiet, "quiet", false, "")
	flags.DurationVar(&s.Wait, "wait", time.Second, "")
	return flags
}

func TestMerge(t *testing.T) {
	const file = "listen-port: 7000\nallow: [A, B]\nquiet: true\nwait: 3s\n"
	tests := []struct {
		name string
		args []string
		env  map[string]string
		file string
		want settings
		err  string
	}{
		{name: "nothing given: defaults", want: settings{Port: 9000, Wait: time.Second}},
		{name: "the file alone", file: file, want: settings{7000, []string{"A", "B"}, true, 3 * time.Second}},
		{name: "the environment beats the file", file: file, env: map[string]string{"T_LISTEN_PORT": "8000", "T_ALLOW": "C"}, want: settings{8000, []string{"C"}, true, 3 * time.Second}},
		{name: "a flag beats both", args: []string{"--listen-port=1", "--quiet=false"}, file: file, env: map[string]string{"T_LISTEN_PORT": "8000"}, want: settings{1, []string{"A", "B"}, false, 3 * time.Second}},
		{name: "a scalar where a list may stand", file: "allow: A", want: settings{9000, []string{"A"}, false, time.Second}},
		{name: "an unknown name, with the nearest known one", file: "listen-prot: 1", err: `did you mean "listen-port"`},
		{name: "an unknown name like no other", file: "colour: blue", err: `unknown setting "colour"`},
		{name: "a bad value says where it is from", env: map[string]string{"T_LISTEN_PORT": "99999"}, err: "from T_LISTEN_PORT"},
		{name: "a bad value in the file", file: "quiet: perhaps", err: "quiet, from "},
		{name: "a map is no value", file: "allow: {a: b}", err: "allow"},
		{name: "a file that names another file", file: "config: other.yaml", err: "unknown setting"},
		{name: "a name given twice", file: "quiet: true\nquiet: false", err: "not YAML"},
		{name: "not a mapping", file: "- a\n- b", err: "not YAML"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got settings
			flags := newFlags(&got)
			for name, value := range test.env {
				t.Setenv(name, value)
			}
			if test.file != "" {
				path := filepath.Join(t.TempDir(), "config.yaml")
				if err := os.WriteFile(path, []byte(test.file), 0o600); err != nil {
					t.Fatal(err)
				}
				t.Setenv("T_CONFIG", path)
			}
			if err := flags.Parse(test.args); err != nil {
				t.Fatal(err)
			}
			err := Merge(flags, "T")
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("got %v, want an error that says %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAMissingFileIsAnError(t *testing.T) {
	var s settings
	flags := newFlags(&s)
	if err := flags.Parse([]string{"--config", filepath.Join(t.TempDir(), "none.yaml")}); err != nil {
		t.Fatal(err)
	}
	if err := Merge(flags, "T"); err == nil {
		t.Error("a missing file was passed over")
	}
}

func FuzzFile(f *testing.F) {
	f.Add([]byte("listen-port: 7000\nallow: [A, B]\n"))
	f.Add([]byte("a: &x [*x]"))
	f.Add([]byte("? {a: b}\n: c\n---\n- 1"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var s settings
		if values, err := parse(text, newFlags(&s)); err == nil {
			for name := range values {
				if newFlags(&s).Lookup(name) == nil {
					t.Errorf("unknown name %q passed", name)
				}
			}
		}
		_, _ = networkValues(text) // hostile text must not panic
	})
}

func TestNetworkFilesKeepTheirText(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	const text = `# a devnet
PRESET_BASE: 'minimal'
CONFIG_NAME: e2e # the name
GENESIS_FORK_VERSION: 0x00000001
TERMINAL_TOTAL_DIFFICULTY: 115792089237316195423570985008687907853269984665640564039457584007913129638912
ALTAIR_FORK_EPOCH: 18446744073709551615
SECONDS_PER_SLOT: "2"
BLOB_SCHEDULE:
  - EPOCH: 412672
    MAX_BLOBS_PER_BLOCK: 15
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := ReadNetworkFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"PRESET_BASE": "minimal", "CONFIG_NAME": "e2e", "GENESIS_FORK_VERSION": "0x00000001",
		"TERMINAL_TOTAL_DIFFICULTY": "115792089237316195423570985008687907853269984665640564039457584007913129638912",
		"ALTAIR_FORK_EPOCH":         "18446744073709551615", "SECONDS_PER_SLOT": "2",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
	for name, bad := range map[string]string{"a list": "- 1\n", "a key twice": "A: 1\nA: 2\n", "no YAML": "\t{"} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadNetworkFile(path); err == nil {
			t.Errorf("%s was read as %v", name, got)
		}
	}
}

func TestPassphrase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secure-signer-passphrase")
	tests := []struct {
		name, text, want, err string
	}{
		{"one line", "correct horse\n", "correct horse", ""},
		{"no newline", "correct horse", "correct horse", ""},
		{"spaces are part of it", "  correct horse \n", "  correct horse ", ""},
		{"written on Windows", "correct horse\r\n", "correct horse", ""},
		{"empty", "", "", "empty"},
		{"a newline alone", "\n", "", "empty"},
		{"a whole file by mistake", "a: 1\nb: 2\n", "", "right file"},
		{"a huge file by mistake", strings.Repeat("x", 1<<20), "", "right file"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			got, warning, err := Passphrase(path, "", strings.NewReader(""), os.Stderr)
			switch {
			case test.err == "" && (err != nil || string(got) != test.want || warning != ""):
				t.Errorf("got %q, %q, %v", got, warning, err)
			case test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)):
				t.Errorf("got %v, want an error that says %q", err, test.err)
			}
		})
	}
	if err := os.WriteFile(path, []byte("credential\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", filepath.Dir(path))
	if got, _, err := Passphrase("", "secure-signer-passphrase", strings.NewReader(""), os.Stderr); err != nil || string(got) != "credential" {
		t.Errorf("systemd credential: got %q, %v", got, err)
	}
	if _, _, err := Passphrase("", "another", strings.NewReader("typed\n"), os.Stderr); err == nil {
		t.Error("a passphrase was read from a pipe")
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, warning, err := Passphrase(path, "", nil, os.Stderr); err != nil || !strings.Contains(warning, "chmod 600") {
		t.Errorf("open to all: warning %q, %v", warning, err)
	}
}
