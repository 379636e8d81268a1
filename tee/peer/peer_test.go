package peer

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/attest/dev"
	"github.com/secure-signer/secure-signer/tee"
	"github.com/secure-signer/secure-signer/tee/teetest"
)

// A program is one that asks for keys, on hardware that a test root stands for.
type program struct {
	root      ed25519.PrivateKey
	statement dev.Statement
}

func (p program) Identity(context.Context) (tee.Identity, error) {
	return tee.Identity{Kind: attest.KindDev, Measurements: map[string]attest.Hex{"measurement": p.statement.Measurement}}, nil
}

func (p program) Evidence(_ context.Context, rd attest.ReportData) (attest.Evidence, error) {
	s := p.statement
	s.ReportData = rd
	return dev.Sign(p.root, s)
}

func (p program) SealKey(context.Context, string) ([]byte, error) { return nil, tee.ErrNoSealing }

// A world is a keeper that listens, and what it accepts.
type world struct {
	program program
	config  Config
	keeper  *Keeper
	address Address

	mu  sync.Mutex // guards now and between
	now time.Time

	// between may change a request on its way.
	between func(body []byte) []byte
}

var secret = [32]byte{7}

func newWorld(t *testing.T, change ...func(*world)) *world {
	t.Helper()
	_, root, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	w := &world{now: now, program: program{root, dev.Statement{Measurement: attest.Hex{1}, IssuedAt: now}}}
	name := dev.Root(root.Public().(ed25519.PublicKey))
	w.config = Config{
		Verifier: dev.Verifier{Roots: []attest.Digest{name}},
		Policy: attest.Policy{
			Accept: []attest.Identity{
				{Kind: attest.KindDev, Measurements: map[string]attest.Hex{"measurement": {1}}},
				{Kind: attest.KindDev, Measurements: map[string]attest.Hex{"measurement": {2}}},
				{Kind: attest.KindDev, Measurements: map[string]attest.Hex{"measurement": {1}}, Signer: attest.Hex{3}},
				{Kind: attest.KindDev, Measurements: map[string]attest.Hex{"measurement": {1}}, Product: 4},
			},
			Roots: []attest.Digest{name}, TCB: []attest.TCBStatus{attest.TCBUnrated}, MaxAge: attest.Duration(time.Hour),
		},
		Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.now
		},
	}
	for _, c := range change {
		c(w)
	}
	if w.keeper, err = NewKeeper(secret, w.config); err != nil {
		t.Fatal(err)
	}
	routes := w.keeper.Handler()
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if w.between != nil && r.URL.Path == pathRelease {
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(w.between(body)))
		}
		routes.ServeHTTP(rw, r)
	}))
	t.Cleanup(server.Close)
	w.address = Address{server.URL, w.keeper.PublicKey()}
	return w
}

func (w *world) client() *Client { return NewClient(w.address, nil) }

func (w *world) key(p program, label string) ([]byte, error) {
	return tee.WithRelease(p, w.client()).SealKey(context.Background(), label)
}

