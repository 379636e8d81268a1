package witness_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/secure-signer/secure-signer/record"
	"github.com/secure-signer/secure-signer/record/memory"
	"github.com/secure-signer/secure-signer/rollback"
	"github.com/secure-signer/secure-signer/rollback/rollbacktest"
	"github.com/secure-signer/secure-signer/rollback/witness"
)

// A service is one witness that listens.
type service struct {
	witness.Witness
	server *witness.Server
	down   atomic.Bool
}

func start(t *testing.T, seed byte) *service {
	s := &service{server: &witness.Server{Key: newKey(seed), Store: memory.New(), Log: slog.New(slog.DiscardHandler)}}
	handler := s.server.Handler()
	listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.down.Load() {
			panic(http.ErrAbortHandler)
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(listener.Close)
	s.Witness = witness.Witness{URL: listener.URL, Key: s.server.Key.Public().(ed25519.PublicKey)}
	return s
}

func (s *service) enrol(t *testing.T, signer ed25519.PrivateKey) {
	t.Helper()
	if err := witness.Enrol(t.Context(), s.server.Store, signer.Public().(ed25519.PublicKey)); err != nil {
		t.Fatal(err)
	}
}

// a group is so many witnesses that know one signer.
type group struct {
	signer   ed25519.PrivateKey
	services []*service
}

func startGroup(t *testing.T, n int) *group {
	g := &group{signer: newKey(100)}
	for i := range n {
		s := start(t, byte(i))
		s.enrol(t, g.signer)
		g.services = append(g.services, s)
	}
	return g
}

func (g *group) config() witness.Config {
	c := witness.Config{Signer: g.signer}
	for _, s := range g.services {
		c.Witnesses = append(c.Witnesses, s.Witness)
	}
	return c
}

func (g *group) client(t *testing.T) *witness.Client {
	t.Helper()
	c, err := witness.New(g.config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestTheCountersKeepTheContract(t *testing.T) {
	for _, n := range []int{1, 3, 4} {
		for name, counter := range map[string]func(*witness.Client) rollback.Counter{
			"epochs": (*witness.Client).Epochs, "stops": (*witness.Client).Stops,
		} {
			t.Run(name, func(t *testing.T) {
				rollbacktest.Test(t, func(t *testing.T) func() rollback.Counter {
					g := startGroup(t, n)
					return func() rollback.Counter { return counter(g.client(t)) }
				})
			})
		}
	}
}

func read(t *testing.T, c rollback.Counter, want uint64) {
	t.Helper()
	if got, err := c.Read(t.Context()); err != nil || got != want {
		t.Errorf("read %d, %v; want %d", got, err, want)
	}
}

func advance(t *testing.T, c rollback.Counter, n uint64) {
	t.Helper()
	if err := c.Advance(t.Context(), n); err != nil {
		t.Error(err)
	}
}

// TestAMinorityMayBeDown, and who comes back has what it missed as soon as it is
// needed.
func TestAMinorityMayBeDown(t *testing.T) {
	g := startGroup(t, 3)
	c := g.client(t)
	advance(t, c.Epochs(), 1)
	c.Close() // the answer of the slowest may be under way, and would pass for a later one
	g.services[0].down.Store(true)
	advance(t, c.Epochs(), 2)
	read(t, c.Epochs(), 2)
	c.Close()
	if silent := c.Silent(); len(silent) != 1 || !strings.Contains(silent[0].Error(), g.services[0].URL) {
		t.Errorf("silent are %v, want %s", silent, g.services[0].URL)
	}

	g.services[1].down.Store(true)
	if _, err := c.Epochs().Read(t.Context()); !errors.Is(err, witness.ErrTooFew) {
		t.Errorf("a read of one witness of three: %v", err)
	}
	if err := c.Epochs().Advance(t.Context(), 3); !errors.Is(err, witness.ErrTooFew) {
		t.Errorf("an advance at one witness of three: %v", err)
	}

	g.services[0].down.Store(false)
	read(t, c.Epochs(), 2)
	advance(t, c.Epochs(), 3)
	c.Close()
	if silent := c.Silent(); len(silent) != 1 || !strings.Contains(silent[0].Error(), g.services[1].URL) {
		t.Errorf("silent are %v, want %s", silent, g.services[1].URL)
	}
}

func TestACounterThatAnotherCopyHasMovedSaysSo(t *testing.T) {
	g := startGroup(t, 3)
	advance(t, g.client(t).Epochs(), 1)
	if err := g.client(t).Epochs().Advance(t.Context(), 1); !errors.Is(err, witness.ErrMoved) {
		t.Errorf("the second advance to 1: %v", err)
	}
}

func TestProvisionNeedsEveryWitnessAndMayBeRepeated(t *testing.T) {
	g := startGroup(t, 2)
	late := start(t, 2)
	g.services = append(g.services, late)
	c := g.client(t)
	err := c.Provision(t.Context(), 1000)
	if !errors.Is(err, witness.ErrTooFew) || !strings.Contains(err.Error(), "witness enrol") || !strings.Contains(err.Error(), late.URL) {
		t.Errorf("one of three does not know the signer: %v", err)
	}
	late.enrol(t, g.signer)
	for _, base := range []uint64{1000, 1000, 900} {
		if err := c.Provision(t.Context(), base); err != nil {
			t.Error(err)
		}
		read(t, c.Epochs(), 1000)
	}
	read(t, c.Stops(), 0)
	advance(t, c.Epochs(), 1001)
	advance(t, c.Stops(), 1)
}

func TestARaiseGivesNothingToAnybody(t *testing.T) {
	g := startGroup(t, 3)
	c := g.client(t)
	for _, test := range []struct{ to, at uint64 }{{0, 0}, {7, 7}, {7, 7}, {3, 7}} {
		if err := c.Raise(t.Context(), test.to); err != nil {
			t.Fatal(err)
		}
		read(t, c.Epochs(), test.at)
	}
	if err := c.Epochs().Advance(t.Context(), 7); !errors.Is(err, witness.ErrMoved) {
		t.Errorf("an advance to where it was raised: %v", err)
	}
	advance(t, c.Epochs(), 8)
}

// TestNobodyButTheSignerRaisesACounter: a witness that names a number which the
// signer has not signed is not believed, although its answer is its own.
func TestNobodyButTheSignerRaisesACounter(t *testing.T) {
	g := startGroup(t, 3)
	advance(t, g.client(t).Epochs(), 1)

	// The second has records of the same counters, signed by somebody else.
	stranger := &group{signer: newKey(101)}
	rogue := g.services[1]
	rogue.enrol(t, stranger.signer)
	stranger.services = []*service{rogue}
	if err := stranger.client(t).Raise(t.Context(), 1<<40); err != nil {
		t.Fatal(err)
	}
	swap(t, rogue.server.Store, stranger.signer, g.signer)
	c := g.client(t)
	read(t, c.Epochs(), 1)
	advance(t, c.Epochs(), 2)
	c.Close()
	if silent := c.Silent(); len(silent) != 1 || !strings.Contains(silent[0].Error(), "not signed") {
		t.Errorf("of the rogue it says %v", silent)
	}
}

// swap gives the record of the epochs of one signer to another.
func swap(t *testing.T, store record.Store, from, to ed25519.PrivateKey) {
	t.Helper()
	key := func(k ed25519.PrivateKey) record.Key {
		return record.Key("epochs/" + strings.TrimPrefix(witness.Witness{Key: k.Public().(ed25519.PublicKey)}.String(), "#"))
	}
	theirs, err := store.Load(t.Context(), key(from))
	if err != nil {
		t.Fatal(err)
	}
	own, err := store.Load(t.Context(), key(to))
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Replace(t.Context(), key(to), own.Version, theirs.Value); err != nil {
		t.Fatal(err)
	}
}

func TestASignerIsEnrolledOnceAndNothingIsForgottenByIt(t *testing.T) {
	g := startGroup(t, 1)
	c := g.client(t)
	advance(t, c.Epochs(), 1)
	s := g.services[0]
	if err := witness.Enrol(t.Context(), s.server.Store, g.signer.Public().(ed25519.PublicKey)); !errors.Is(err, record.ErrExists) {
		t.Errorf("the second time: %v", err)
	}
	read(t, c.Epochs(), 1)
}

// TestAnEnrolmentThatWasCutOffIsFinished by the next.
func TestAnEnrolmentThatWasCutOffIsFinished(t *testing.T) {
	cut := &cutStore{Store: memory.New()}
	signer := newKey(100).Public().(ed25519.PublicKey)
	if err := witness.Enrol(t.Context(), cut, signer); err == nil {
		t.Fatal("it was cut off, and has not noticed")
	}
	cut.created = -1
	if err := witness.Enrol(t.Context(), cut, signer); err != nil {
		t.Error(err)
	}
}

// A cutStore creates one record and no more.
type cutStore struct {
	record.Store
	created int
}

func (s *cutStore) Create(ctx context.Context, key record.Key, value []byte) error {
	if s.created++; s.created > 1 {
		return errDisk
	}
	return s.Store.Create(ctx, key, value)
}

func TestASignerChoosesItsWitnessesWell(t *testing.T) {
	signer := newKey(100)
	w := func(url string, key byte) witness.Witness {
		return witness.Witness{URL: url, Key: newKey(key).Public().(ed25519.PublicKey)}
	}
	a, b, c := w("http://a", 1), w("http://b", 2), w("http://c", 3)
	many := make([]witness.Witness, witness.MaxWitnesses+2)
	for i := range many {
		many[i] = w("http://"+strings.Repeat("x", i+1), byte(i))
	}
	for name, test := range map[string]struct {
		config witness.Config
		says   string // empty: it is good
	}{
		"three":                       {witness.Config{Signer: signer, Witnesses: []witness.Witness{a, b, c}}, ""},
		"none":                        {witness.Config{Signer: signer}, "no witness"},
		"too many":                    {witness.Config{Signer: signer, Witnesses: many}, "no more than"},
		"one under two addresses":     {witness.Config{Signer: signer, Witnesses: []witness.Witness{a, b, w("http://c", 1)}}, "twice"},
		"one under two keys":          {witness.Config{Signer: signer, Witnesses: []witness.Witness{a, b, w("http://a", 3)}}, "twice"},
		"one without a key":           {witness.Config{Signer: signer, Witnesses: []witness.Witness{{URL: "http://a"}}}, "no public key"},
		"one that is not on the web":  {witness.Config{Signer: signer, Witnesses: []witness.Witness{w("ftp://a", 1)}}, "want an address"},
		"no key of the signer's":      {witness.Config{Witnesses: []witness.Witness{a}}, "key of this signer"},
		"half a key of the signer's":  {witness.Config{Signer: signer[:32], Witnesses: []witness.Witness{a}}, "key of this signer"},
		"one with a password":         {witness.Config{Signer: signer, Witnesses: []witness.Witness{w("http://u:p@a", 1)}}, "want an address"},
		"one with a query":            {witness.Config{Signer: signer, Witnesses: []witness.Witness{w("http://a/?q", 1)}}, "want an address"},
		"one below a path of another": {witness.Config{Signer: signer, Witnesses: []witness.Witness{a, b, w("http://a/x", 3)}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := witness.New(test.config)
			if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
				t.Errorf("got %v, want %q", err, test.says)
			}
		})
	}
}

func TestAWitnessIsALine(t *testing.T) {
	const key = "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c"
	for line, want := range map[string]string{
		"https://w.example:9200#" + key:            "https://w.example:9200#" + key,
		" https://w.example:9200/#0x" + key + "\n": "https://w.example:9200#" + key,
		"http://[::1]:9200/a/b#" + key:             "http://[::1]:9200/a/b#" + key,
	} {
		w, err := witness.Parse(line)
		if err != nil || w.String() != want {
			t.Errorf("%q: got %s, %v", line, w, err)
		}
		text, err := w.MarshalText()
		var again witness.Witness
		if err != nil || again.UnmarshalText(text) != nil || again.String() != want {
			t.Errorf("%q does not survive as text: %q, %v", line, text, err)
		}
	}
	for _, line := range []string{"", "#", "https://w.example", "https://w.example#", "w.example:9200#" + key, "https://w.example#" + key[2:], "https://w.example#" + key + key, "https://#" + key, "http://a b#" + key} {
		if w, err := witness.Parse(line); err == nil {
			t.Errorf("%q is taken for %s", line, w)
		}
	}
}

func TestAWitnessAnswersItsSignersOnly(t *testing.T) {
	s := start(t, 1)
	frame := func(edit func([]byte)) []byte {
		b := make([]byte, 154)
		b[0], b[1] = 1, 1
		if edit != nil {
			edit(b)
		}
		return b
	}
	for name, test := range map[string]struct {
		body   []byte
		status int
		says   string
	}{
		"a signer that it does not know": {frame(nil), http.StatusForbidden, "witness enrol"},
		"a request that is too short":    {frame(nil)[1:], http.StatusBadRequest, "bytes"},
		"a request that is too long":     {append(frame(nil), 0), http.StatusBadRequest, "read to its end"},
		"another version":                {frame(func(b []byte) { b[0] = 2 }), http.StatusBadRequest, "version 2"},
		"another counter":                {frame(func(b []byte) { b[1] = 3 }), http.StatusBadRequest, "no counter 3"},
		"a claim that nobody has signed": {frame(func(b []byte) { b[73] = 1 }), http.StatusBadRequest, "not signed"},
		"a tag without a claim":          {frame(func(b []byte) { b[74] = 1 }), http.StatusBadRequest, "not signed"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.Post(s.URL+"/witness/v1", "application/octet-stream", bytes.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			defer r.Body.Close()
			text, _ := io.ReadAll(r.Body)
			if r.StatusCode != test.status || !strings.Contains(string(text), test.says) {
				t.Errorf("got %d %s", r.StatusCode, text)
			}
		})
	}
}

// TestRequestsThatNeverEndKeepNobodyOut: whoever reaches a witness could stop every
// signer that it serves.
func TestRequestsThatNeverEndKeepNobodyOut(t *testing.T) {
	s := &witness.Server{Key: newKey(1), Store: memory.New(), Log: slog.New(slog.DiscardHandler)}
	handler := s.Handler()
	var all sync.WaitGroup
	defer all.Wait()
	for range 100 {
		body, client := io.Pipe()
		defer client.Close()
		all.Go(func() {
			defer body.Close()
			handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/witness/v1", body))
		})
		if _, err := client.Write([]byte{1}); err != nil { // returns once it is read
			t.Fatal(err)
		}
	}
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/witness/v1", strings.NewReader("whole")))
	if answer.Code != http.StatusBadRequest {
		t.Errorf("a whole request gets %d %s", answer.Code, answer.Body)
	}
}

// TestAPageThatIsNoWitnessIsNotBelieved, wherever a request ends up.
func TestAPageThatIsNoWitnessIsNotBelieved(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"a page":        func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(bytes.Repeat([]byte("<html>"), 1<<10)) },
		"an empty page": func(http.ResponseWriter, *http.Request) {},
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/witness/v1", http.StatusTemporaryRedirect)
		},
		"a number of zeroes": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 152)) },
	} {
		t.Run(name, func(t *testing.T) {
			page := httptest.NewServer(h)
			defer page.Close()
			c, err := witness.New(witness.Config{Signer: newKey(100), Witnesses: []witness.Witness{{URL: page.URL, Key: newKey(1).Public().(ed25519.PublicKey)}}})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if n, err := c.Epochs().Read(t.Context()); !errors.Is(err, witness.ErrTooFew) {
				t.Errorf("read %d, %v", n, err)
			}
		})
	}
}
