package attestapi

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/attest/dev"
	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/custody"
	"github.com/secure-signer/secure-signer/custody/custodytest"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/record"
	"github.com/secure-signer/secure-signer/record/memory"
	"github.com/secure-signer/secure-signer/slashing"
)

// epochNow is where the clock of a world stands.
const epochNow = 100

// A world is the real parts behind the routes, over TLS, on a test root.
type world struct {
	*handler
	t      testing.TB
	server *httptest.Server
	root   ed25519.PrivateKey
	store  *faultyStore

	hold chan struct{} // not nil: evidence waits until it is closed
}

func newWorld(t testing.TB, changes ...func(*Config)) *world {
	t.Helper()
	keyring, err := bls.OpenKeyring(bls.Config{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := keyring.Close(); err != nil {
			t.Error(err)
		}
	})
	_, root, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, root: root, store: &faultyStore{Store: memory.New()}}
	network, _ := eth2.Builtin("hoodi")
	now := time.Unix(int64(network.GenesisTime+epochNow*32*12), 0)
	guard := slashing.New(w.store, slashing.Config{Network: network, Now: func() time.Time { return now }})
	c := Config{
		Evidence: w.evidence,
		TLSKey:   func(*http.Request) []byte { return w.server.Certificate().RawSubjectPublicKeyInfo },
		Settings: Settings{Horizon: Keeper{Kind: NoKeeper}, Sealing: Keeper{Kind: NoKeeper}, NewKeyFloor: "clock", MaxFutureEpochs: "2", KeyExport: KeyExportNone, Hardening: "require"},
		Network:  network,
		Custody:  &custody.Custodian{Vault: &custodytest.Vault{}, Keyring: keyring, Guard: guard},
		Guard:    guard,
		Keys:     keyring,
		Log:      slog.New(slog.DiscardHandler),
	}
	for _, change := range changes {
		change(&c)
	}
	if w.handler, err = newHandler(c); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Custody.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	routes := w.routes()
	mux.Handle(RouteAttest, routes.Attest)
	mux.Handle(RouteImport, routes.Import)
	mux.Handle(RouteGenerate, routes.Generate)
	w.server = httptest.NewTLSServer(mux)
	t.Cleanup(w.server.Close)
	return w
}

func (w *world) evidence(ctx context.Context, rd attest.ReportData) (attest.Evidence, error) {
	if w.hold != nil {
		select {
		case <-w.hold:
		case <-ctx.Done():
			return attest.Evidence{}, ctx.Err()
		}
	}
	return dev.Sign(w.root, dev.Statement{Measurement: attest.Hex{1}, IssuedAt: time.Now(), ReportData: rd})
}

// policy accepts the world.
func (w *world) policy() attest.Policy {
	text, err := json.Marshal(w.Settings)
	if err != nil {
		w.t.Fatal(err)
	}
	p := attest.Policy{
		Accept: []attest.Identity{{Kind: attest.KindDev, Measurements: map[string]attest.Hex{"measurement": {1}}}},
		Roots:  []attest.Digest{dev.Root(w.root.Public().(ed25519.PublicKey))},
		TCB:    []attest.TCBStatus{attest.TCBUnrated}, MaxAge: attest.Duration(time.Minute),
	}
	if err := json.Unmarshal(text, &p.Settings); err != nil {
		w.t.Fatal(err)
	}
	return p
}

// judge is what a client does with evidence.
func (w *world) judge(ev attest.Evidence, nonce attest.Nonce, exporter []byte, reads ...string) error {
	p := w.policy()
	result, err := dev.Verifier{Roots: p.Roots}.Verify(ev, time.Now())
	if err != nil {
		return err
	}
	return p.JudgeClaims(result, ev.Claims, nonce, exporter, reads...)
}

// An answer is what the server says, and on which connection.
type answer struct {
	status int
	header http.Header
	body   []byte
	tls    *tls.ConnectionState
}

func (a answer) reason() string {
	var body struct{ Reason string }
	_ = json.Unmarshal(a.body, &body)
	return body.Reason
}

// post sends a body: text as it is, anything else as JSON.
func (w *world) post(route string, body any) answer {
	w.t.Helper()
	return w.postBy(w.server.Client(), w.server.URL+route, body)
}

func (w *world) postBy(client *http.Client, url string, body any) answer {
	w.t.Helper()
	text, ok := body.([]byte)
	if !ok {
		var err error
		if text, err = json.Marshal(body); err != nil {
			w.t.Fatal(err)
		}
	}
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, url, bytes.NewReader(text))
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := client.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, got, resp.TLS}
}

// ask asks for evidence, which must be given, and returns the client's exporter value.
func (w *world) ask(nonce attest.Nonce) (Attested, []byte) {
	w.t.Helper()
	got := w.post(RouteAttest, AttestRequest{nonce})
	var a Attested
	if err := json.Unmarshal(got.body, &a); err != nil || got.status != http.StatusOK {
		w.t.Fatalf("%d %s: %v", got.status, got.body, err)
	}
	exporter, err := Exporter(got.tls, nonce)
	if err != nil {
		w.t.Fatal(err)
	}
	return a, exporter
}

// sealFor is a request to import the key under this evidence.
func (w *world) sealFor(a Attested, sk *bls.SecretKey, h History) ImportRequest {
	w.t.Helper()
	to := Address{w.Network.GenesisValidatorsRoot, digest(a.Evidence), a.ImportNonce, sk.PublicKey()}
	sealed, err := Seal(a.Evidence.Claims.HPKEKey, to, Bundle{sk, h})
	if err != nil {
		w.t.Fatal(err)
	}
	return ImportRequest{a.ImportNonce, sk.PublicKey(), sealed}
}

func (w *world) serves(pub bls.PublicKey) bool {
	_, ok := w.Keys.Key(pub)
	return ok
}

func newKey(t testing.TB) *bls.SecretKey {
	t.Helper()
	sk, err := bls.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return sk
}

// A faultyStore does not make durable what it is asked for next, so many times.
type faultyStore struct {
	record.Store
	failures int
}

var errFull = errors.New("the disk is full")

func (s *faultyStore) fails() bool {
	s.failures--
	return s.failures >= 0
}

func (s *faultyStore) Create(ctx context.Context, key record.Key, value []byte) error {
	if s.fails() {
		return errFull
	}
	return s.Store.Create(ctx, key, value)
}

func (s *faultyStore) Replace(ctx context.Context, key record.Key, old record.Version, value []byte) error {
	if s.fails() {
		return errFull
	}
	return s.Store.Replace(ctx, key, old, value)
}
