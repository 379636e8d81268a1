package attested

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/attest/dev"
	"github.com/secure-signer/secure-signer/test/internal/daemon"
)

// A keyKeeper is a running keep-keys.
type keyKeeper struct {
	line   string // ADDRESS#KEY
	secret string
	stop   func()
}

func (k keyKeeper) url() string { at, _, _ := strings.Cut(k.line, "#"); return at }

// keepKeys starts a keeper for the programs under a test root, with the secret of
// another one, or with one that it makes.
func keepKeys(t *testing.T, secret string, root attest.Digest, programs ...string) keyKeeper {
	t.Helper()
	p := attest.Policy{Roots: []attest.Digest{root}, TCB: []attest.TCBStatus{attest.TCBUnrated}, MaxAge: attest.Duration(5 * time.Minute)}
	for _, program := range programs {
		p.Accept = append(p.Accept, attest.Identity{Kind: attest.KindDev, Measurements: map[string]attest.Hex{"measurement": measure(t, program)}})
	}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"keep-keys", "--policy", put(t, "policy.json", text), "--http-listen-port", "0"}
	if secret == "" {
		secret = filepath.Join(t.TempDir(), "secret")
		args = append(args, "--create")
	}
	cmd := exec.Command(daemon.Program(t), append(args, "--secret-file", secret)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	t.Cleanup(stop)
	var said bytes.Buffer
	line := regexp.MustCompile(`--key-keeper (\S+#[0-9a-f]{64})`)
	for b := make([]byte, 1024); ; {
		n, err := out.Read(b)
		said.Write(b[:n])
		if m := line.FindStringSubmatch(said.String()); m != nil {
			return keyKeeper{m[1], secret, stop}
		}
		if err != nil {
			t.Fatalf("keep-keys ended: %s", &said)
		}
	}
}

func measure(t *testing.T, program string) attest.Hex {
	t.Helper()
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(text)
	return sum[:]
}

// variant is the daemon in other bytes, which do the same.
func variant(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(daemon.Program(t))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "secure-signer")
	if err := os.WriteFile(path, append(text, 0), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// A dependent is a folder on hardware that keeps no key.
type dependent struct {
	folder daemon.Folder
	root   string
	digest attest.Digest
}

func newDependent(t *testing.T) dependent {
	t.Helper()
	seed := bytes.Repeat([]byte{5}, ed25519.SeedSize)
	return dependent{
		folder: daemon.Folder{Path: filepath.Join(t.TempDir(), "data")},
		root:   put(t, "root", fmt.Appendf(nil, "%x\n", seed)),
		digest: dev.Root(ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)),
	}
}

func (d dependent) init(t *testing.T, keeper string, flags ...string) {
	t.Helper()
	code, stdout, stderr := daemon.Run(t, append([]string{"init", "--data-dir", d.folder.Path, "--network", "hoodi", "--platform", "dev", "--dev-root", d.root, "--key-keeper", keeper}, flags...)...)
	if code != 0 {
		t.Fatalf("init: exit %d\n%s%s", code, stdout, stderr)
	}
}

// refused runs a program on the folder, which must not start, and returns what it says.
func (d dependent) refused(t *testing.T, program string, flags ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, d.folder.ServeArgs(append(flags, "--dev-root", d.root)...)...)
	out, err := cmd.CombinedOutput()
	if err == nil || cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 1 {
		t.Fatalf("it runs: %v\n%s", err, out)
	}
	return string(out)
}

// TestAVaultOpensByTheLeaveOfAKeyKeeper: the folder's hardware keeps no key, another
// machine does, and gives it to the program that it belongs to, and to no other.
func TestAVaultOpensByTheLeaveOfAKeyKeeper(t *testing.T) {
	d := newDependent(t)
	program, other := daemon.Program(t), variant(t)
	keeper := keepKeys(t, "", d.digest, program)
	d.init(t, keeper.line)

	s := daemon.Serve(t, d.folder, "--dev-root", d.root)
	must(t, "--url", s.URL, "--data-dir", d.folder.Path, "keys", "generate")
	s.Kill()
	s = daemon.Serve(t, d.folder, "--dev-root", d.root)
	if keys := must(t, "--url", s.URL, "--data-dir", d.folder.Path, "--json", "keys", "list").stdout; !strings.Contains(keys, "0x") {
		t.Errorf("after a restart it has no key: %s", keys)
	}
	s.Kill()

	if said := d.refused(t, other); !strings.Contains(said, "it refuses: ") || !strings.Contains(said, "measurement") {
		t.Errorf("another program: %s", said)
	}
	keeper.stop()
	if said := d.refused(t, program); !strings.Contains(said, "see that the key keeper runs") {
		t.Errorf("without the keeper: %s", said)
	}
	both := keepKeys(t, keeper.secret, d.digest, program, other)
	if said := d.refused(t, other, "--key-keeper", both.url()); !strings.Contains(said, "sealed by other hardware, another program") {
		t.Errorf("another program that is accepted, too: %s", said)
	}
	stranger := keepKeys(t, "", d.digest, program)
	if said := d.refused(t, program, "--key-keeper", stranger.url()); !strings.Contains(said, "another keeper answers there") {
		t.Errorf("another keeper: %s", said)
	}
	daemon.Serve(t, d.folder, "--dev-root", d.root, "--key-keeper", both.url()) // it has moved
}

