package keymanager

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/record"
	"github.com/secure-signer/secure-signer/slashing"
)

func TestImportAnswersInTheOrderOfTheRequest(t *testing.T) {
	s := newSigner(t)
	a, b, c, d := newKey(t, 1), newKey(t, 2), newKey(t, 3), newKey(t, 4)
	s.imports(t, request(b.file), "imported")

	body := request(a.file, "not a keystore", b.file, c.file, a.file, d.file)
	body["passwords"] = []string{password, password, "never looked at", "wrong", password, password}
	got := s.imports(t, body, "imported", "error", "duplicate", "error", "duplicate", "imported")
	if want := "passwords[i] has to open keystores[i]"; !strings.Contains(got[3].Message, want) {
		t.Errorf("message for a wrong password: %q, want %q in it", got[3].Message, want)
	}
	for _, k := range []struct {
		name string
		key  testKey
		want bool
	}{{"a", a, true}, {"b", b, true}, {"c", c, false}, {"d", d, true}} {
		if got := s.serves(k.key.pub); got != k.want {
			t.Errorf("key %s in service: %v, want %v", k.name, got, k.want)
		}
	}

	// What is in service stays so after a restart; what failed is nowhere.
	if got := len(s.vault.List()); got != 3 {
		t.Errorf("%d keys in the vault, want 3", got)
	}
	if _, err := s.guard.State(t.Context(), c.pub); err == nil {
		t.Error("a key whose keystore did not open has a record")
	}
}

func TestThePublicKeyOfAKeystore(t *testing.T) {
	for _, tt := range []struct {
		name   string
		pubkey func(testKey) any
		want   string
	}{
		{"may have no 0x, as Charon sends it", func(k testKey) any { return strings.TrimPrefix(k.pub.String(), "0x") }, "imported"},
		{"may have 0x", func(k testKey) any { return k.pub.String() }, "imported"},
		{"may be in upper case", func(k testKey) any { return strings.ToUpper(k.pub.String()[2:]) }, "imported"},
		{"must be the one that it holds", func(testKey) any { return newKey(t, 9).pub.String() }, "error"},
		{"may be left out", func(testKey) any { return nil }, "imported"},
		{"must be one", func(testKey) any { return "0x1234" }, "error"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSigner(t)
			k := newKey(t, 1)
			s.imports(t, request(k.edit(t, "pubkey", tt.pubkey(k))), tt.want)
			if got := s.serves(k.pub); got != (tt.want == "imported") {
				t.Errorf("in service: %v", got)
			}
			if s.serves(newKey(t, 9).pub) {
				t.Error("a key is in service that no keystore holds")
			}
		})
	}
}

// TestCharonsPush is what Charon sends after a key ceremony: keystores as its
// library writes them, PBKDF2 with 2^18 rounds, without 0x before the public
// key, each under a password of its own, and nothing else. It gives up after
// two seconds for each keystore. Source: ObolNetwork/charon, eth2util/keymanager
// and eth2util/keystore.
func TestCharonsPush(t *testing.T) {
	if testing.Short() {
		t.Skip("2^18 rounds take long under the race detector")
	}
	const keystores = 4
	s := newSigner(t)
	body := map[string][]string{}
	var pubs []bls.PublicKey
	for n := range byte(keystores) {
		word := hex.EncodeToString(bytes.Repeat([]byte{n}, 16))
		k := newKeyUnder(t, n+1, word, 1<<18)
		pubs = append(pubs, k.pub)
		body["keystores"] = append(body["keystores"], k.edit(t, "pubkey", k.pub.String()[2:]))
		body["passwords"] = append(body["passwords"], word)
	}
	began := time.Now()
	var got struct{ Data []result }
	if code := s.send(t, "POST", body, &got); code != http.StatusOK {
		t.Fatalf("status %d", code)
	}
	t.Logf("%v a keystore; Charon waits for 2s", time.Since(began)/keystores)
	compare(t, got.Data, slices.Repeat([]string{"imported"}, keystores))
	for _, pub := range pubs {
		if !s.serves(pub) {
			t.Errorf("%v is not in service", pub)
		}
	}
}

