package daemon

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
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
	"github.com/secure-signer/secure-signer/internal/tlsfiles/tlstest"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

// StartAttested makes a folder on the dev platform, for a network that is built in,
// and serves it over TLS.
func StartAttested(t testing.TB, network string, o Options) (*Daemon, Folder) {
	t.Helper()
	dir := t.TempDir()
	f := Folder{Path: filepath.Join(dir, "data")}
	root, cert, key := filepath.Join(dir, "root"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if code, stdout, stderr := Run(t, "init", "--data-dir", f.Path, "--network", network, "--platform", "dev", "--dev-root", root); code != 0 {
		t.Fatalf("init: exit %d\n%s%s", code, stdout, stderr)
	}
	identity := tlstest.Issue(nil, "signer")
	for path, text := range map[string][]byte{cert: identity.CertPEM(), key: identity.KeyPEM()} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o.Flags = append([]string{"--dev-root", root, "--tls-cert-file", cert, "--tls-key-file", key}, o.Flags...)
	d := Start(t, f, o)
	d.URL = strings.Replace(d.URL, "http:", "https:", 1)
	return d, f
}

// Seal returns the body of POST /import for a key without history, sealed to the
// evidence in an answer of POST /attest.
func Seal(t testing.TB, network string, answer []byte, key interop.Key) []byte {
	t.Helper()
	var a attestapi.Attested
	if err := json.Unmarshal(answer, &a); err != nil {
		t.Fatalf("%v in %s", err, answer)
	}
	secret := key.Secret()
	sk, err := bls.ParseSecretKey(secret[:])
	if err != nil {
		t.Fatal(err)
	}
	chain, ok := eth2.Builtin(network)
	if !ok {
		t.Fatalf("no network %s", network)
	}
	to := attestapi.Address{
		GenesisValidatorsRoot: chain.GenesisValidatorsRoot, Evidence: sha256.Sum256(a.Evidence.Value), ImportNonce: a.ImportNonce, Pubkey: sk.PublicKey(),
	}
	sealed, err := attestapi.Seal(a.Evidence.Claims.HPKEKey, to, attestapi.Bundle{Secret: sk, History: attestapi.History{None: true}})
	if err != nil {
		t.Fatal(err)
	}
	return marshal(t, attestapi.ImportRequest{ImportNonce: a.ImportNonce, Pubkey: sk.PublicKey(), Sealed: sealed})
}

// ImportSealed imports keys into a daemon of StartAttested, each sealed to evidence
// that nobody judges.
func (d *Daemon) ImportSealed(t testing.TB, network string, keys []interop.Key) {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	post := func(route string, body []byte) []byte {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.URL+route, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+d.token)
		resp, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("POST %s: %d %s, %v", route, resp.StatusCode, text, err)
		}
		return text
	}
	for _, key := range keys {
		evidence := post(attestapi.RouteAttest, marshal(t, attestapi.AttestRequest{Nonce: attest.Nonce{1}}))
		post(attestapi.RouteImport, Seal(t, network, evidence, key))
	}
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
