// Package operations_test runs what docs/operations.md tells operators to run, in
// the page's order, on a signer with keys: a page for 3 a.m. must not lie.
//
// Only what stands for something else is replaced: folders, ports, the key, and
// systemctl and journalctl, which here start, stop and show the real daemon.
package operations_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

func TestMain(m *testing.M) { os.Exit(daemon.Main(m)) }

const page = "../../docs/operations.md"

// A block is a fenced block of the page.
type block struct {
	kind, text string
	line       int
}

var (
	fence   = regexp.MustCompile("(?ms)^( *)```([a-z]*)\n(.*?)^ *```$")
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
)

func blocks(t *testing.T) []block {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var all []block
	for _, m := range fence.FindAllSubmatchIndex(text, -1) {
		all = append(all, block{string(text[m[4]:m[5]]), string(text[m[6]:m[7]]), 1 + bytes.Count(text[:m[0]], []byte("\n"))})
	}
	if n := bytes.Count(text, []byte("```")); n != 2*len(all) {
		t.Errorf("%s has %d fences, and %d blocks were found", page, n, len(all))
	}
	return all
}

func TestEveryCommandOfThePageRuns(t *testing.T) {
	s := newSandbox(t)
	var preamble string
	ran := 0
	for _, b := range blocks(t) {
		switch b.kind {
		case "console":
			if !strings.HasPrefix(b.text, "# Not run ") {
				t.Errorf("%s:%d: a block that is not run does not say why", page, b.line)
			}
		case "sh":
			if preamble == "" {
				preamble = b.text
			}
			s.run(t, b, preamble)
			ran++
		default:
			t.Errorf("%s:%d: a block of kind %q: want sh or console", page, b.line, b.kind)
		}
	}
	t.Logf("%d blocks ran", ran)
	if ran < 15 {
		t.Errorf("only %d blocks ran", ran)
	}
}

// What programs say of the page is there.
func TestWhatDoctorSendsPeopleToIsOnThePage(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	headings := make(map[string]bool)
	for _, m := range heading.FindAllStringSubmatch(string(text), -1) {
		headings[m[1]] = true
	}
	sources, err := filepath.Glob("../../cmd/signerctl/doctor*.go")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`docs/operations\.md(?:, \\"([^"\\]+)\\")?(?: and \\"([^"\\]+)\\")?`)
	found := 0
	for _, source := range sources {
		code, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range named.FindAllStringSubmatch(string(code), -1) {
			for _, name := range m[1:] {
				if name == "" {
					continue
				}
				found++
				if !headings[name] {
					t.Errorf("%s sends people to %q, which %s does not have", source, name, page)
				}
			}
		}
	}
	if found == 0 {
		t.Error("doctor names no part of the page")
	}
}

// A sandbox is a machine with a signer.
type sandbox struct {
	dir    string
	values *strings.Replacer // what the page says, and what it is here
}

const password = "a password"

// shim is systemctl for the one unit of the page.
const shim = `#!/bin/bash
set -eu
pidfile=%[1]s/pid
is_up() { [ -e "$pidfile" ] && readlink "/proc/$(cat "$pidfile")/exe" >/dev/null; }
stop() {
	if is_up; then
		kill "$(cat "$pidfile")"
		while is_up; do sleep 0.05; done
	fi
	rm -f "$pidfile"
}
start() {
	if is_up; then return; fi
	setsid secure-signer serve --data-dir %[1]s/data --passphrase-file %[1]s/passphrase \
		--http-listen-port %[2]d --metrics-listen-port %[3]d --management-listen-host off </dev/null >>%[1]s/log 2>&1 &
	echo $! >"$pidfile"
	for _ in $(seq 600); do
		if curl -fsS http://127.0.0.1:%[2]d/upcheck >/dev/null 2>&1; then return; fi
		is_up || break
		sleep 0.1
	done
	cat %[1]s/log >&2
	exit 1
}
case "$*" in
"start secure-signer" | "enable --now secure-signer") start ;;
"stop secure-signer" | "disable --now secure-signer") stop ;;
"restart secure-signer") stop && start ;;
*) echo "systemctl $*?" >&2 && exit 2 ;;
esac
`