func TestARequestThatIsMalformedImportsNothing(t *testing.T) {
	k := newKey(t, 1)
	foreign := strings.Replace(interchange(t, 1, 1, 2, k.pub.String()), hoodi(t).GenesisValidatorsRoot.String(), eth2.Root{1}.String(), 1)
	for _, tt := range []struct {
		name    string
		body    any
		reason  string
		message string
	}{
		{"no JSON", `{`, "malformed_request", "ends early"},
		{"no keystores", map[string]any{"passwords": []string{}}, "malformed_request", "keystores: missing"},
		{"no passwords", map[string]any{"keystores": []string{}}, "malformed_request", "passwords: missing"},
		{"more keystores than passwords", with(request(k.file), "passwords", []string{}), "malformed_request", "1 keystores and 0 passwords"},
		{"more passwords than keystores", with(request(k.file), "passwords", []string{password, password}), "malformed_request", "1 keystores and 2 passwords"},
		{"a keystore that is an object and no string", with(request(k.file), "keystores", []any{map[string]any{}}), "malformed_request", "keystores[0]: want a string, got an object"},
		{"a password that is null", with(request(k.file), "passwords", []any{nil}), "malformed_request", "passwords[0]: must not be null"},
		{"keystores given twice", `{"keystores":[],"keystores":[],"passwords":[]}`, "malformed_request", "duplicate member"},
		{"slashing data that is an object and no string", with(request(k.file), "slashing_protection", map[string]any{}), "malformed_request", "slashing_protection: want a string, got an object"},
		{"slashing data that is no JSON", with(request(k.file), "slashing_protection", "{"), "malformed_request", "slashing_protection: nothing was imported"},
		{"slashing data of no key, but malformed", with(request(k.file), "slashing_protection", `{"metadata":{}}`), "malformed_request", "slashing_protection: nothing was imported"},
		{"slashing data that is cut off", with(request(k.file), "slashing_protection", interchange(t, 1, 1, 2, k.pub.String())[:300]), "malformed_request", "slashing_protection: nothing was imported"},
		{"slashing data of another chain", with(request(k.file), "slashing_protection", foreign), "foreign_chain", "slashing_protection: nothing was imported"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSigner(t)
			s.wantError(t, "POST", tt.body, http.StatusBadRequest, tt.reason, tt.message)
			if s.serves(k.pub) || len(s.vault.List()) > 0 {
				t.Error("the key was imported")
			}
			if _, err := s.guard.State(t.Context(), k.pub); err == nil {
				t.Error("there is a record")
			}
		})
	}
	t.Run("a body that is too large", func(t *testing.T) {
		s := newSigner(t)
		w := httptest.NewRecorder()
		s.http.ServeHTTP(w, httptest.NewRequest(http.MethodPost, route, io.LimitReader(spaces{}, MaxBody+1)))
		if w.Code != http.StatusRequestEntityTooLarge {
			t.Errorf("status %d, want 413", w.Code)
		}
	})
	t.Run("no keystores at all is well-formed", func(t *testing.T) {
		newSigner(t).imports(t, request())
	})
	t.Run("slashing data that is null is none", func(t *testing.T) {
		newSigner(t).imports(t, with(request(k.file), "slashing_protection", nil), "imported")
	})
}

type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestWhereAnImportedKeyStarts(t *testing.T) {
	named, unnamed, stranger := newKey(t, 1), newKey(t, 2), newKey(t, 3)
	history := interchange(t, 7, 5, 6, strings.ToUpper(named.pub.String()[2:]), stranger.pub.String())

	s := newSigner(t)
	s.imports(t, with(request(named.file, unnamed.file), "slashing_protection", history), "imported", "imported")
	if got, want := s.watermarks(t, named.pub), floors(7, 5, 6); got != want {
		t.Errorf("a key with a history starts at %+v, want %+v", got, want)
	}
	if got := s.watermarks(t, unnamed.pub); got != clockFloors() {
		t.Errorf("a key that the history does not name starts at %+v, want the clock, %+v", got, clockFloors())
	}
	if _, err := s.guard.State(t.Context(), stranger.pub); err == nil {
		t.Error("a key that is in the history and not in the request has a record")
	}

	// The history of a key that is in service already raises its floors.
	later := interchange(t, 70, 50, 60, named.pub.String())
	s.imports(t, with(request(named.file), "slashing_protection", later), "duplicate")
	if got, want := s.watermarks(t, named.pub), floors(70, 50, 60); got != want {
		t.Errorf("after a second history: %+v, want %+v", got, want)
	}
}

// TestHistoryIsDurableBeforeAnyKeySigns looks at the keyring whenever a record is
// written.
func TestHistoryIsDurableBeforeAnyKeySigns(t *testing.T) {
	s := newSigner(t)
	a, b := newKey(t, 1), newKey(t, 2)
	var histories atomic.Int32
	s.store.wrote = func(record.Key) {
		if s.watermarksOrZero(t, a.pub) == floors(7, 5, 6) && s.watermarksOrZero(t, b.pub) == floors(7, 5, 6) {
			histories.Add(1)
		} else if s.keyring.Len() > 0 {
			t.Error("a key signs before the history of all is durable")
		}
	}
	history := interchange(t, 7, 5, 6, a.pub.String(), b.pub.String())
	s.imports(t, with(request(a.file, b.file), "slashing_protection", history), "imported", "imported")
	if histories.Load() == 0 {
		t.Error("no write was seen with all of the history in place: the test missed what it aims at")
	}
}

func (s *testSigner) watermarksOrZero(t testing.TB, pub bls.PublicKey) slashing.Floors {
	state, err := s.guard.State(t.Context(), pub)
	if err != nil {
		return slashing.Floors{}
	}
	return state.Watermarks()
}

