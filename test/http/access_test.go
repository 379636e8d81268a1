package http_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/internal/tlsfiles/tlstest"
	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

// TestKeymanagerWithoutAToken: with --keymanager-auth none, for those who are on
// this machine, and nothing else becomes open.
func TestKeymanagerWithoutAToken(t *testing.T) {
	t.Parallel()
	key := interop.New(0)
	d := daemon.Serve(t, initMainnet(t), append(unbound, "--keymanager-auth", "none")...)
	keystores := d.URL + "/eth/v1/keystores"
	mustAnswer(t, 200, http.DefaultClient, "GET", keystores, "")
	mustAnswer(t, 200, http.DefaultClient, "POST", keystores, importOf(t, key, ""), "Authorization", "Bearer NIL") // eth-docker
	mustSign(t, d, key, randao(1))

	mustAnswer(t, 401, http.DefaultClient, "GET", d.URL+"/signer/v1/status", "")
	mustAnswer(t, 403, http.DefaultClient, "GET", d.URL+"/signer/v1/status", "", "Authorization", "Bearer NIL")
	remove := `{"pubkeys":["` + key.Hex() + `"]}`
	mustAnswer(t, 403, http.DefaultClient, "DELETE", keystores, remove, "Sec-Fetch-Site", "cross-site", "Origin", "https://attacker.example")
	mustAnswer(t, 403, http.DefaultClient, "DELETE", keystores, remove, "Host", "attacker.example")
	mustSign(t, d, key, randao(1))

	if !strings.Contains(d.Log(), "everyone on this machine can add and delete keys") {
		t.Errorf("no warning at the start\n%s", ending(d))
	}
	health := mustAnswer(t, 200, http.DefaultClient, "GET", d.URL+"/healthcheck", "")
	if !strings.HasPrefix(health.Body, `{"status":"UP"`) || !strings.Contains(health.Body, `"keymanager-check/no-authentication"`) {
		t.Errorf("healthcheck %s", health.Body)
	}
}

func TestKeymanagerWithATokenIsTheDefault(t *testing.T) {
	t.Parallel()
	f := initMainnet(t)
	d := daemon.Serve(t, f)
	keystores := d.URL + "/eth/v1/keystores"
	mustAnswer(t, 401, http.DefaultClient, "GET", keystores, "")
	mustAnswer(t, 403, http.DefaultClient, "GET", keystores, "", "Authorization", "Bearer NIL")
	mustAnswer(t, 200, http.DefaultClient, "GET", keystores, "", "Authorization", "Bearer "+token(t, f))
	if health := mustAnswer(t, 200, http.DefaultClient, "GET", d.URL+"/healthcheck", ""); strings.Contains(health.Body, "keymanager-check") {
		t.Errorf("healthcheck %s", health.Body)
	}
}

// TestCharonPushesItsShares: keystores whose pubkey has no 0x, with the token, in
// one request.
func TestCharonPushesItsShares(t *testing.T) {
	t.Parallel()
	f := initMainnet(t)
	d := daemon.Serve(t, f, unbound...)
	keys := interop.Keys(4)
	var body struct {
		Keystores []string `json:"keystores"`
		Passwords []string `json:"passwords"`
	}
	for _, key := range keys {
		keystore := key.Keystore("p")
		if !strings.Contains(keystore, `"pubkey":"`+strings.TrimPrefix(key.Hex(), "0x")+`"`) {
			t.Fatalf("no keystore of Charon's: %s", keystore)
		}
		body.Keystores, body.Passwords = append(body.Keystores, keystore), append(body.Passwords, "p")
	}
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	answer := mustAnswer(t, 200, http.DefaultClient, "POST", d.URL+"/eth/v1/keystores", string(text), "Authorization", "Bearer "+token(t, f), "Content-Type", "application/json")
	t.Logf("%d keystores in %v; Charon waits %d s", len(keys), time.Since(begun), 2*len(keys))
	if strings.Count(answer.Body, `"imported"`) != len(keys) {
		t.Errorf("answer %s", answer.Body)
	}
	for _, key := range keys {
		mustSign(t, d, key, attestation(1, 2, 1))
	}
}

