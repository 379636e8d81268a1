package http_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"testing"

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
	sealed := string(daemon.Seal(t, "mainnet", []byte(asked.body), interop.New(5)))
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
