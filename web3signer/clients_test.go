package web3signer

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/secure-signer/secure-signer/bls"
)

// A client is what one validator client is known to send and to read.
type client struct {
	headers   []string             // names and values
	root      string               // how it spells the signing root; "" if it sends none
	aggregate string               // the sample with its type and shape of an aggregate
	numbers   bool                 // JSON numbers, not decimal strings
	extra     string               // members that it adds to every body
	upcheck   []string             // headers of its probe; nil if it has none
	text      bool                 // it gets bare hex, not JSON
	reads     func(refused) string // how it learns why it was refused; a reason is enough
}

// refused is an answer other than 200.
type refused struct {
	status int
	body   []byte
}

// member reads an error as a client does that decodes one member of it.
func member(name string) func(refused) string {
	return func(r refused) string {
		var body map[string]any
		if json.Unmarshal(r.body, &body) != nil {
			return ""
		}
		text, _ := body[name].(string)
		return text
	}
}

// wholeBody reads an error as a client does that prints what it got.
func wholeBody(r refused) string { return string(r.body) }

// clients are those of today, from their sources and from recorded requests.
// Charon, which pushes keys, is in package keymanager's tests.
func clients() map[string]client {
	return map[string]client{
		"Lighthouse": {
			headers:   []string{"Accept", "application/json", "Content-Type", "application/json"},
			root:      "signingRoot",
			aggregate: "AGGREGATE_AND_PROOF",
			upcheck:   []string{"Accept", "*/*"},
			reads:     wholeBody,
		},
		"Teku": {
			headers:   []string{"Content-Type", "application/json"},
			root:      "signing_root",
			aggregate: "AGGREGATE_AND_PROOF",
			upcheck:   []string{},
			text:      true,
			reads:     wholeBody,
		},
		"Prysm": {
			headers:   []string{"User-Agent", "Go-http-client/1.1", "Accept-Encoding", "gzip"},
			root:      "signing_root",
			aggregate: "AGGREGATE_AND_PROOF_V2",
			text:      true,
			// A status that it does not know it reads as a signature. It must not
			// find one.
			reads: func(r refused) string {
				if new(bls.Signature).UnmarshalText(r.body) == nil {
					return ""
				}
				return string(r.body)
			},
		},
		"Nimbus": {
			headers:   []string{"Accept", "application/json", "Content-Type", "application/json"},
			root:      "signingRoot",
			aggregate: "AGGREGATE_AND_PROOF_V2",
			// Its "verifying" mode proves parts of the block.
			extra:   `"proofs":[{"gindex":25,"proof":["0x09"]}],`,
			upcheck: []string{"Accept", "application/json"},
			reads:   member("error"),
		},
		"Lodestar": {
			headers:   []string{"Accept", "application/json", "Content-Type", "application/json", "User-Agent", "node", "Accept-Encoding", "gzip, deflate"},
			root:      "signingRoot",
			aggregate: "AGGREGATE_AND_PROOF_V2",
			upcheck:   []string{"Accept", "application/json"},
			reads:     wholeBody,
		},
		"Vero": {
			headers:   []string{"Accept", "text/plain", "Content-Type", "application/json", "User-Agent", "Python/3.13 aiohttp"},
			root:      "signingRoot",
			aggregate: "AGGREGATE_AND_PROOF_V2",
			text:      true,
			reads:     wholeBody,
		},
		"ssv-signer": {
			headers:   []string{"Accept", "application/json", "Content-Type", "application/json"},
			root:      "signing_root",
			aggregate: "AGGREGATE_AND_PROOF",
			upcheck:   []string{},
			reads:     member("message"),
		},
		"curl and jq": { // the only one that writes numbers as numbers
			headers:   []string{"Accept", "*/*", "Content-Type", "application/x-www-form-urlencoded", "User-Agent", "curl/8.0"},
			root:      "signing_root",
			aggregate: "AGGREGATE_AND_PROOF_V2, bare",
			numbers:   true,
			upcheck:   []string{"Accept", "*/*"},
			reads:     member("reason"),
		},
	}
}