// TestSSVSigner does what ssv-signer and its suite do: mutual TLS and no token,
// keystores with 0x, and twelve identical requests at once.
func TestSSVSigner(t *testing.T) {
	t.Parallel()
	server, client := tlstest.Issue(nil, "web3signer"), tlstest.Issue(nil, "ssv-signer")
	d := daemon.Serve(t, initMainnet(t), newTLSFolder(t, server, client).flags(append(unbound, "--keymanager-auth", "mtls")...)...)
	c := clientOf(t, client, server)
	key := interop.New(0)
	keystores, sign := https(d, "/eth/v1/keystores"), https(d, "/api/v1/eth2/sign/"+key.Hex())
	share := strings.Replace(key.Keystore("p"), `"pubkey":"`, `"pubkey":"0x`, 1)
	body, err := json.Marshal(map[string][]string{"keystores": {share}, "passwords": {"p"}})
	if err != nil {
		t.Fatal(err)
	}
	if answer := mustAnswer(t, 200, c, "POST", keystores, string(body)); !strings.Contains(answer.Body, `"imported"`) {
		t.Errorf("import: %s", answer.Body)
	}
	if answer := mustAnswer(t, 200, c, "POST", keystores, string(body)); !strings.Contains(answer.Body, `"duplicate"`) {
		t.Errorf("import again: %s", answer.Body)
	}
	if answer := mustAnswer(t, 200, c, "GET", https(d, "/api/v1/eth2/publicKeys"), ""); answer.Body != `["`+key.Hex()+`"]` {
		t.Errorf("publicKeys %s", answer.Body)
	}

	var asked sync.WaitGroup
	signatures := make([]string, 12)
	for i := range signatures {
		asked.Go(func() {
			answer, err := sendBy(t, c, "POST", sign, attestation(1, 2, 1), "Accept", "application/json", "Content-Type", "application/json")
			if err == nil {
				signatures[i], err = answer.Signature()
			}
			if err != nil {
				t.Errorf("one of twelve identical requests: %v", err)
			}
		})
	}
	asked.Wait()
	for _, s := range signatures {
		if s != signatures[0] || len(s) != 2+2*96 {
			t.Errorf("signatures %q and %q of one message", s, signatures[0])
		}
	}
	if answer := mustAnswer(t, 412, c, "POST", sign, attestation(1, 2, 2)); !strings.Contains(answer.Body, `"message":`) {
		t.Errorf("a double vote: %s", answer.Body)
	}
	if answer := mustAnswer(t, 200, c, "DELETE", keystores, `{"pubkeys":["`+key.Hex()+`"]}`); !strings.Contains(answer.Body, `"deleted"`) || !strings.Contains(answer.Body, `"slashing_protection"`) {
		t.Errorf("delete: %s", answer.Body)
	}
	mustAnswer(t, 404, c, "POST", sign, attestation(1, 2, 1))
}

func TestHostNames(t *testing.T) {
	t.Parallel()
	shut := daemon.Serve(t, initMainnet(t))
	named := daemon.Serve(t, initMainnet(t), "--http-host-allowlist", "signer,web3signer.dappnode", "--metrics-host-allowlist", "signer")
	open := daemon.Serve(t, initMainnet(t), "--http-host-allowlist", "*", "--metrics-host-allowlist", "all")
	for _, tt := range []struct {
		host                string
		shut, named, opened int
	}{
		{"localhost:9000", 200, 200, 200},
		{"127.0.0.1", 200, 200, 200},
		{"[::1]:9000", 200, 200, 200},
		{"SIGNER:9000", 403, 200, 200},
		{"signer", 403, 200, 200},
		{"attacker.example", 403, 403, 200},
		{"10.0.0.1:9000", 403, 403, 200},
	} {
		for d, status := range map[*daemon.Daemon]int{shut: tt.shut, named: tt.named, open: tt.opened} {
			for flag, url := range map[string]string{"--http-host-allowlist": d.URL + "/upcheck", "--metrics-host-allowlist": d.Metrics} {
				answer := mustAnswer(t, status, http.DefaultClient, "GET", url, "", "Host", tt.host)
				if status == 403 && (answer.Reason() != "host_not_allowed" || !strings.Contains(answer.Body, flag)) {
					t.Errorf("Host %s: %s", tt.host, answer.Body)
				}
			}
		}
	}
	mustAnswer(t, 200, http.DefaultClient, "GET", named.URL+"/upcheck", "", "Host", "web3signer.dappnode")
	mustAnswer(t, 403, http.DefaultClient, "POST", shut.URL+"/reload", "", "Host", "attacker.example")
}

func TestWebPages(t *testing.T) {
	t.Parallel()
	const brain, other = "https://brain.example", "https://other.example"
	key := interop.New(0)
	f := initMainnet(t)
	d := serveKeys(t, f, []interop.Key{key}, append(unbound, "--http-cors-origins", brain)...)
	sign := d.URL + "/api/v1/eth2/sign/" + key.Hex()
	preflight := func(origin string) http.Header {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, sign, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Origin", origin)
		r.Header.Set("Access-Control-Request-Method", "POST")
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.Header
	}
	if h := preflight(brain); h.Get("Access-Control-Allow-Origin") != brain || !strings.Contains(h.Get("Access-Control-Allow-Headers"), "Authorization") {
		t.Errorf("the browser of an allowed page is told %v", h)
	}
	if h := preflight(other); h.Get("Access-Control-Allow-Origin") != "" || h.Get("Vary") != "Origin" {
		t.Errorf("the browser of another page is told %v", h)
	}
	mustAnswer(t, 200, http.DefaultClient, "POST", sign, randao(1), "Origin", brain, "Sec-Fetch-Site", "cross-site")
	mustAnswer(t, 403, http.DefaultClient, "POST", sign, randao(1), "Origin", other, "Sec-Fetch-Site", "cross-site")
	mustAnswer(t, 401, http.DefaultClient, "DELETE", d.URL+"/eth/v1/keystores", `{"pubkeys":[]}`, "Origin", brain, "Sec-Fetch-Site", "cross-site")

	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.URL+"/api/v1/eth2/publicKeys", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if vary := strings.Join(response.Header.Values("Vary"), ", "); vary != "Origin, Accept-Encoding" {
		t.Errorf("Vary of publicKeys: %q", vary)
	}
}
