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
	Name  string
}

func newFlags(s *settings) *pflag.FlagSet {
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	flags.String(FileFlag, "", "")
	flags.Uint16Var(&s.Port, "listen-port", 9000, "")
	flags.StringSliceVar(&s.Allow, "allow", nil, "")
	flags.BoolVar(&s.Quiet, "quiet", false, "")
	flags.DurationVar(&s.Wait, "wait", time.Second, "")
	flags.StringVar(&s.Name, "name", "", "")
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
		{name: "the file alone", file: file, want: settings{7000, []string{"A", "B"}, true, 3 * time.Second, ""}},
		{name: "the environment beats the file", file: file, env: map[string]string{"T_LISTEN_PORT": "8000", "T_ALLOW": "C"}, want: settings{8000, []string{"C"}, true, 3 * time.Second, ""}},
		{name: "a flag beats both", args: []string{"--listen-port=1", "--quiet=false"}, file: file, env: map[string]string{"T_LISTEN_PORT": "8000"}, want: settings{1, []string{"A", "B"}, false, 3 * time.Second, ""}},
		{name: "a scalar where a list may stand", file: "allow: A", want: settings{9000, []string{"A"}, false, time.Second, ""}},
		{name: "the members of a list may hold commas", file: "allow: ['A,B', C]", want: settings{9000, []string{"A,B", "C"}, false, time.Second, ""}},
		{name: "an empty list", file: "allow: []", want: settings{9000, []string{}, false, time.Second, ""}},
		{name: "an empty variable is none", file: "name: x", env: map[string]string{"T_NAME": ""}, want: settings{9000, nil, false, time.Second, "x"}},
		{name: "hexadecimal stays as it is written", file: "name: 0x00000001", want: settings{9000, nil, false, time.Second, "0x00000001"}},
		{name: "so does a long number", file: "name: 115792089237316195423570985008687907853269984665640564039457584007913129639936", want: settings{9000, nil, false, time.Second, "115792089237316195423570985008687907853269984665640564039457584007913129639936"}},
		{name: "so does a number with zeros in front", file: "name: 0700", want: settings{9000, nil, false, time.Second, "0700"}},
		{name: "a name that only another command has", file: "elsewhere: 1", want: settings{9000, nil, false, time.Second, ""}},
		{name: "comments alone", file: "# nothing yet\n", want: settings{9000, nil, false, time.Second, ""}},
		{name: "an unknown name near another command's", file: "elsewere: 1", err: `did you mean "elsewhere"`},
		{name: "help is no setting", file: "help: true", err: `unknown setting "help"`},
		{name: "a list where one value belongs", file: "name: [a]", err: "want one value"},
		{name: "a name without a value", file: "name:", err: "no value"},
		{name: "a list in a list", file: "allow: [[a]]", err: "member 1"},
		{name: "an alias", file: "name: &x a\nallow: [*x]", err: "want a plain value"},
		{name: "a tag", file: "name: !!binary aGk=", err: "want a plain value"},
		{name: "a second document", file: "name: a\n---\nquiet: true", err: "more than one document"},
		{name: "a name that is no word", file: "1: c", err: "plain word"},
		{name: "an unknown name, with the nearest known one", file: "listen-prot: 1", err: `did you mean "listen-port"`},
		{name: "an unknown name like no other", file: "colour: blue", err: `unknown setting "colour"`},
		{name: "a bad value says where it is from", env: map[string]string{"T_LISTEN_PORT": "99999"}, err: "from T_LISTEN_PORT"},
		{name: "a bad value in the file", file: "quiet: perhaps", err: "quiet, from "},
		{name: "a map is no value", file: "allow: {a: b}", err: "allow"},
		{name: "a file that names another file", file: "config: other.yaml", err: "unknown setting"},
		{name: "a name given twice", file: "quiet: true\nquiet: false", err: "already defined"},
		{name: "a name given twice, once in quotes", file: "quiet: true\n\"quiet\": false", err: "quiet"},
		{name: "not a mapping", file: "- a\n- b", err: "name: value"},
		{name: "not YAML", file: "\t{", err: "not YAML"},
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
			other := pflag.NewFlagSet("other", pflag.ContinueOnError)
			other.Bool("elsewhere", false, "")
			other.Bool("help", false, "")
			err := Merge(flags, "T", other)
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

func TestEveryBadValueIsNamedAtOnce(t *testing.T) {
	var s settings
	flags := newFlags(&s)
	t.Setenv("T_LISTEN_PORT", "many")
	t.Setenv("T_WAIT", "long")
	err := Merge(flags, "T")
	for _, want := range []string{"from T_LISTEN_PORT", "from T_WAIT"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}

func FuzzFile(f *testing.F) {
	for _, text := range []string{
		"listen-port: 7000\nallow: [A, B]\n", "a: &x [*x]", "? {a: b}\n: c\n---\n- 1", "name: |\n  a\n  b\n",
		"name: \"\\x00\"", "<<: {name: a}", "{name: .inf, wait: .nan, quiet: ~}", "name: !!str 5", "\xef\xbb\xbfname: a",
	} {
		f.Add([]byte(text))
	}
	known := []*pflag.FlagSet{newFlags(new(settings))}
	f.Fuzz(func(t *testing.T, text []byte) {
		if values, err := parse(text, known); err == nil {
			for name := range values {
				if known[0].Lookup(name) == nil {
					t.Errorf("unknown name %q passed", name)
				}
			}
		}
		_, _ = networkValues(text) // hostile text must not panic
	})
}

func TestAVariableThatIsNoSettingIsSaid(t *testing.T) {
	environ := []string{
		"SIGNER_LISTEN_PORT=1", "SIGNER_CONFIG=f", "PATH=/bin", "SIGNERS=2",
		"SIGNER_LISTEN_PROT=1", "SIGNER_COLOUR=blue",
		"SIGNER_SERVICE_HOST=10.0.0.1", "SIGNER_PORT=tcp://10.0.0.1:9000", "SIGNER_PORT_9000_TCP=tcp://10.0.0.1:9000",
	}
	got := Misspelt("SIGNER", environ, newFlags(new(settings)))
	want := []string{
		`the variable SIGNER_LISTEN_PROT is no setting, and is not used: did you mean "listen-port"?`,
		`the variable SIGNER_COLOUR is no setting, and is not used`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
