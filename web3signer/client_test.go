package web3signer

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
)

func serve(t *testing.T, h http.Handler) *Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return &Client{URL: s.URL + "/", HTTP: s.Client()}
}

func TestClientAndHandlerUnderstandEachOther(t *testing.T) {
	r := newRig(t, gloasNetwork(t), 2)
	c := serve(t, r)
	if err := c.Upcheck(t.Context()); err != nil {
		t.Error(err)
	}
	keys, err := c.PublicKeys(t.Context())
	if err != nil || len(keys) != 2 {
		t.Errorf("got %v, %v", keys, err)
	}
	for _, name := range []string{"RANDAO_REVEAL", "AGGREGATE_AND_PROOF_V2", "PROPOSER_PREFERENCES"} {
		m := decoded(t, r.request.Decode, []byte(samples()[name]))
		sig, err := c.Sign(t.Context(), r.keys[0], m)
		root, rootErr := m.SigningRoot(r.signer.Network)
		if err != nil || rootErr != nil || !bls.Verify(r.keys[0], root, sig) {
			t.Errorf("%s: %v, %v, %v", name, sig, err, rootErr)
		}
	}
}

func TestClientTellsWhyItWasRefused(t *testing.T) {
	r := newRig(t, mainnet(t), 1)
	c := serve(t, r)
	m := decoded(t, r.request.Decode, []byte(samples()["RANDAO_REVEAL"]))
	_, err := c.Sign(t.Context(), bls.PublicKey{}, m)
	var status *StatusError
	if !errors.As(err, &status) || status.Status != 404 || status.Reason != "key_not_found" ||
		!strings.HasPrefix(err.Error(), "signer answered 404 Not Found, key_not_found: no key 0x00") {
		t.Errorf("got %v", err)
	}
}

// TestClientReadsOtherSigners and bad answers.
func TestClientReadsOtherSigners(t *testing.T) {
	m := &eth2.Deposit{}
	for name, tt := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"Web3Signer 26.9":     {412, `{"code":412,"message":"Slashable"}`, "signer answered 412 Precondition Failed: Slashable"},
		"Web3Signer before":   {404, "Resource not found\n", "signer answered 404 Not Found: Resource not found"},
		"Nimbus's spelling":   {400, `{"error":"bad"}`, "signer answered 400 Bad Request: bad"},
		"nothing said":        {503, "", "signer answered 503 Service Unavailable"},
		"a very long error":   {500, strings.Repeat("x", 10_000), "signer answered 500 Internal Server Error: " + strings.Repeat("x", 256)},
		"no signature":        {200, `{}`, "read signature: the answer has none"},
		"half a signature":    {200, `{"signature":"0x12"}`, "read signature: "},
		"text for JSON":       {200, "0x1234", "read signature: "},
		"an answer too large": {200, strings.Repeat(" ", maxAnswer+1), "read answer: more than 65536 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			}))
			_, err := c.Sign(t.Context(), bls.PublicKey{}, m)
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) || tt.status != 200 && err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
			if _, err := c.PublicKeys(t.Context()); err == nil {
				t.Error("public keys out of that")
			}
		})
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := serve(t, http.NotFoundHandler()).Upcheck(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := (&Client{URL: "http://127.0.0.1:0"}).Upcheck(t.Context()); err == nil {
		t.Error("nobody there, and no error")
	}
}

func TestEncodeRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, m := range []eth2.Message{
		struct{ eth2.Message }{&eth2.Deposit{}},
		&eth2.Block{Header: &eth2.BeaconBlockHeader{}},
	} {
		if b, err := Encode(m); err == nil {
			t.Errorf("%T: %s", m, b)
		}
	}
}