func (w *world) later(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// TestHardwareWithAKeeperSealsLikeAnyOther runs the suite of all platforms.
func TestHardwareWithAKeeperSealsLikeAnyOther(t *testing.T) {
	w := newWorld(t)
	released := func(address Address, number int) tee.Platform {
		p := w.program
		p.statement.Measurement = attest.Hex{byte(number + 1)}
		return tee.WithRelease(p, NewClient(address, nil))
	}
	teetest.Run(t, teetest.Suite{
		New:      func(_ *testing.T, number int) tee.Platform { return released(w.address, number) },
		Verifier: w.config.Verifier,
		At:       w.now,
		Seals:    true,
		Faults: []teetest.Fault{
			{Name: "no keeper", New: func(*testing.T) tee.Platform { return released(Address{URL: "http://127.0.0.1:1"}, 0) }, Want: "key keeper runs"},
			{Name: "a program that is not accepted", New: func(*testing.T) tee.Platform { return released(w.address, 8) }, Want: "it refuses: "},
		},
	})
}

func TestAKeyBelongsToOneProgramAndLabel(t *testing.T) {
	w := newWorld(t, func(w *world) { w.config.Policy.AllowDebug = true })
	key := func(label string, change func(*dev.Statement)) string {
		t.Helper()
		p := w.program
		change(&p.statement)
		key, err := w.key(p, label)
		if err != nil {
			t.Fatal(err)
		}
		return string(key)
	}
	same := func(*dev.Statement) {}
	first := key("label", same)
	if len(first) != 32 || first == strings.Repeat("\x00", 32) {
		t.Fatalf("got %x", first)
	}
	if key("label", same) != first {
		t.Error("the same program has got another key")
	}
	if key("label", func(s *dev.Statement) { s.SVN = 9 }) != first {
		t.Error("a newer security version of the same program has got another key")
	}
	for name, other := range map[string]string{
		"another label":       key("label2", same),
		"no label":            key("", same),
		"another measurement": key("label", func(s *dev.Statement) { s.Measurement = attest.Hex{2} }),
		"a signer":            key("label", func(s *dev.Statement) { s.Signer = attest.Hex{3} }),
		"another product":     key("label", func(s *dev.Statement) { s.Product = 4 }),
		"debug mode":          key("label", func(s *dev.Statement) { s.Debug = true }),
	} {
		if other == first {
			t.Errorf("%s: the same key", name)
		}
	}
	again := newWorld(t)
	if got, err := again.key(again.program, "label"); err != nil || string(got) != first {
		t.Errorf("a second keeper with the same secret gives another key, %v", err)
	}
}

func TestSecretsDecide(t *testing.T) {
	w := newWorld(t)
	other, err := NewKeeper([32]byte{8}, w.config)
	if err != nil {
		t.Fatal(err)
	}
	who := attest.Result{Kind: attest.KindDev}
	if bytes.Equal(w.keeper.derive(keyInfo(who, "")), other.derive(keyInfo(who, ""))) || w.keeper.PublicKey().Equal(other.PublicKey()) {
		t.Error("two secrets, one key")
	}
}

// TestKeysAreWrittenDown fails if vaults that have been sealed would not open any more.
func TestKeysAreWrittenDown(t *testing.T) {
	k, err := NewKeeper(secret, newWorld(t).config)
	if err != nil {
		t.Fatal(err)
	}
	who := attest.Result{
		Kind: attest.KindNitro, Signer: attest.Hex{4}, Product: 5,
		Measurements: map[string]attest.Hex{"pcr0": {1}, "pcr1": {2}, "pcr2": {3}},
	}
	got := attest.Hex(k.derive(keyInfo(who, "label"))).String() + " " + attest.Hex(k.PublicKey()).String()
	if want := "0704afd48d6a216d056c5fa8bf8bc5007a1420473b1f27c2592e6710bbab312d d949bdbdac536430152883d95c641609cbe5d1cd4364c65595480d99cac37ccf"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestEvidenceThatIsRefused(t *testing.T) {
	stranger := newWorld(t).program
	for _, tt := range []struct {
		name   string
		change func(*program)
		want   string
	}{
		{"another program", func(p *program) { p.statement.Measurement = attest.Hex{9} }, "measurement"},
		{"debug mode", func(p *program) { p.statement.Debug = true }, "debug mode is on"},
		{"an old statement", func(p *program) { p.statement.IssuedAt = p.statement.IssuedAt.Add(-2 * time.Hour) }, "old"},
		{"another root", func(p *program) { p.root = stranger.root }, "proves nothing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			p := w.program
			tt.change(&p)
			if key, err := w.key(p, "label"); err == nil || !strings.Contains(err.Error(), "it refuses: ") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %x, %v, want %q", key, err, tt.want)
			}
		})
	}
}

