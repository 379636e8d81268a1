package keymanager

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// FuzzImport: whatever is sent, a 200 answers for every keystore, anything else
// changes nothing, and exactly the keys that are said to be imported sign.
func FuzzImport(f *testing.F) {
	k := newKey(f, 1)
	history := interchange(f, 7, 5, 6, k.pub.String())
	f.Add(mustJSON(f, request(k.file)))
	f.Add(mustJSON(f, request(k.file, k.file)))
	f.Add(mustJSON(f, with(request(k.file), "slashing_protection", history)))
	f.Add(mustJSON(f, with(request(k.file), "slashing_protection", history[:200])))
	f.Add(mustJSON(f, with(request(k.file), "passwords", []string{})))
	f.Add(mustJSON(f, request("{}", `{"crypto":{"kdf":{"function":"scrypt","params":{"n":-1}}}}`)))
	f.Add(`{"keystores":[null],"passwords":[""]}`)
	f.Add(`{"keystores":[],"passwords":[],"slashing_protection":"[]"}`)
	f.Fuzz(func(t *testing.T, body string) {
		s := newSigner(t)
		w := httptest.NewRecorder()
		s.http.ServeHTTP(w, httptest.NewRequest(http.MethodPost, route, strings.NewReader(body)))
		var answer struct {
			Code int      `json:"code"`
			Data []result `json:"data"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatalf("%v in %s", err, w.Body)
		}
		imported := 0
		for _, r := range answer.Data {
			if r.Status == "imported" {
				imported++
			}
		}
		if imported != s.keyring.Len() || imported != len(s.vault.List()) {
			t.Errorf("%d keys imported, %d in service, %d in the vault", imported, s.keyring.Len(), len(s.vault.List()))
		}
		switch w.Code {
		case http.StatusOK:
			var asked importRequest
			if err := json.Unmarshal([]byte(body), &asked); err == nil && len(asked.Keystores) != len(answer.Data) {
				t.Errorf("%d answers for %d keystores", len(answer.Data), len(asked.Keystores))
			}
		case http.StatusBadRequest:
			if answer.Code != http.StatusBadRequest {
				t.Errorf("code %d in a 400", answer.Code)
			}
		default:
			t.Errorf("status %d", w.Code)
		}
	})
}

// FuzzDelete: whatever is sent, the key stops signing if and only if it is named
// in an answer's interchange.
func FuzzDelete(f *testing.F) {
	k := newKey(f, 1)
	f.Add(mustJSON(f, deleteRequest{}))
	f.Add(`{"pubkeys":["` + k.pub.String() + `"]}`)
	f.Add(`{"pubkeys":["` + k.pub.String()[2:] + `","` + k.pub.String() + `"]}`)
	f.Add(`{"pubkeys":["` + newKey(f, 2).pub.String() + `"]}`)
	f.Add(`{"pubkeys":[""]}`)
	f.Add(`{"pubkeys":[],"pubkeys":[]}`)
	f.Fuzz(func(t *testing.T, body string) {
		s := newSigner(t)
		s.imports(t, request(k.file), "imported")
		w := httptest.NewRecorder()
		s.http.ServeHTTP(w, httptest.NewRequest(http.MethodDelete, route, strings.NewReader(body)))
		if w.Code != http.StatusOK {
			if w.Code != http.StatusBadRequest || !s.serves(k.pub) {
				t.Errorf("status %d, in service %v", w.Code, s.serves(k.pub))
			}
			return
		}
		var answer deleteResponse
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatalf("%v in %s", err, w.Body)
		}
		if _, named := parsed(t, answer.SlashingProtection)[k.pub.String()]; named == s.serves(k.pub) {
			t.Errorf("named in the interchange: %v, in service: %v", named, s.serves(k.pub))
		}
	})
}
