package attested

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/attestapi"
	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

func hoodi(t *testing.T) *eth2.Network {
	t.Helper()
	n, ok := eth2.Builtin("hoodi")
	if !ok {
		t.Fatal("no network hoodi")
	}
	return n
}

// interchange says that the key has voted from 5 to 6.
func interchange(t *testing.T, key interop.Key) string {
	t.Helper()
	return fmt.Sprintf(`{"metadata":{"interchange_format_version":"5","genesis_validators_root":%q},"data":[
		{"pubkey":%q,"signed_blocks":[{"slot":"200"}],"signed_attestations":[{"source_epoch":"5","target_epoch":"6"}]}]}`,
		hoodi(t).GenesisValidatorsRoot, key.Hex())
}

// insecure is a client that does not ask who answers.
func insecure(t *testing.T) *http.Client {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// votes asks for a vote and returns the status.
func (s *signer) votes(t *testing.T, key interop.Key, source, target uint64) int {
	t.Helper()
	n := hoodi(t)
	version := n.Forks[0].Version
	body := fmt.Sprintf(`{"type":"ATTESTATION","fork_info":{"fork":{"previous_version":%q,"current_version":%q,"epoch":"0"},"genesis_validators_root":%q},
		"attestation":{"slot":"%d","index":"0","beacon_block_root":%q,"source":{"epoch":"%d","root":%q},"target":{"epoch":"%d","root":%q}}}`,
		version, version, n.GenesisValidatorsRoot, target*32, eth2.Root{}, source, eth2.Root{}, target, eth2.Root{})
	status, _ := s.post(t, insecure(t), "/api/v1/eth2/sign/"+key.Hex(), body, "")
	return status
}

func (s *signer) post(t *testing.T, c *http.Client, route, body, token string) (int, *http.Response) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+route, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(text))
	return resp.StatusCode, resp
}

func (s *signer) token(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(s.tokenFile())
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func TestAKeyIsImportedIntoAttestedHardwareAndSigns(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "hoodi")
	p := policyOf(t, s.URL)
	with := newImporter(t, 0, s.tokenFile())
	receipts := filepath.Join(t.TempDir(), "receipts.json")
	r := with.imports(t, s.URL, p, "--slashing-protection", put(t, "interchange.json", []byte(interchange(t, with.key))), "--receipts", receipts)
	if r.code != 0 || !strings.Contains(r.stdout, "imported") {
		t.Fatalf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if got := s.votes(t, with.key, 5, 6); got != http.StatusPreconditionFailed {
		t.Errorf("a vote that its history forbids: %d", got)
	}
	if got := s.votes(t, with.key, 6, 7); got != http.StatusOK {
		t.Errorf("a vote after its history: %d", got)
	}

	// Whoever has the file verifies later what took the key over.
	var book struct {
		Asked []struct {
			Evidence json.RawMessage
			Nonce    string
			Exporter string
		}
		Receipts []attestapi.SignedReceipt
	}
	text, err := os.ReadFile(receipts)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &book); err != nil || len(book.Asked) != 1 || len(book.Receipts) != 1 {
		t.Fatalf("%v in %s", err, text)
	}
	must(t, "attest", "verify", put(t, "evidence.json", book.Asked[0].Evidence), "--policy", p.file(t), "--nonce", book.Asked[0].Nonce, "--exporter", book.Asked[0].Exporter)
	ev, err := attest.ParseEvidence(book.Asked[0].Evidence)
	if err != nil {
		t.Fatal(err)
	}
	document, err := attestapi.ReadDocument(ev.Claims.Config)
	if err != nil {
		t.Fatal(err)
	}
	receipt, err := book.Receipts[0].Verify(document.ReceiptKey)
	if err != nil || receipt.Pubkey != bls.PublicKey(with.key.Public) || *receipt.Floors.Target != 6 || *receipt.Floors.Slot != 200 {
		t.Errorf("%+v, %v", receipt, err)
	}

	if r := must(t, "attest", "receipts", receipts, "--policy", p.file(t)); !strings.Contains(r.stdout, with.key.Hex()) || !strings.Contains(r.stdout, "5 → 6") {
		t.Errorf("receipts: %s", r.stdout)
	}
	changed := bytes.Replace(text, []byte(`\"slot\":\"200\"`), []byte(`\"slot\":\"900\"`), 1)
	if bytes.Equal(changed, text) {
		t.Fatalf("no floor of slot 200 in %s", text)
	}
	forged := put(t, "receipts.json", changed)
	for name, r := range map[string]result{
		"changed":              signerctl(t, "attest", "receipts", forged, "--policy", p.file(t)),
		"under another policy": signerctl(t, "attest", "receipts", receipts, "--policy", p.setting(t, "network", `"mainnet"`).file(t)),
		"without a policy":     signerctl(t, "attest", "receipts", receipts),
		"of another time":      signerctl(t, "attest", "receipts", receipts, "--policy", p.file(t), "--at", "2036-11-25T12:00:00Z"),
	} {
		if r.code != 1 || r.stdout != "" {
			t.Errorf("receipts %s: exit %d\n%s%s", name, r.code, r.stdout, r.stderr)
		}
	}

	// Without history a key starts at the clock; a key in service is left as it is.
	without := newImporter(t, 1, s.tokenFile())
	if r := without.imports(t, s.URL, p); r.code != 0 || s.votes(t, without.key, 6, 7) != http.StatusPreconditionFailed {
		t.Errorf("without history: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r := with.imports(t, s.URL, p); r.code != 0 || !strings.Contains(r.stdout, "duplicate") {
		t.Errorf("again: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}

	foreign := strings.Replace(interchange(t, with.key), hoodi(t).GenesisValidatorsRoot.String(), eth2.Root{9}.String(), 1)
	if r := with.imports(t, s.URL, p, "--slashing-protection", put(t, "interchange.json", []byte(foreign))); r.code != 1 || !strings.Contains(r.stderr, "nothing was imported: the slashing protection data is of the chain") {
		t.Errorf("history of another chain: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}

	// They are there after a restart, under the same policy.
	s.Kill()
	s.serve()
	if got := s.votes(t, with.key, 7, 8); got != http.StatusOK {
		t.Errorf("after a restart: %d", got)
	}
	if r := newImporter(t, 2, s.tokenFile()).imports(t, s.URL, p); r.code != 0 {
		t.Errorf("after a restart: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

func TestAWrongPasswordStopsOneKeyAndNotTheNext(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "hoodi")
	p := policyOf(t, s.URL)
	good := newImporter(t, 0, s.tokenFile())
	foreign := put(t, "keystore.json", []byte(interop.New(1).Keystore("another password")))
	history := strings.Replace(interchange(t, good.key), "data\":[", `data":[{"pubkey":"`+interop.New(2).Hex()+`","signed_blocks":[],"signed_attestations":[]},`, 1)
	r := signerctl(t, "--url", s.URL, "--token-file", good.token, "keys", "import", "--attest", p.file(t), "--password-file", good.password,
		"--slashing-protection", put(t, "interchange.json", []byte(history)), foreign, good.keystore)
	if r.code != 1 || !strings.Contains(r.stdout, "wrong password") || !strings.Contains(r.stderr, "1 imported, 0 in service already, 1 failed") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// A sealed import is good for one signer, once.
func TestASealedImportThatIsReplayedOrChangedIsRefused(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "hoodi")
	key := interop.New(0)
	plain := key.Secret()
	secret, err := bls.ParseSecretKey(plain[:])
	if err != nil {
		t.Fatal(err)
	}
	client := insecure(t)
	seal := func() attestapi.ImportRequest {
		t.Helper()
		nonce := attest.Nonce{1}
		status, resp := s.post(t, client, attestapi.RouteAttest, mustJSON(t, attestapi.AttestRequest{Nonce: nonce}), "")
		var a attestapi.Attested
		if err := json.NewDecoder(resp.Body).Decode(&a); err != nil || status != http.StatusOK {
			t.Fatal(status, err)
		}
		to := attestapi.Address{
			GenesisValidatorsRoot: hoodi(t).GenesisValidatorsRoot, Evidence: sha256.Sum256(a.Evidence.Value),
			ImportNonce: a.ImportNonce, Pubkey: secret.PublicKey(),
		}
		sealed, err := attestapi.Seal(a.Evidence.Claims.HPKEKey, to, attestapi.Bundle{Secret: secret, History: attestapi.History{None: true}})
		if err != nil {
			t.Fatal(err)
		}
		return attestapi.ImportRequest{ImportNonce: a.ImportNonce, Pubkey: secret.PublicKey(), Sealed: sealed}
	}
	send := func(what string, req attestapi.ImportRequest, token string, wantStatus int, wantReason string) {
		t.Helper()
		status, resp := s.post(t, client, attestapi.RouteImport, mustJSON(t, req), token)
		var body struct{ Reason string }
		if err := json.NewDecoder(resp.Body).Decode(&body); err != nil || status != wantStatus || body.Reason != wantReason {
			t.Errorf("%s: %d %q, %v; want %d %q", what, status, body.Reason, err, wantStatus, wantReason)
		}
	}
	token := s.token(t)
	req := seal()
	send("without a token", req, "", http.StatusUnauthorized, "unauthorized")
	send("with another token", req, "not-the-token", http.StatusForbidden, "forbidden")
	send("as it should be", req, token, http.StatusOK, "")
	must(t, "--url", s.URL, "--tls-ca-file", s.tls[1], "--token-file", s.tokenFile(), "keys", "delete", key.Hex(), "--export", filepath.Join(t.TempDir(), "out.json"), "--yes")
	send("replayed, after the key was deleted", req, token, http.StatusConflict, attestapi.ReasonImportNonce)

	tampered := seal()
	tampered.Sealed[len(tampered.Sealed)-1] ^= 1
	send("changed", tampered, token, http.StatusBadRequest, attestapi.ReasonBundleRefused)
	other := seal()
	other.Pubkey = bls.PublicKey(interop.New(1).Public)
	send("for another key", other, token, http.StatusBadRequest, attestapi.ReasonBundleRefused)
	old := seal()
	s.Kill()
	s.serve()
	send("to another run", old, token, http.StatusConflict, attestapi.ReasonImportNonce)
	if keys := string(s.get(t, "/api/v1/eth2/publicKeys")); strings.TrimSpace(keys) != "[]" {
		t.Errorf("in service: %s", keys)
	}
}

func (s *signer) get(t *testing.T, route string) []byte {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+route, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := insecure(t).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