// TestWhatIsChangedOnItsWay: whoever carries the messages gets nothing, and has
// nobody else get anything.
func TestWhatIsChangedOnItsWay(t *testing.T) {
	mallory, err := attest.NewInbox()
	if err != nil {
		t.Fatal(err)
	}
	change := func(do func(w *world, r *releaseRequest, ev *attest.Evidence)) func(*world) {
		return func(w *world) {
			w.between = func(body []byte) []byte {
				var r releaseRequest
				var ev attest.Evidence
				if err := errors.Join(json.Unmarshal(body, &r), json.Unmarshal(r.Evidence, &ev)); err != nil {
					t.Error(err)
				}
				do(w, &r, &ev)
				text, err := json.Marshal(ev)
				if err != nil {
					t.Error(err)
				}
				r.Evidence = text
				body, err = json.Marshal(r)
				if err != nil {
					t.Error(err)
				}
				return body
			}
		}
	}
	for _, tt := range []struct {
		name   string
		change func(*world)
		want   string
	}{
		{"nothing", change(func(*world, *releaseRequest, *attest.Evidence) {}), ""},
		{"the key to seal to", change(func(_ *world, _ *releaseRequest, ev *attest.Evidence) { ev.Claims.HPKEKey = mallory.PublicKey() }), "belongs to another connection, nonce, key"},
		{"no key to seal to", change(func(_ *world, _ *releaseRequest, ev *attest.Evidence) { ev.Claims.HPKEKey = nil }), "belongs to another connection, nonce, key"},
		{"another fresh nonce", change(func(w *world, r *releaseRequest, _ *attest.Evidence) {
			r.Nonce, _ = w.client().Nonce(context.Background())
		}), "belongs to another connection, nonce, key"},
		{"a nonce that is made up", change(func(_ *world, r *releaseRequest, _ *attest.Evidence) { r.Nonce[31] ^= 1 }), "not of this keeper"},
		{"the nonce's time", change(func(_ *world, r *releaseRequest, _ *attest.Evidence) { r.Nonce[7] ^= 1 }), "not of this keeper"},
		{"the label", change(func(_ *world, r *releaseRequest, _ *attest.Evidence) { r.Label = "other" }), "not signed by key"},
		{"a label of any length", change(func(_ *world, r *releaseRequest, _ *attest.Evidence) { r.Label = strings.Repeat("x", maxLabel+1) }), "at most 1024"},
		{"one more claim", change(func(_ *world, _ *releaseRequest, ev *attest.Evidence) { ev.Claims.Config = []byte("{}") }), "another purpose"},
		{"evidence that is none", change(func(_ *world, _ *releaseRequest, ev *attest.Evidence) { *ev = attest.Evidence{} }), "are needed"},
		{"half of the request", func(w *world) { w.between = func(body []byte) []byte { return body[:len(body)/2] } }, "it refuses"},
		{"a request of any length", func(w *world) { w.between = func([]byte) []byte { return make([]byte, maxBody+1) } }, "more than"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.change)
			key, err := w.key(w.program, "label")
			if tt.want == "" && err != nil {
				t.Error(err)
			}
			if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %x, %v, want %q", key, err, tt.want)
			}
		})
	}
}

// exchange is what a program sends, by hand.
func (w *world) exchange(t *testing.T, p program, hpkeKey []byte) (attest.Nonce, attest.Evidence) {
	t.Helper()
	nonce, err := w.client().Nonce(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	claims := attest.Claims{HPKEKey: hpkeKey}
	ev, err := p.Evidence(t.Context(), claims.ReportData(nonce, nil))
	if err != nil {
		t.Fatal(err)
	}
	ev.Claims = claims
	return nonce, ev
}

func TestANonceIsGoodOnceAndForAMinute(t *testing.T) {
	w := newWorld(t)
	inbox, err := attest.NewInbox()
	if err != nil {
		t.Fatal(err)
	}
	release := func(nonce attest.Nonce, ev attest.Evidence) error {
		_, err := w.client().Release(t.Context(), nonce, ev, "label")
		return err
	}
	refused := func(what string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), "begin anew") {
			t.Errorf("%s: %v", what, err)
		}
	}
	nonce, ev := w.exchange(t, w.program, inbox.PublicKey())
	if err := release(nonce, ev); err != nil {
		t.Fatal(err)
	}
	refused("a request that is repeated", release(nonce, ev))

	nonce, ev = w.exchange(t, w.program, inbox.PublicKey())
	w.later(nonceLife - time.Millisecond)
	if err := release(nonce, ev); err != nil {
		t.Errorf("within a minute: %v", err)
	}
	nonce, ev = w.exchange(t, w.program, inbox.PublicKey())
	w.later(nonceLife)
	refused("after a minute", release(nonce, ev))
	nonce, ev = w.exchange(t, w.program, inbox.PublicKey())
	w.later(-time.Second)
	refused("of the future", release(nonce, ev))

	nonce, ev = w.exchange(t, w.program, inbox.PublicKey())
	restarted := newWorld(t)
	_, err = restarted.client().Release(t.Context(), nonce, ev, "label")
	refused("after a restart of the keeper", err)

	// Of a request that is refused the nonce stays good: nobody uses up another's.
	nonce, ev = w.exchange(t, w.program, inbox.PublicKey())
	bad := ev
	bad.Claims.HPKEKey = nil
	if err := release(nonce, bad); err == nil {
		t.Error("evidence that is bound to nothing is taken")
	}
	if err := release(nonce, ev); err != nil {
		t.Errorf("after another's attempt: %v", err)
	}
}

