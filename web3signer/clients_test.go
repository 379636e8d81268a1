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

// A client is what one validator client is known to send, to read, and to do
// about a refusal.
type client struct {
	headers   []string             // names and values
	root      string               // how it spells the signing root; "" if it sends none
	aggregate string               // the sample with its type and shape of an aggregate
	phase0    string               // the sample with its type of a block of Phase0
	changes   *strings.Replacer    // what else it writes differently; nil: nothing
	extra     string               // members that it adds to every body
	upcheck   []string             // headers of its probe; nil if it has none
	text      bool                 // it gets bare hex, not JSON
	reads     func(refused) string // how it learns why it was refused; a reason is enough
	about     map[int]reaction     // by status; what is not there it gives up
}

// A reaction is what a client does about a refusal.
type reaction string

const (
	givesUp   reaction = ""           // reports it; this duty is lost
	asksAgain reaction = "asks again" // with the identical request, a little later
	misreads  reaction = "misreads"   // looks for a signature in the body
)

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

var (
	asJSON    = []string{"Accept", "application/json", "Content-Type", "application/json"}
	asNumbers = strings.NewReplacer(`"411391"`, "411391", `"411392"`, "411392", `"13164544"`, "13164544", `"36000000"`, "36000000")

	// An epoch of the duty, where others send that of the fork.
	anyEpoch = strings.NewReplacer(`"current_version":"0x06000000","epoch":"411392"`, `"current_version":"0x06000000","epoch":"411390"`)
	// A fork_info in registrations, which need none.
	forkEverywhere = strings.NewReplacer(`"validator_registration"`, `"fork_info":`+forkInfo+`,"validator_registration"`)
)

// clients are those of today, from their sources and from recorded requests.
// Charon, which only pushes keystores, is in package keymanager's tests.
func clients() map[string]client {
	return map[string]client{
		"Lighthouse": {
			headers:   asJSON,
			root:      "signingRoot",
			aggregate: "AGGREGATE_AND_PROOF",
			phase0:    "BLOCK_V2 of PHASE0",
			upcheck:   []string{"Accept", "*/*"},
			reads:     wholeBody,
		},
		"Teku": {
			headers:   []string{"Content-Type", "application/json"},
			root:      "signing_root",
			aggregate: "AGGREGATE_AND_PROOF",
			phase0:    "BLOCK",
			upcheck:   []string{},
			text:      true,
			reads:     wholeBody,
		},
		"Prysm": {
			headers:   []string{"User-Agent", "Go-http-client/1.1", "Accept-Encoding", "gzip"},
			root:      "signing_root",
			aggregate: "AGGREGATE_AND_PROOF_V2",
			phase0:    "BLOCK",
			text:      true,
			reads:     wholeBody,
			about:     map[int]reaction{503: misreads},
		},
		"Nimbus": {
			headers:   asJSON,
			root:      "signingRoot",
			aggregate: "AGGREGATE_AND_PROOF_V2",
			phase0:    "BLOCK_V2 of PHASE0",
			extra:     `"proofs":[{"gindex":25,"proof":["0x09"]}],`, // of its "verifying" mode
			upcheck:   []string{"Accept", "application/json"},
			reads:     member("error"),
			about:     map[int]reaction{404: asksAgain, 412: asksAgain, 503: asksAgain}, // a 400 is final
		},
		"Lodestar": {
			headers:   append([]string{"User-Agent", "node", "Accept-Encoding", "gzip, deflate"}, asJSON...),
			root:      "signingRoot",
			aggregate: "AGGREGATE_AND_PROOF_V2",
			phase0:    "BLOCK_V2 of PHASE0",
			changes:   anyEpoch,
			upcheck:   []string{"Accept", "application/json"},
			reads:     wholeBody,
		},
		"Vero": {
			headers:   []string{"Accept", "text/plain", "Content-Type", "application/json", "User-Agent", "Python/3.13 aiohttp"},
			root:      "signingRoot",
			aggregate: "AGGREGATE_AND_PROOF_V2",
			phase0:    "BLOCK_V2 of PHASE0",
			text:      true,
			reads:     wholeBody,
		},
		"ssv-signer": {
			headers:   asJSON,
			root:      "signing_root",
			aggregate: "AGGREGATE_AND_PROOF",
			phase0:    "BLOCK_V2 of PHASE0",
			changes:   forkEverywhere,
			upcheck:   []string{},
			reads:     member("message"),
		},
		"curl and jq": { // the only one that writes numbers as numbers
			headers:   []string{"Accept", "*/*", "Content-Type", "application/x-www-form-urlencoded", "User-Agent", "curl/8.0"},
			root:      "signing_root",
			aggregate: "AGGREGATE_AND_PROOF_V2, bare",
			phase0:    "BLOCK_V2 of PHASE0",
			changes:   asNumbers,
			upcheck:   []string{"Accept", "*/*"},
			reads:     member("reason"),
			about:     map[int]reaction{400: asksAgain, 404: asksAgain, 412: asksAgain, 503: asksAgain}, // whoever types it
		},
	}
}

