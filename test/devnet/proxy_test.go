package devnet

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/judge"
)

// A recorder lies between validator clients and a signer and remembers every
// signing request with its answer.
type recorder struct {
	mu        sync.Mutex
	exchanges []exchange
}

// An exchange is one signing request and its answer.
type exchange struct {
	client  string
	key     [48]byte
	kind    string
	fork    string // current_version of fork_info
	request []byte
	answer  daemon.Answer
	retry   *daemon.Answer // to the identical request sent again at once
}

// slashable tells whether two messages of this kind can conflict.
func (x exchange) slashable() bool { return x.isBlock() || x.kind == "ATTESTATION" }
func (x exchange) isBlock() bool   { return strings.HasPrefix(x.kind, "BLOCK") }

// between returns the URL of a proxy to signer for one client. Each block and
// attestation that is signed is sent a second time before the client gets its
// answer, as a client does that has lost the first answer.
func (r *recorder) between(t *testing.T, client, signer string) string {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err != nil {
			return // the client has gone
		}
		answer, err := forward(q, signer, body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		if key, ok := signingKey(q.URL.Path); ok {
			x := exchange{client: client, key: key, request: body, answer: answer}
			x.kind, x.fork = kindOf(body)
			if answer.Status == http.StatusOK && x.slashable() {
				if again, err := forward(q, signer, body); err == nil {
					x.retry = &again
				}
			}
			r.mu.Lock()
			r.exchanges = append(r.exchanges, x)
			r.mu.Unlock()
		}
		w.Header().Set("Content-Type", answer.ContentType)
		w.WriteHeader(answer.Status)
		io.WriteString(w, answer.Body) // the client may have gone
	}))
	t.Cleanup(proxy.Close)
	return proxy.URL
}

// forward sends q with body to the signer, with the headers that it came with.
func forward(q *http.Request, signer string, body []byte) (daemon.Answer, error) {
	r, err := http.NewRequestWithContext(q.Context(), q.Method, signer+q.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return daemon.Answer{}, err
	}
	r.Header = q.Header.Clone()
	r.Header.Del("Accept-Encoding") // leave it to this side's transport, so that what is recorded is plain
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return daemon.Answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return daemon.Answer{Status: response.StatusCode, ContentType: response.Header.Get("Content-Type"), Body: string(text)}, err
}

func signingKey(path string) (key [48]byte, ok bool) {
	id, ok := strings.CutPrefix(path, "/api/v1/eth2/sign/")
	if !ok {
		return key, false
	}
	n, err := hex.Decode(key[:], []byte(strings.TrimPrefix(id, "0x")))
	return key, err == nil && n == len(key)
}

func kindOf(body []byte) (kind, fork string) {
	var r struct {
		Type     string `json:"type"`
		ForkInfo struct {
			Fork struct {
				CurrentVersion string `json:"current_version"`
			} `json:"fork"`
		} `json:"fork_info"`
	}
	if json.Unmarshal(body, &r) != nil {
		return "unreadable", ""
	}
	return r.Type, r.ForkInfo.Fork.CurrentVersion
}

// all returns what was recorded so far.
func (r *recorder) all() []exchange {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]exchange(nil), r.exchanges...)
}

// signed returns every signature that left the signer, for the judge.
func (r *recorder) signed(t *testing.T) []judge.Signed {
	t.Helper()
	var out []judge.Signed
	for _, x := range r.all() {
		for _, answer := range []*daemon.Answer{&x.answer, x.retry} {
			if answer == nil || answer.Status != http.StatusOK {
				continue
			}
			s := judge.Signed{Key: x.key, Request: x.request}
			text, err := answer.Signature()
			if err != nil {
				t.Fatalf("%s for %s: %v", x.kind, x.client, err)
			}
			n, err := hex.Decode(s.Signature[:], []byte(strings.TrimPrefix(text, "0x")))
			if err != nil || n != len(s.Signature) {
				t.Fatalf("%s for %s: %q is not a signature", x.kind, x.client, text)
			}
			out = append(out, s)
		}
	}
	return out
}
