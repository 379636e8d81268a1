package http_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

func TestABadRequestIsAClearErrorAndRecordsNothing(t *testing.T) {
	t.Parallel()
	key, stranger := interop.New(0), interop.New(1)
	d := serveKeys(t, initMainnet(t), []interop.Key{key}, unbound...)
	good := attestation(1, 2, 1)
	with := func(old, replacement string) string {
		if strings.Count(good, old) == 0 {
			t.Fatalf("there is no %s to replace", old)
		}
		return strings.Replace(good, old, replacement, 1)
	}
	tests := []struct {
		name, body string
		status     int
		reason     string
	}{
		{"empty", "", 400, "malformed_request"},
		{"truncated", good[:len(good)-1], 400, "malformed_request"},
		{"followed by another", good + good, 400, "malformed_request"},
		{"an array", "[" + good + "]", 400, "malformed_request"},
		{"not UTF-8", with(`"index":"0"`, "\"index\":\"0\",\"note\":\"\xff\""), 400, "malformed_request"},
		{"two types", with(`"type"`, `"type":"RANDAO_REVEAL","type"`), 400, "malformed_request"},
		{"two targets", with(`"target":`, `"target":{"epoch":"3","root":"`+root(0)+`"},"target":`), 400, "malformed_request"},
		{"no type", with(`"type":"ATTESTATION",`, ""), 400, "malformed_request"},
		{"an unknown type", with("ATTESTATION", "ATTESTATION_V9"), 400, "malformed_request"},
		{"a type that is a number", with(`"ATTESTATION"`, "1"), 400, "malformed_request"},
		{"without what the type needs", with(`"attestation":`, `"block":`), 400, "malformed_request"},
		{"without a part of it", with(`"index":"0",`, ""), 400, "malformed_request"},
		{"without a fork", with(`"fork_info":`, `"fork":`), 400, "malformed_request"},
		{"a slot that is an object", with(`"slot":"64"`, `"slot":{}`), 400, "malformed_request"},
		{"a slot below zero", with(`"slot":"64"`, `"slot":"-1"`), 400, "malformed_request"},
		{"a slot past 64 bits", with(`"slot":"64"`, `"slot":"18446744073709551616"`), 400, "malformed_request"},
		{"a slot with an exponent", with(`"slot":"64"`, `"slot":6e1`), 400, "malformed_request"},
		{"a root that is short", with(root(1), root(1)[:64]), 400, "malformed_request"},
		{"a root that is long", with(root(1), root(1)+"00"), 400, "malformed_request"},
		{"a root that is no hex", with(root(1), strings.Replace(root(1), "0x00", "0xzz", 1)), 400, "malformed_request"},
		{"nested without end", with(`"index":"0"`, `"index":"0","note":`+strings.Repeat("[", 1<<20)), 400, "malformed_request"},
		{"a fork that nobody knows", with("0x05000000", "0x7f000000"), 400, "unknown_fork"},
		{"of another chain", with("0x4b363db9", "0x4b363dba"), 412, "foreign_chain"},
		{"a registration of another key", fmt.Sprintf(`{"type":"VALIDATOR_REGISTRATION","validator_registration":`+
			`{"fee_recipient":"0x%040x","gas_limit":"1","timestamp":"1","pubkey":%q}}`, 1, stranger.Hex()), 400, "pubkey_mismatch"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			mustRefuse(t, d, key, test.body, test.status, test.reason)
		})
	}
	t.Run("to a key that is not here", func(t *testing.T) {
		mustRefuse(t, d, stranger, good, http.StatusNotFound, "key_not_found")
	})
	t.Run("announced as larger than any message", func(t *testing.T) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.URL+"/api/v1/eth2/sign/"+key.Hex(), io.MultiReader())
		if err != nil {
			t.Fatal(err)
		}
		request.ContentLength = 1 << 40
		request.Header.Set("Expect", "100-continue")
		answer, err := do(&http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Hour}}, request)
		if err != nil || answer.Status != http.StatusRequestEntityTooLarge || answer.Reason() != "body_too_large" {
			t.Errorf("%+v, %v", answer, err)
		}
	})
	mustSign(t, d, key, attestation(1, 2, 2)) // conflicts with the good one, which was never sent
}

func TestAHostileKeystoreIsAnErrorOfItsOwn(t *testing.T) {
	t.Parallel()
	key, stranger := interop.New(0), interop.New(1)
	d := daemon.Serve(t, initMainnet(t), unbound...)
	const password = "p"
	good := key.Keystore(password)
	with := func(old, replacement string) string {
		if strings.Count(good, old) == 0 {
			t.Fatalf("there is no %s in %s", old, good)
		}
		return strings.Replace(good, old, replacement, 1)
	}
	hostile := []struct{ name, keystore, password string }{
		{"empty", "", password},
		{"not JSON", "\x00", password},
		{"without crypto", `{"version":4}`, password},
		{"nested without end", strings.Repeat(`{"crypto":`, 1<<16), password},
		{"a wrong password", good, "q"},
		{"of another key", with(key.Hex()[2:], stranger.Hex()[2:]), password},
		{"another version", with(`"version":4`, `"version":3`), password},
		{"work without end", with(`"c":1024`, `"c":1099511627776`), password},
		{"no work", with(`"c":1024`, `"c":0`), password},
		{"a derived key that is short", with(`"dklen":32`, `"dklen":1`), password},
		{"a derived key that fills the memory", with(`"dklen":32`, `"dklen":1099511627776`), password},
		{"an unknown cipher", with("aes-128-ctr", "rot13"), password},
		{"an unknown key derivation", with("pbkdf2", "md5"), password},
	}
	var body struct {
		Keystores []string `json:"keystores"`
		Passwords []string `json:"passwords"`
	}
	for _, h := range hostile {
		body.Keystores = append(body.Keystores, h.keystore)
		body.Passwords = append(body.Passwords, h.password)
	}
	body.Keystores = append(body.Keystores, good)
	body.Passwords = append(body.Passwords, password)

	var answer struct {
		Data []struct{ Status, Message string } `json:"data"`
	}
	d.Keymanager(t, http.MethodPost, body, &answer)
	if len(answer.Data) != len(hostile)+1 {
		t.Fatalf("%d answers for %d keystores", len(answer.Data), len(hostile)+1)
	}
	for i, h := range hostile {
		if got := answer.Data[i]; got.Status != "error" || got.Message == "" {
			t.Errorf("%s: %+v, want an error that says why", h.name, got)
		}
	}
	if got := answer.Data[len(hostile)]; got.Status != "imported" {
		t.Errorf("the good one among them: %+v", got)
	}
	if keys := listed(t, d); len(keys) != 1 || keys[0] != key.Hex() {
		t.Errorf("keys in service: %v", keys)
	}
	mustSign(t, d, key, attestation(1, 2, 1))
}