// body writes a sample as c does.
func (c client) body(t *testing.T, r *rig, sample string) string {
	t.Helper()
	body := samples()[sample]
	if c.changes != nil {
		body = c.changes.Replace(body)
	}
	m := decoded(t, r.request.Decode, []byte(body))
	root, err := m.SigningRoot(r.signer.Network)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Replace(body, "{", `{`+c.extra+`"`+c.root+`":"`+root.String()+`",`, 1)
}

// TestEveryClient signs what each client asks for, in the form in which it reads
// a signature, again where the answer was lost; refuses so that it learns why;
// and answers its probes.
func TestEveryClient(t *testing.T) {
	for name, c := range clients() {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, mainnet(t), 1)
			changed := c.changes == nil
			for _, sample := range []string{c.phase0, "BLOCK_V2 of FULU", "ATTESTATION", c.aggregate, "RANDAO_REVEAL", "VOLUNTARY_EXIT", "VALIDATOR_REGISTRATION"} {
				body := c.body(t, r, sample)
				changed = changed || c.changes.Replace(samples()[sample]) != samples()[sample]
				first := r.post(body, c.headers...)
				sig := signatureIn(t, first)
				if got := first.Header().Get("Content-Type"); strings.HasPrefix(got, "text/plain") != c.text {
					t.Errorf("%s: Content-Type %q", sample, got)
				}
				if again := signatureIn(t, r.post(body, c.headers...)); again != sig {
					t.Errorf("%s: sent again after a lost answer: %v, then %v", sample, sig, again)
				}
			}
			if !changed {
				t.Error("it writes nothing differently")
			}
			c.isRefused(t, r)
			c.probes(t, r)
		})
	}
}

// probes are what c asks besides signatures.
func (c client) probes(t *testing.T, r *rig) {
	t.Helper()
	if c.upcheck != nil {
		w := r.get("/upcheck", c.upcheck...)
		if wantsJSON := len(c.upcheck) > 0 && c.upcheck[1] == "application/json"; w.Code != 200 || json.Valid(w.Body.Bytes()) != wantsJSON {
			t.Errorf("upcheck: %d %s", w.Code, w.Body)
		}
	}
	for _, route := range []string{"/api/v1/eth2/publicKeys", "/healthcheck"} { // Vero asks the latter every second
		if w := r.get(route, c.headers...); w.Code != 200 || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s", route, w.Code, w.Body)
		}
	}
}

// isRefused checks that c learns why, and that what it then does about it does
// no harm: a refusal is final where asking again cannot help, and a 503 ends.
func (c client) isRefused(t *testing.T, r *rig) {
	t.Helper()
	good := c.body(t, r, "ATTESTATION")
	unrooted := strings.Replace(good, c.root, "no_root", 1)
	own, strangers := "/api/v1/eth2/sign/"+pubkey0, "/api/v1/eth2/sign/"+commitment
	for _, tt := range []struct {
		status       int
		reason, says string
		path, body   string
	}{
		{400, "malformed_request", "attestation.index: missing", own, strings.Replace(good, `"index"`, `"indx"`, 1)},
		{400, "signing_root_mismatch", "the client says signing root", own, strings.Replace(good, root1, root2, 1)},
		{404, "key_not_found", commitment, strangers, good},
		{412, "double_vote", "411392", own, strings.Replace(unrooted, root1, root2, 1)},
		{503, "shutting_down", "shutting down", own, good},
	} {
		r.shutdown.Store(tt.status == 503)
		ask := func() *httptest.ResponseRecorder {
			return r.do(call{http.MethodPost, tt.path, tt.body, pairs(c.headers)})
		}
		w := ask()
		wantRefused(t, w, tt.status, tt.reason)
		if got := c.reads(refused{w.Code, w.Body.Bytes()}); !strings.Contains(got, tt.says) && got != tt.reason {
			t.Errorf("%d: it reads %q, which does not say %q", tt.status, got, tt.says)
		}
		switch c.about[tt.status] {
		case misreads:
			if new(bls.Signature).UnmarshalText(w.Body.Bytes()) == nil {
				t.Errorf("%d: it finds a signature in %s", tt.status, w.Body)
			}
		case asksAgain:
			if r.shutdown.Store(false); tt.status == 503 { // whoever has taken over signs
				signatureIn(t, ask())
				continue
			}
			wantRefused(t, ask(), tt.status, tt.reason)
		case givesUp:
		}
	}
	r.shutdown.Store(false)
	signatureIn(t, r.do(call{http.MethodPost, own, good, pairs(c.headers)})) // none of it has cost the duty
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