// TestAVersionThatTheKeeperDoesNotKnowTakesNothingOver: it could not seal the folder,
// and the old one would have stopped for nothing.
func TestAVersionThatTheKeeperDoesNotKnowTakesNothingOver(t *testing.T) {
	d := newDependent(t)
	program, next := daemon.Program(t), variant(t)
	keeper := keepKeys(t, "", d.digest, program)
	manager := filepath.Join(t.TempDir(), "manager.pem")
	d.init(t, keeper.line, "--release-threshold", "1", "--release-key", strings.TrimSpace(must(t, "release", "new-key", manager).stdout))
	old := daemon.Serve(t, d.folder, "--dev-root", d.root)

	step := filepath.Join(t.TempDir(), "step.json")
	policy := func(program string) string {
		return put(t, "end.json", fmt.Appendf(nil, `{"accept":[{"kind":"dev","measurements":{"measurement":"%v"}}],"roots":["%v"],"tcb":["Unrated"],"max_age":"10m"}`, measure(t, program), d.digest))
	}
	must(t, "release", "sign-step", step, "--key", manager, "--from", policy(program), "--to", policy(next))
	takeOver := func(flags ...string) (string, error) {
		args := append([]string{"hand-over", "--data-dir", d.folder.Path, "--dev-root", d.root, "--from", old.URL, "--step", step}, flags...)
		out, err := exec.CommandContext(t.Context(), next, args...).CombinedOutput()
		return string(out), err
	}
	if said, err := takeOver(); err == nil || !strings.Contains(said, "it refuses: ") || !strings.Contains(said, "the old program goes on") {
		t.Errorf("%v: %s", err, said)
	}
	must(t, "--url", old.URL, "--data-dir", d.folder.Path, "keys", "generate")

	keeper.stop()
	both := keepKeys(t, keeper.secret, d.digest, program, next)
	if said, err := takeOver("--key-keeper", both.url()); err != nil {
		t.Fatalf("with the keeper's leave: %v: %s", err, said)
	}
	if code := old.Wait(); code != 0 {
		t.Errorf("the old program ends with exit %d\n%s", code, old.Log())
	}
}

// TestWhoCarriesTheRequestGetsNothingByIt has a relay on the way to the keeper, which
// keeps what it carries and sends it again.
func TestWhoCarriesTheRequestGetsNothingByIt(t *testing.T) {
	d := newDependent(t)
	keeper := keepKeys(t, "", d.digest, daemon.Program(t))
	at, err := url.Parse(keeper.url())
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var carried [][]byte
	forward := httputil.NewSingleHostReverseProxy(at)
	relay := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if r.URL.Path == "/release" {
			mu.Lock()
			carried = append(carried, body)
			mu.Unlock()
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		forward.ServeHTTP(w, r)
	}))
	defer relay.Close()
	d.init(t, strings.Replace(keeper.line, keeper.url(), relay.URL, 1))

	post := func(route string, body []byte) (int, map[string]string) {
		t.Helper()
		resp, err := http.Post(keeper.url()+route, "application/json", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		answer := map[string]any{}
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
			t.Fatal(err)
		}
		texts := map[string]string{}
		for name, value := range answer {
			texts[name] = fmt.Sprint(value)
		}
		return resp.StatusCode, texts
	}
	mu.Lock()
	defer mu.Unlock()
	if len(carried) == 0 {
		t.Fatal("the relay has carried nothing")
	}
	if status, answer := post("/release", carried[0]); status != http.StatusConflict || answer["reason"] != "release_nonce" {
		t.Errorf("sent again: %d %v", status, answer)
	}
	var request map[string]string
	if err := json.Unmarshal(carried[0], &request); err != nil {
		t.Fatal(err)
	}
	_, fresh := post("/release/nonce", nil)
	request["nonce"] = fresh["nonce"]
	body, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	if status, answer := post("/release", body); status != http.StatusForbidden || answer["reason"] != "evidence_refused" {
		t.Errorf("with a fresh nonce: %d %v", status, answer)
	}
}