func TestManyAtOnceGetOneKeyForOneNonce(t *testing.T) {
	w := newWorld(t)
	inbox, err := attest.NewInbox()
	if err != nil {
		t.Fatal(err)
	}
	nonce, ev := w.exchange(t, w.program, inbox.PublicKey())
	var given, refused int
	var mu sync.Mutex
	var all sync.WaitGroup
	for range maxInWork {
		all.Go(func() {
			_, err := w.client().Release(t.Context(), nonce, ev, "label")
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				given++
			} else {
				refused++
			}
		})
	}
	all.Wait()
	if given != 1 {
		t.Errorf("%d keys for one nonce, %d refused", given, refused)
	}
}

// TestOfTwoThatWereLetThroughOneUsesTheNonce: between check and use lies the work.
func TestOfTwoThatWereLetThroughOneUsesTheNonce(t *testing.T) {
	n, now := newNonces(), time.Now()
	nonce := n.draw(now)
	if err := errors.Join(n.check(nonce, now), n.check(nonce, now), n.use(nonce, now)); err != nil {
		t.Fatal(err)
	}
	if err := n.use(nonce, now); !errors.Is(err, errNonce) {
		t.Errorf("the second: %v", err)
	}
}

func TestUsedNoncesAreBoundedAndForgotten(t *testing.T) {
	n, now := newNonces(), time.Now()
	for range maxUsed {
		if err := n.use(n.draw(now), now); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.use(n.draw(now), now); !errors.Is(err, errBusy) {
		t.Errorf("one more: %v", err)
	}
	later := now.Add(nonceLife)
	if err := n.use(n.draw(later), later); err != nil || len(n.used) != 1 {
		t.Errorf("a minute later: %v, %d remembered", err, len(n.used))
	}
}

func TestAnotherKeeperIsNotBelieved(t *testing.T) {
	w := newWorld(t)
	w.address.Key = w.program.root.Public().(ed25519.PublicKey)
	if key, err := w.key(w.program, "label"); err == nil || !strings.Contains(err.Error(), "another keeper answers") {
		t.Errorf("got %x, %v", key, err)
	}
}

func TestWhatIsNoKeeper(t *testing.T) {
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"another server": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", 500) }, "500 Internal Server Error, as no key keeper does"},
		"another API":    {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"status":"UP"}`)) }, "answers as no key keeper does: nonce: missing"},
		"a refusal of two lines": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte(`{"message":"no\nsecure-signer: ready to sign"}`))
		}, "it refuses: no secure-signer: ready"},
		"a redirection": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/other", http.StatusTemporaryRedirect)
		}, "307"},
		"a nonce too short": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"nonce":"00"}`)) }, "want 32"},
		"an endless answer": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, maxAnswer+1)) }, "more than"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(tt.answer)
			defer server.Close()
			_, err := NewClient(Address{URL: server.URL}, nil).Nonce(t.Context())
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	if _, err := NewClient(Address{URL: "http://127.0.0.1:1"}, nil).Nonce(t.Context()); err == nil || !strings.Contains(err.Error(), "can be reached") {
		t.Errorf("nobody there: %v", err)
	}
}

