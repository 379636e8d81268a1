package daemon

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/secure-signer/secure-signer/test/internal/interop"
)

// keystorePassword protects the keystores that are pushed; it protects nothing,
// for the keys are public.
const keystorePassword = "a password for tests only"

// Import pushes keys, and slashing data if there is any, over the keymanager
// API. Each key must be imported.
func (d *Daemon) Import(t testing.TB, keys []interop.Key, slashingData string) {
	t.Helper()
	var body struct {
		Keystores    []string `json:"keystores"`
		Passwords    []string `json:"passwords"`
		SlashingData string   `json:"slashing_protection,omitempty"`
	}
	for _, k := range keys {
		body.Keystores = append(body.Keystores, k.Keystore(keystorePassword))
		body.Passwords = append(body.Passwords, keystorePassword)
	}
	body.SlashingData = slashingData
	var answer struct {
		Data []struct{ Status, Message string } `json:"data"`
	}
	d.Keymanager(t, http.MethodPost, body, &answer)
	if len(answer.Data) != len(keys) {
		t.Fatalf("import: %d answers for %d keys", len(answer.Data), len(keys))
	}
	for i, s := range answer.Data {
		if s.Status != "imported" {
			t.Fatalf("import of key %s: %s %s", keys[i].Hex(), s.Status, s.Message)
		}
	}
}

// Keymanager calls /eth/v1/keystores with the bearer token. The answer must be
// 200 and is decoded into answer.
func (d *Daemon) Keymanager(t testing.TB, method string, body, answer any) {
	t.Helper()
	encoded, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, d.URL+"/eth/v1/keystores", bytes.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+d.token)
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s /eth/v1/keystores: %d %s", method, response.StatusCode, text)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		t.Fatalf("%s /eth/v1/keystores: %v in %s", method, err, text)
	}
}

// Get returns what a route answers to the bearer of the token. It must be a 200.
func (d *Daemon) Get(t testing.TB, path string) []byte {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.URL+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+d.token)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %d %v %s", path, response.StatusCode, err, text)
	}
	return text
}

// An Answer is the response to a signing request.
type Answer struct {
	Status      int
	ContentType string
	Body        string
}

// Signature returns the signature of a 200 in either form.
func (a Answer) Signature() (string, error) {
	if a.Status != http.StatusOK {
		return "", fmt.Errorf("%d %s", a.Status, a.Body)
	}
	if len(a.Body) == 2+2*96 {
		return a.Body, nil
	}
	var body struct{ Signature string }
	if err := json.Unmarshal([]byte(a.Body), &body); err != nil {
		return "", fmt.Errorf("%w in %q", err, a.Body)
	}
	return body.Signature, nil
}

// Reason returns the machine-readable reason of a refusal.
func (a Answer) Reason() string {
	var body struct{ Reason string }
	if json.Unmarshal([]byte(a.Body), &body) != nil {
		return ""
	}
	return body.Reason
}

// Sign posts a signing request. Each accept is sent as one Accept header; none
// sends none. The error is of the connection.
func (d *Daemon) Sign(key [48]byte, body []byte, accept ...string) (Answer, error) {
	return Post(d.URL+"/api/v1/eth2/sign/0x"+hex.EncodeToString(key[:]), body, accept...)
}

// Post sends a signing request to a whole URL.
func Post(url string, body []byte, accept ...string) (Answer, error) {
	r, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	r.Header.Set("Content-Type", "application/json")
	for _, a := range accept {
		r.Header.Add("Accept", a)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return Answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return Answer{response.StatusCode, response.Header.Get("Content-Type"), string(text)}, err
}
