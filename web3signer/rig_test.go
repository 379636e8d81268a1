package web3signer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"go.uber.org/goleak"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/policy"
	"github.com/secure-signer/secure-signer/record/memory"
	"github.com/secure-signer/secure-signer/signer"
	"github.com/secure-signer/secure-signer/slashing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A rig is a whole signer behind its handler: real keys, real guard, a store
// in memory.
type rig struct {
	*Handler
	signer *signer.Signer
	keys   []bls.PublicKey
	log    *lines
	seen   *observed
}

// newRig returns a ready signer that holds the first interop keys.
func newRig(t testing.TB, n *eth2.Network, keys int) *rig {
	t.Helper()
	ring, err := bls.OpenKeyring(bls.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ring.Close(); err != nil {
			t.Error(err)
		}
	})
	guard := slashing.New(memory.New(), slashing.Config{Network: n, Unbounded: true})
	r := &rig{
		signer: &signer.Signer{
			Network: n, Keys: ring, Guard: guard,
			Policy: policy.Duties(eth2.KindDeposit, eth2.KindVoluntaryExit),
		},
		log:  new(lines),
		seen: new(observed),
	}
	for i := range keys {
		secret := interopKey(t, i)
		pub := secret.PublicKey()
		if err := guard.Enroll(context.Background(), pub, slashing.ArrivedNoFloor); err != nil {
			t.Fatal(err)
		}
		if _, err := ring.Add(pub, secret); err != nil {
			t.Fatal(err)
		}
		secret.Wipe()
		r.keys = append(r.keys, pub)
	}
	r.Handler = New(Config{
		Signer: r.signer, PublicKeys: ring.PublicKeys,
		Log:     slog.New(slog.NewJSONHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Observe: r.seen.observe, UnknownFork: r.seen.unknownFork,
	})
	r.Ready()
	return r
}

// interopKey is a key that everybody knows. Source: "mocked start" of
// ethereum/eth2.0-pm, interop/mocked_start.
func interopKey(t testing.TB, i int) *bls.SecretKey {
	t.Helper()
	var index [32]byte
	binary.LittleEndian.PutUint64(index[:], uint64(i))
	hash := sha256.Sum256(index[:])
	slices.Reverse(hash[:])
	order, _ := new(big.Int).SetString("73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001", 16)
	scalar := new(big.Int).Mod(new(big.Int).SetBytes(hash[:]), order)
	secret, err := bls.ParseSecretKey(scalar.FillBytes(make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// mainnet is the network that most tests sign for.
func mainnet(t testing.TB) *eth2.Network {
	t.Helper()
	n, ok := eth2.Builtin("mainnet")
	if !ok {
		t.Fatal("no mainnet")
	}
	return n
}

// A call is a request and, when it is made, its answer.
type call struct {
	method, path, body string
	header             http.Header
}

// post asks for a signature of the first key.
func (r *rig) post(body string, headers ...string) *httptest.ResponseRecorder {
	return r.do(call{method: http.MethodPost, path: "/api/v1/eth2/sign/" + r.keys[0].String(), body: body, header: pairs(headers)})
}

func (r *rig) get(path string, headers ...string) *httptest.ResponseRecorder {
	return r.do(call{method: http.MethodGet, path: path, header: pairs(headers)})
}

func (r *rig) do(c call) *httptest.ResponseRecorder {
	req := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
	if c.header != nil {
		req.Header = c.header
	}
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	return w
}

// pairs makes headers of names and values; a name may come twice.
func pairs(s []string) http.Header {
	h := http.Header{}
	for p := range slices.Chunk(s, 2) {
		h.Add(p[0], p[1])
	}
	return h
}

// A refusedBody is the JSON of every error.
type refusedBody struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Error   string `json:"error"`
	Reason  string `json:"reason"`
}

// wantRefused checks an answer against the contract of every error body and
// returns its message.
func wantRefused(t *testing.T, w *httptest.ResponseRecorder, status int, reason string) string {
	t.Helper()
	var body refusedBody
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	if w.Code != status || body.Code != status || body.Reason != reason {
		t.Errorf("got %d %s, want %d %s", w.Code, w.Body, status, reason)
	}
	if body.Message == "" || body.Message != body.Error {
		t.Errorf("message %q, error %q", body.Message, body.Error)
	}
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type of an error: %q", got)
	}
	if (w.Header().Get("Retry-After") != "") != (status == http.StatusServiceUnavailable) {
		t.Errorf("Retry-After of a %d: %q", status, w.Header().Get("Retry-After"))
	}
	return body.Message
}

// signatureIn reads a signature in either of its two forms.
func signatureIn(t *testing.T, w *httptest.ResponseRecorder) bls.Signature {
	t.Helper()
	if w.Code != http.StatusOK {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	var signed struct {
		Signature bls.Signature `json:"signature"`
	}
	var err error
	switch w.Header().Get("Content-Type") {
	case "application/json":
		err = json.Unmarshal(w.Body.Bytes(), &signed, json.RejectUnknownMembers(true))
	case "text/plain; charset=utf-8":
		err = signed.Signature.UnmarshalText(w.Body.Bytes())
	default:
		t.Errorf("Content-Type %q", w.Header().Get("Content-Type"))
	}
	if err != nil {
		t.Fatalf("%s: %v", w.Body, err)
	}
	return signed.Signature
}

// lines keeps a log.
type lines struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// take returns the lines since the last time, decoded.
func (l *lines) take(t *testing.T) []map[string]any {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []map[string]any
	for line := range strings.Lines(l.text.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	l.text.Reset()
	return all
}

// observed counts what a handler reports.
type observed struct {
	mu           sync.Mutex // guards the counts
	outcomes     map[outcome]int
	unknownForks int
}

type outcome struct {
	kind   eth2.Kind
	reason signer.Reason
}

func (o *observed) observe(kind eth2.Kind, reason signer.Reason, took time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.outcomes == nil {
		o.outcomes = map[outcome]int{}
	}
	if took > 0 {
		o.outcomes[outcome{kind, reason}]++
	}
}

func (o *observed) unknownFork() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.unknownForks++
}

func (o *observed) count(kind eth2.Kind, reason signer.Reason) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.outcomes[outcome{kind, reason}]
}