func TestRoutes(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		method, path string
		status       int
		reason       string
	}{
		{"GET", pathNonce, 405, "method_not_allowed"},
		{"PUT", pathRelease, 405, "method_not_allowed"},
		{"GET", "/", 404, "no_such_route"},
		{"POST", pathRelease, 400, "malformed_request"},
		{"POST", pathNonce, 200, ""},
	} {
		response := httptest.NewRecorder()
		w.keeper.Handler().ServeHTTP(response, httptest.NewRequest(tt.method, tt.path, nil))
		var body struct{ Reason string }
		if err := json.Unmarshal(response.Body.Bytes(), &body); err != nil || response.Code != tt.status || body.Reason != tt.reason {
			t.Errorf("%s %s: %d %s, %v", tt.method, tt.path, response.Code, response.Body, err)
		}
	}
}

func TestAPolicyThatNothingOrEverythingSatisfiesIsRefused(t *testing.T) {
	settings, machine := newWorld(t).config.Policy, newWorld(t).config.Policy
	settings.Settings = map[string]json.RawMessage{"network": []byte(`"hoodi"`)}
	machine.Accept = append(machine.Accept, attest.Identity{Kind: attest.KindTPM, Measurements: map[string]attest.Hex{"pcr7": make(attest.Hex, 32)}})
	for want, policy := range map[string]attest.Policy{"leave them out": settings, "accepts no program": {}, "does not tell which program asks": machine} {
		if _, err := NewKeeper(secret, Config{Policy: policy}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestAddresses(t *testing.T) {
	key := strings.Repeat("ab", 32)
	for line, want := range map[string]string{
		"https://keeper.example:9100#" + key:     "",
		" http://10.0.0.1:9100/#0x" + key + "\n": "",
		"https://keeper.example:9100":            "want its address, #, and its public key",
		"https://keeper.example#" + key[2:]:      "want 64 hex digits",
		"keeper.example:9100#" + key:             "want an address such as",
		"ftp://keeper.example#" + key:            "want an address such as",
		"https://user@keeper.example#" + key:     "want an address such as",
		"https://keeper.example?a=b#" + key:      "want an address such as",
		"https://#" + key:                        "want an address such as",
		"":                                       "want its address",
	} {
		a, err := ParseAddress(line)
		if want != "" {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: got %v, want %q", line, err, want)
			}
			continue
		}
		var again Address
		if text, marshalErr := a.MarshalText(); err != nil || marshalErr != nil || again.UnmarshalText(text) != nil || again.String() != a.String() {
			t.Errorf("%q: got %v, %v", line, a, err)
		}
	}
}

func FuzzRelease(f *testing.F) {
	k, err := NewKeeper(secret, Config{Verifier: dev.Verifier{}, Policy: attest.Policy{Accept: []attest.Identity{{}}}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.Fatal(err)
	}
	text, err := json.Marshal(releaseRequest{Nonce: k.nonces.draw(time.Now()), Evidence: []byte(`{"type":"x","value":"eA=="}`), Label: "label"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		response := httptest.NewRecorder()
		k.Handler().ServeHTTP(response, httptest.NewRequest("POST", pathRelease, bytes.NewReader(body)))
		if response.Code == http.StatusOK {
			t.Errorf("a key was given: %s", response.Body)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	key, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"nonce":"` + strings.Repeat("00", 32) + `","sealed":"eA==","signature":"eA==","message":"no"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		transport := roundTrip(func(*http.Request) *http.Response {
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(body))}
		})
		c := NewClient(Address{URL: "http://keeper", Key: key}, transport)
		_, _ = c.Nonce(t.Context())
		if _, err := c.Release(t.Context(), attest.Nonce{}, attest.Evidence{}, ""); err == nil {
			t.Error("an answer that nobody has signed")
		}
	})
}

type roundTrip func(*http.Request) *http.Response

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }
