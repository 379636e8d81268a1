package http_test

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/attestapi"
	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/tlsfiles/tlstest"
	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

// anyServer does not ask whose certificate it is shown.
var anyServer = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}

// nonce is one, of somebody who draws badly.
var nonce = strings.Repeat("07", 32)

// generation asks for a key that is made inside.
func generation(amount uint64) string {
	return fmt.Sprintf(`{"nonce":%q,"withdrawal_credentials":"0x01%s","amount":%d}`, nonce, strings.Repeat("00", 11)+strings.Repeat("aa", 20), amount)
}

// serveAttested serves a folder on the dev platform, over TLS.
func serveAttested(t *testing.T) (*daemon.Daemon, string) {
	t.Helper()
	dir := t.TempDir()
	f := daemon.Folder{Path: filepath.Join(dir, "data")}
	root := filepath.Join(dir, "root")
	if code, stdout, stderr := daemon.Run(t, "init", "--data-dir", f.Path, "--network", "mainnet", "--platform", "dev", "--dev-root", root); code != 0 {
		t.Fatalf("init: exit %d\n%s%s", code, stdout, stderr)
	}
	identity := tlstest.Issue(nil, "signer")
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, text := range map[string][]byte{cert: identity.CertPEM(), key: identity.KeyPEM()} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d := daemon.Serve(t, f, "--dev-root", root, "--tls-cert-file", cert, "--tls-key-file", key)
	d.URL = https(d, "")
	return d, token(t, f)
}

// attestedCases are those that a signer in trusted hardware answers otherwise.
func attestedCases(t *testing.T, d *daemon.Daemon, good string) []openCase {
	t.Helper()
	attest := func(name, body string, status int, reason string) openCase {
		return openCase{name: name, method: "POST", route: "/attest", body: body, status: status, reason: reason}
	}
	given := func(name, route, body string, status int, reason string) openCase {
		return openCase{name: name, method: "POST", route: route, token: good, body: body, status: status, reason: reason}
	}
	asked := ask(t, d, attest("first", fmt.Sprintf(`{"nonce":%q}`, nonce), 0, ""))
	sealed := sealFor(t, asked.body)
	padding := strings.Repeat(" ", 20_000_000)
	return []openCase{
		attest("evidence", fmt.Sprintf(`{"nonce":%q}`, nonce), 200, ""),
		attest("half a nonce", `{"nonce":"07"}`, 400, "malformed_request").malform(),
		attest("too much", fmt.Sprintf(`{"nonce":%q}`, nonce)+padding, 413, "body_too_large"),
		given("a key", "/attest/keys", generation(32e9), 200, ""),
		given("too little", "/attest/keys", generation(1), 400, "malformed_request").malform(),
		given("too much", "/attest/keys", generation(32e9)+padding, 413, "body_too_large"),
		given("a sealed key", "/import", sealed, 200, ""),
		given("a sealed key again", "/import", sealed, 409, "import_nonce"),
		given("no key", "/import", `{}`, 400, "malformed_request").malform(),
		given("too much", "/import", sealed+padding, 413, "body_too_large"),
		given("a nonce", "/signer/v1/hand-over/nonce", "", 200, ""),
		given("a nonce of its own", "/signer/v1/hand-over", offer, 403, "hand_over_refused"),
		given("no offer", "/signer/v1/hand-over", `{"offer":1}`, 400, "malformed_request").malform(),
		given("too much", "/signer/v1/hand-over", offer+padding, 413, "body_too_large"),
	}
}

// offer is one to take a folder over, which nobody should accept.
var offer = `{"nonce":"` + nonce + `","challenge":"` + nonce + `","evidence":{"type":"none","value":"AA==","claims":{}},"step":{"statement":"e30=","signatures":[]}}`

// sealFor seals a key to the evidence of an answer.
func sealFor(t *testing.T, answer string) string {
	t.Helper()
	var a attestapi.Attested
	if err := json.Unmarshal([]byte(answer), &a); err != nil {
		t.Fatal(err)
	}
	secret := interop.New(5).Secret()
	sk, err := bls.ParseSecretKey(secret[:])
	if err != nil {
		t.Fatal(err)
	}
	network, _ := eth2.Builtin("mainnet")
	to := attestapi.Address{
		GenesisValidatorsRoot: network.GenesisValidatorsRoot, Evidence: sha256.Sum256(a.Evidence.Value), ImportNonce: a.ImportNonce, Pubkey: sk.PublicKey(),
	}
	sealed, err := attestapi.Seal(a.Evidence.Claims.HPKEKey, to, attestapi.Bundle{Secret: sk, History: attestapi.History{None: true}})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(attestapi.ImportRequest{ImportNonce: a.ImportNonce, Pubkey: sk.PublicKey(), Sealed: sealed})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
