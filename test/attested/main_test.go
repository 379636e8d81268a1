// Package attested drives the real signerctl against the real daemon on the dev
// platform, and against others that pass for one: a relay, and a second process that
// proves something else.
//
// It holds what docs/hardware.md promises of an attested import: a signer that is not
// what the policy accepts learns a nonce, and nothing else.
package attested

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/internal/tlsfiles/tlstest"
	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

func TestMain(m *testing.M) {
	if os.Getenv(fakeMode) != "" {
		os.Exit(fake())
	}
	os.Exit(daemon.Main(m))
}

const password = "a password for tests only"

// A signer is a running daemon on the dev platform, which speaks TLS.
type signer struct {
	*daemon.Daemon
	t      *testing.T
	folder daemon.Folder
	root   string // file of the test root
	tls    []string
}

// newSigner makes a folder for the network and serves it.
func newSigner(t *testing.T, network string, flags ...string) *signer {
	t.Helper()
	dir := t.TempDir()
	s := &signer{t: t, folder: daemon.Folder{Path: filepath.Join(dir, "data")}, root: filepath.Join(dir, "root")}
	if code, stdout, stderr := daemon.Run(t, "init", "--data-dir", s.folder.Path, "--network", network, "--platform", "dev", "--dev-root", s.root); code != 0 {
		t.Fatalf("init: exit %d\n%s%s", code, stdout, stderr)
	}
	identity := tlstest.Issue(nil, "signer")
	s.tls = []string{"--tls-cert-file", put(t, "cert.pem", identity.CertPEM()), "--tls-key-file", put(t, "key.pem", identity.KeyPEM())}
	s.serve(flags...)
	return s
}

// serve starts the daemon with these flags, the last one having been killed.
func (s *signer) serve(flags ...string) {
	s.t.Helper()
	s.Daemon = daemon.Serve(s.t, s.folder, slices.Concat([]string{"--dev-root", s.root}, s.tls, flags)...)
	s.URL = strings.Replace(s.URL, "http:", "https:", 1)
}

// put writes a file in a folder of its own.
func put(t *testing.T, name string, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A result is what signerctl did.
type result struct {
	code           int
	stdout, stderr string
}

// signerctl calls the operator's tool.
func signerctl(t *testing.T, args ...string) result {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), daemon.Signerctl(t), args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// must is signerctl, which must succeed.
func must(t *testing.T, args ...string) result {
	t.Helper()
	r := signerctl(t, args...)
	if r.code != 0 {
		t.Fatalf("signerctl %q: exit %d\n%s%s", args, r.code, r.stdout, r.stderr)
	}
	return r
}

// A policy is one in JSON, to be changed.
type policy map[string]json.RawMessage

// policyOf is what signerctl drafts for a signer, once it is told the test root.
func policyOf(t *testing.T, url string) policy {
	t.Helper()
	r := signerctl(t, "--url", url, "attest", "policy")
	m := regexp.MustCompile(`root ([0-9a-f]{64}) is not trusted`).FindStringSubmatch(r.stderr)
	if r.code != 1 || m == nil {
		t.Fatalf("a test root was trusted at first sight: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	r = must(t, "--url", url, "attest", "policy", "--root", m[1])
	if !strings.Contains(r.stderr, "Trust at first sight is no trust") {
		t.Errorf("a draft without a warning: %s", r.stderr)
	}
	var p policy
	if err := json.Unmarshal([]byte(r.stdout), &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// with returns the policy with another member.
func (p policy) with(name, value string) policy {
	p = maps.Clone(p)
	p[name] = json.RawMessage(value)
	return p
}

// setting returns the policy with another setting.
func (p policy) setting(t *testing.T, name, value string) policy {
	t.Helper()
	var settings map[string]json.RawMessage
	if err := json.Unmarshal(p["settings"], &settings); err != nil {
		t.Fatal(err)
	}
	if settings[name] == nil {
		t.Fatalf("there is no setting %s", name)
	}
	settings[name] = json.RawMessage(value)
	text, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	return p.with("settings", string(text))
}

func (p policy) file(t *testing.T) string {
	t.Helper()
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return put(t, "policy.json", text)
}

// An importer is all that an operator has who imports a key.
type importer struct {
	key      interop.Key
	keystore string // file
	password string // file
	token    string // file
}

func newImporter(t *testing.T, i uint32, token string) importer {
	t.Helper()
	key := interop.New(i)
	return importer{
		key: key, keystore: put(t, "keystore.json", []byte(key.Keystore(password))), password: put(t, "password", []byte(password)), token: token,
	}
}

// imports imports the key into whoever is at url, under a policy.
func (i importer) imports(t *testing.T, url string, p policy, more ...string) result {
	t.Helper()
	return signerctl(t, slices.Concat([]string{"--url", url, "--token-file", i.token, "keys", "import", "--attest", p.file(t), "--password-file", i.password, i.keystore}, more)...)
}

// tokenFile is that of the signer's folder.
func (s *signer) tokenFile() string { return filepath.Join(s.folder.Path, "api-token.txt") }