// body writes a sample as c does.
func (c client) body(t *testing.T, r *rig, sample string) string {
	t.Helper()
	body := samples()[sample]
	m := decoded(t, r.request.Decode, []byte(body))
	root, err := m.SigningRoot(r.signer.Network)
	if err != nil {
		t.Fatal(err)
	}
	if c.numbers {
		body = strings.NewReplacer(`"411391"`, "411391", `"411392"`, "411392", `"13164544"`, "13164544", `"36000000"`, "36000000").Replace(body)
	}
	return strings.Replace(body, "{", `{`+c.extra+`"`+c.root+`":"`+root.String()+`",`, 1)
}

func TestEveryClient(t *testing.T) {
	for name, c := range clients() {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, mainnet(t), 1)
			for _, sample := range []string{"ATTESTATION", "BLOCK_V2 of FULU", "RANDAO_REVEAL", "VALIDATOR_REGISTRATION", c.aggregate} {
				body := c.body(t, r, sample)
				first := r.post(body, c.headers...)
				sig := signatureIn(t, first)
				if got := first.Header().Get("Content-Type"); strings.HasPrefix(got, "text/plain") != c.text {
					t.Errorf("%s: Content-Type %q", sample, got)
				}
				if again := signatureIn(t, r.post(body, c.headers...)); again != sig {
					t.Errorf("%s: sent again after a lost answer: %v, then %v", sample, sig, again)
				}
			}
			c.isRefused(t, r)
			if c.upcheck != nil {
				w := r.get("/upcheck", c.upcheck...)
				if wantsJSON := len(c.upcheck) > 0 && c.upcheck[1] == "application/json"; w.Code != 200 || json.Valid(w.Body.Bytes()) != wantsJSON {
					t.Errorf("upcheck: %d %s", w.Code, w.Body)
				}
			}
			if w := r.get("/api/v1/eth2/publicKeys", c.headers...); w.Code != 200 {
				t.Errorf("publicKeys: %d %s", w.Code, w.Body)
			}
		})
	}
}

// isRefused checks that c learns why, whatever the status.
func (c client) isRefused(t *testing.T, r *rig) {
	t.Helper()
	body := c.body(t, r, "ATTESTATION")
	unrooted := strings.Replace(body, c.root, "no_root", 1)
	post := func(body string) *httptest.ResponseRecorder { return r.post(body, c.headers...) }
	expect := func(w *httptest.ResponseRecorder, status int, reason, says string) {
		t.Helper()
		wantRefused(t, w, status, reason)
		if got := c.reads(refused{w.Code, w.Body.Bytes()}); !strings.Contains(got, says) && got != reason {
			t.Errorf("%d: it reads %q, which does not say %q", status, got, says)
		}
	}
	expect(post(strings.Replace(body, `"index"`, `"indx"`, 1)), 400, "malformed_request", "attestation.index: missing")
	expect(post(strings.Replace(body, root1, root2, 1)), 400, "signing_root_mismatch", "the client says signing root")
	expect(post(strings.Replace(unrooted, root1, root2, 1)), 412, "double_vote", "411392")
	unknown := r.do(call{http.MethodPost, "/api/v1/eth2/sign/" + commitment, body, pairs(c.headers)})
	expect(unknown, 404, "key_not_found", commitment)
	r.ShutDown()
	expect(post(body), 503, "shutting_down", "shutting down")
}

// TestTwelveIdenticalRequestsAtOnce: the operators of an SSV cluster send the
// same attestation at the same time, and all must succeed.
func TestTwelveIdenticalRequestsAtOnce(t *testing.T) {
	r := newRig(t, mainnet(t), 1)
	s := httptest.NewServer(r)
	defer s.Close()
	c := clients()["ssv-signer"]
	body := c.body(t, r, "ATTESTATION")
	var wg sync.WaitGroup
	answers := make([]string, 12)
	for i := range answers {
		wg.Go(func() {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/api/v1/eth2/sign/"+pubkey0, strings.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			req.Header = pairs(c.headers)
			resp, err := s.Client().Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			var signed struct{ Signature string }
			if err := json.NewDecoder(resp.Body).Decode(&signed); err != nil || resp.StatusCode != 200 {
				t.Errorf("%d, %v", resp.StatusCode, err)
			}
			answers[i] = signed.Signature
		})
	}
	wg.Wait()
	for _, a := range answers {
		if a != answers[0] || len(a) != 194 {
			t.Errorf("got %s and %s", a, answers[0])
		}
	}
}