func newSandbox(t *testing.T) *sandbox {
	t.Helper()
	dir := t.TempDir()
	s := &sandbox{dir: dir}
	api, metrics := daemon.FreePort(t), daemon.FreePort(t)
	files := map[string]string{
		"passphrase":   "a passphrase for tests only",
		"password.txt": password,
		"validator_keys/keystore-m_12381_3600_0_0_0-1700000000.json": interop.New(0).Keystore(password),
		"history.json": fmt.Sprintf(`{"metadata":{"interchange_format_version":"5","genesis_validators_root":%q},"data":[{"pubkey":%q,`+
			`"signed_blocks":[{"slot":"7"}],"signed_attestations":[{"source_epoch":"1","target_epoch":"2"}]}]}`,
			"0x212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f", interop.New(0).Hex()),
	}
	for name, text := range files {
		write(t, filepath.Join(dir, name), text, 0o600)
	}
	write(t, filepath.Join(dir, "bin/journalctl"), "#!/bin/sh\nexec cat "+filepath.Join(dir, "log")+"\n", 0o700)
	write(t, filepath.Join(dir, "bin/systemctl"), fmt.Sprintf(shim, dir, api, metrics), 0o700)
	for name, program := range map[string]string{"secure-signer": daemon.Program(t), "signerctl": daemon.Signerctl(t)} {
		if err := os.Symlink(program, filepath.Join(dir, "bin", name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "backups"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.values = strings.NewReplacer(
		"/var/lib/secure-signer", filepath.Join(dir, "data"),
		"/etc/secure-signer/passphrase", filepath.Join(dir, "passphrase"),
		"/var/tmp/check", filepath.Join(dir, "check"),
		"/backups", filepath.Join(dir, "backups"),
		"127.0.0.1:9000", fmt.Sprintf("127.0.0.1:%d", api),
		"127.0.0.1:9001", fmt.Sprintf("127.0.0.1:%d", metrics),
		"0xPUBKEY", interop.New(0).Hex(),
	)
	t.Cleanup(func() { _, _ = s.bash("systemctl stop secure-signer") })
	s.must(t, "secure-signer init --network hoodi --data-dir "+filepath.Join(dir, "data")+" --passphrase-file "+filepath.Join(dir, "passphrase"))
	s.must(t, "systemctl start secure-signer")
	s.must(t, fmt.Sprintf("signerctl --data-dir %s/data --url http://127.0.0.1:%d keys generate --count 2", dir, api))
	return s
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func (s *sandbox) bash(script string) (string, error) {
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", script)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "PATH="+filepath.Join(s.dir, "bin")+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (s *sandbox) must(t *testing.T, script string) {
	t.Helper()
	if out, err := s.bash(script); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

// aboutSigner is an error that doctor finds, unless it is this machine's disk.
var aboutSigner = regexp.MustCompile(`(?m)^error +(?:folder|permissions|copies|backup|passphrase|clock|signer|network|keys|horizon|watermark)`)

// run runs a block in a new shell. Doctor may find what is wrong with this
// machine, such as its clock, but nothing that is wrong with the signer.
func (s *sandbox) run(t *testing.T, b block, preamble string) {
	t.Helper()
	out, err := s.bash(s.values.Replace(preamble + b.text))
	var exit *exec.ExitError
	if strings.Contains(b.text, "signerctl doctor") && errors.As(err, &exit) && exit.ExitCode() == 1 {
		err = nil
		if aboutSigner.MatchString(out) {
			err = exit
		}
	}
	t.Logf("%s:%d:\n%s\n%s", page, b.line, b.text, out)
	if err != nil {
		t.Fatalf("%s:%d: %v", page, b.line, err)
	}
}