func TestAKeyWhoseHistoryFailedIsNotActivated(t *testing.T) {
	s := newSigner(t)
	good, bad, held := newKey(t, 1), newKey(t, 2), newKey(t, 3)
	s.imports(t, request(held.file), "imported")
	s.store.set(func() { s.store.broken[bad.pub], s.store.broken[held.pub] = true, true })

	history := interchange(t, 7, 5, 6, good.pub.String(), bad.pub.String(), held.pub.String())
	body := with(request(bad.file, good.file, held.file), "slashing_protection", history)
	got := s.imports(t, body, "error", "imported", "error")
	for _, i := range []int{0, 2} {
		if want := "slashing protection data could not be made durable"; !strings.Contains(got[i].Message, want) {
			t.Errorf("message %d: %q, want %q in it", i, got[i].Message, want)
		}
	}
	if s.serves(bad.pub) || !s.serves(good.pub) {
		t.Errorf("in service: bad %v, good %v", s.serves(bad.pub), s.serves(good.pub))
	}

	// Once the store works again the same request succeeds.
	s.store.set(func() { clear(s.store.broken) })
	s.imports(t, body, "imported", "duplicate", "duplicate")
	if got, want := s.watermarks(t, bad.pub), floors(7, 5, 6); got != want {
		t.Errorf("starts at %+v, want %+v", got, want)
	}
}

func TestAKeyThatCannotBeTakenInIsAnError(t *testing.T) {
	s := newSigner(t)
	k := newKey(t, 1)
	s.store.set(func() { s.store.down = true })
	got := s.imports(t, request(k.file), "error")
	if !strings.Contains(got[0].Message, errStore.Error()) {
		t.Errorf("message %q", got[0].Message)
	}
	if s.serves(k.pub) || len(s.vault.List()) != 0 {
		t.Error("the key was taken in without a record")
	}
}

// TestAnImportOutlivesTheServersTimeOuts: opening keystores takes longer than a
// server waits for slow clients.
func TestAnImportOutlivesTheServersTimeOuts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSigner(t)
		giveBack, err := s.budget.take(t.Context(), DefaultMemory)
		if err != nil {
			t.Fatal(err)
		}
		client, accepted := net.Pipe()
		server := &http.Server{Handler: s.http, ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute}
		listener := &pipeListener{conns: make(chan net.Conn, 1), closed: make(chan struct{})}
		listener.conns <- accepted
		served := make(chan error)
		go func() { served <- server.Serve(listener) }()

		k := newKey(t, 1)
		r := httptest.NewRequest(http.MethodPost, route, strings.NewReader(mustJSON(t, request(k.file))))
		if err := r.Write(client); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		giveBack()
		answer, err := http.ReadResponse(bufio.NewReader(client), r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		if err != nil || !strings.Contains(string(text), "imported") || !s.serves(k.pub) {
			t.Errorf("answer %s, %v; in service %v", text, err, s.serves(k.pub))
		}
		client.Close()
		server.Close()
		<-served
	})
}

// A pipeListener accepts connections that need no network.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { close(l.closed); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// TestManyRequestsAtOnceDoNotFillTheMemory: each may be 64 MiB, and where no
// token is asked for anybody sends them.
func TestManyRequestsAtOnceDoNotFillTheMemory(t *testing.T) {
	s := newSigner(t)
	giveBack, err := s.budget.take(t.Context(), DefaultMemory)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for n := range byte(maxBodies) {
		all.Go(func() { s.imports(t, request(newKey(t, n).file), "imported") })
	}
	for len(s.bodies) < maxBodies {
		time.Sleep(time.Millisecond)
	}
	s.wantError(t, "POST", request(), http.StatusServiceUnavailable, "overloaded", "one after another")
	s.wantError(t, "DELETE", `{"pubkeys":[]}`, http.StatusServiceUnavailable, "overloaded", "one after another")
	giveBack()
	all.Wait()
	s.imports(t, request())
}

// TestAClientThatHangsUpWhileKeystoresAreOpenedChangesNothing.
func TestAClientThatHangsUpWhileKeystoresAreOpenedChangesNothing(t *testing.T) {
	s := newSigner(t)
	giveBack, err := s.budget.take(t.Context(), DefaultMemory)
	if err != nil {
		t.Fatal(err)
	}
	k := newKey(t, 1)
	ctx, hangUp := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		body := with(request(k.file), "slashing_protection", interchange(t, 7, 5, 6, k.pub.String()))
		s.http.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, "POST", route, strings.NewReader(mustJSON(t, body))))
	}()
	hangUp()
	<-done
	giveBack()
	if s.serves(k.pub) || len(s.vault.List()) > 0 {
		t.Error("the key was imported")
	}
	if _, err := s.guard.State(t.Context(), k.pub); err == nil {
		t.Error("its history was imported")
	}
}
