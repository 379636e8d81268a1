package management

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/custody"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/record"
	"github.com/secure-signer/secure-signer/record/memory"
	"github.com/secure-signer/secure-signer/slashing"
	"github.com/secure-signer/secure-signer/vault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A testSigner is the real parts behind the routes, with a store that can run full.
type testSigner struct {
	http.Handler
	custody *custody.Custodian
	guard   *slashing.Guard
	store   *store
	down    error // what StoreErr returns
	horizon *Horizon
}

// A store is a record.Store that fails once it has room for no more records, or
// cannot be read.
type store struct {
	record.Store
	room       atomic.Int64
	unreadable atomic.Bool
	damaged    bls.PublicKey // whose record cannot be listed
}

var errFull = errors.New("no space left on device")

func (s *store) Load(ctx context.Context, key record.Key) (record.Record, error) {
	if s.unreadable.Load() {
		return record.Record{}, errFull
	}
	return s.Store.Load(ctx, key)
}

func (s *store) List(ctx context.Context) iter.Seq2[record.Entry, error] {
	if s.unreadable.Load() {
		return func(yield func(record.Entry, error) bool) { yield(record.Entry{}, errFull) }
	}
	return func(yield func(record.Entry, error) bool) {
		for e, err := range s.Store.List(ctx) {
			if strings.HasSuffix(string(e.Key), string(s.damaged[:])) {
				e.Value = []byte("rubbish")
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func (s *store) Create(ctx context.Context, key record.Key, value []byte) error {
	if s.room.Add(-1) < 0 {
		return errFull
	}
	return s.Store.Create(ctx, key, value)
}

func newSigner(t testing.TB) *testSigner {
	t.Helper()
	return newSignerThat(t, slashing.Config{Unbounded: true})
}

// newSignerThat returns a signer for hoodi with a guard of that configuration.
func newSignerThat(t testing.TB, config slashing.Config) *testSigner {
	t.Helper()
	path := filepath.Join(t.TempDir(), "vault")
	sealer, err := vault.PassphraseWork([]byte("a passphrase"), vault.MinWork)
	if err != nil {
		t.Fatal(err)
	}
	if err := vault.Create(path, sealer); err != nil {
		t.Fatal(err)
	}
	v, err := vault.Open(path, sealer)
	if err != nil {
		t.Fatal(err)
	}
	keyring, err := bls.OpenKeyring(bls.Config{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(keyring.Close(), v.Close()); err != nil {
			t.Error(err)
		}
	})
	network, ok := eth2.Builtin("hoodi")
	if !ok {
		t.Fatal("no network hoodi")
	}
	if config.Network == nil {
		config.Network = network
	}
	s := &testSigner{store: &store{Store: memory.New()}}
	s.store.room.Store(1 << 20)
	s.guard = slashing.New(s.store, config)
	s.custody = &custody.Custodian{Vault: v, Keyring: keyring, Guard: s.guard}
	s.Handler = New(Config{
		Custody:  s.custody,
		Guard:    s.guard,
		Network:  network,
		Release:  "v1.2.3",
		Started:  time.Now().Add(-90 * time.Second),
		Log:      slog.New(slog.DiscardHandler),
		StoreErr: func() error { return s.down },
		Size: func() Size {
			free := uint64(1e9)
			return Size{Records: 2, FileBytes: 4096, DiskFreeBytes: &free}
		},
		Hardening: Hardening{Took: []string{"programs"}, Missing: []string{"files: no such system call"}},
		Head:      func() (uint64, [32]byte) { return 1 << 63, [32]byte{0xab} },
		Horizon:   func() *Horizon { return s.horizon },
		Platform:  Platform{Kind: "dev", Measurement: "measurement ab", Lacks: []string{"everything"}},
	})
	return s
}

func (s *testSigner) load(t testing.TB) {
	t.Helper()
	if _, err := s.custody.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// ask sends a request and decodes the answer into out.
func (s *testSigner) ask(t *testing.T, method, path, body string, out any) int {
	t.Helper()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body)))
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("content type %q", got)
	}
	if err := json.Unmarshal(w.Body.Bytes(), out); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	return w.Code
}

type errorBody struct {
	Code    int      `json:"code"`
	Message string   `json:"message"`
	Error   string   `json:"error"`
	Reason  string   `json:"reason"`
	Pubkeys []string `json:"pubkeys"`
}

// wantError asks and compares the error body.
func (s *testSigner) wantError(t *testing.T, method, path, body string, status int, reason, message string) errorBody {
	t.Helper()
	var got errorBody
	if code := s.ask(t, method, path, body, &got); code != status || got.Code != status || got.Reason != reason {
		t.Errorf("%s %s %s: %d, %+v; want %d %s", method, path, body, code, got, status, reason)
	}
	if !strings.Contains(got.Message, message) || got.Message != got.Error {
		t.Errorf("%s %s %s: message %q, error %q; want %q in both", method, path, body, got.Message, got.Error, message)
	}
	return got
}

func TestStatus(t *testing.T) {
	type object = map[string]any
	s := newSigner(t)
	status := func() object {
		var got object
		if code := s.ask(t, "GET", "/signer/v1/status", "", &got); code != http.StatusOK {
			t.Errorf("status %d", code)
		}
		return got
	}

	loading := status()
	if want := (object{"held": 0.0, "in_service": 0.0, "withheld": 0.0, "loading": true}); !cmp.Equal(want, loading["keys"]) || loading["ready"] != false {
		t.Errorf("while loading: ready %v, keys %v; want false and %v", loading["ready"], loading["keys"], want)
	}

	s.load(t)
	if _, err := s.custody.Generate(t.Context()); err != nil {
		t.Fatal(err)
	}
	withhold(t, s)
	got := status()
	network := got["network"].(object)
	var slot, epoch eth2.Slot
	if slot.UnmarshalJSON([]byte(network["slot"].(string))) != nil || epoch.UnmarshalJSON([]byte(network["epoch"].(string))) != nil || slot/32 != epoch || slot == 0 {
		t.Errorf("clock: slot %v, epoch %v", network["slot"], network["epoch"])
	}
	delete(network, "slot")
	delete(network, "epoch")
	if uptime := got["uptime_seconds"].(float64); uptime < 90 || uptime > 150 {
		t.Errorf("uptime %v, want some 90 seconds", uptime)
	}
	delete(got, "uptime_seconds")
	want := object{
		"version": "v1.2.3",
		"ready":   true,
		"network": object{
			"name":                    "hoodi",
			"genesis_validators_root": "0x212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f",
			"genesis_time":            "1742213400",
			"seconds_per_slot":        12.0,
			"slots_per_epoch":         32.0,
		},
		"keys": object{"held": 2.0, "in_service": 1.0, "withheld": 1.0, "loading": false},
		"store": object{"up": true, "head": object{
			"sequence": "9223372036854775808",
			"hash":     "0xab" + strings.Repeat("00", 31),
		}, "size": object{"records": 2.0, "file_bytes": 4096.0, "disk_free_bytes": 1e9}},
		"platform":  object{"kind": "dev", "measurement": "measurement ab", "lacks": []any{"everything"}},
		"hardening": object{"took": []any{"programs"}, "missing": []any{"files: no such system call"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}

	first, last, floor := eth2.Epoch(10), eth2.Epoch(1<<63), eth2.Epoch(0)
	s.horizon = &Horizon{Kind: "tpm", Keeper: "TPM 00", Owned: true, First: &first, Last: &last, SourceFloor: &floor, Error: "no answer"}
	wantHorizon := object{
		"kind": "tpm", "keeper": "TPM 00", "owned": true, "first_epoch": "10", "last_epoch": "9223372036854775808",
		"source_floor": "0", "error": "no answer",
	}
	if diff := cmp.Diff(wantHorizon, status()["horizon"]); diff != "" {
		t.Errorf("horizon (-want +got):\n%s", diff)
	}

	s.down = errFull
	got = status()
	if store := got["store"].(object); got["ready"] != false || store["up"] != false || store["error"] != errFull.Error() {
		t.Errorf("with a failed store: ready %v, store %v", got["ready"], store)
	}
}

// withhold puts a key in the vault of which nothing is known.
func withhold(t *testing.T, s *testSigner) bls.PublicKey {
	t.Helper()
	sk, err := bls.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	pub := sk.PublicKey()
	if err := s.custody.Vault.Add(t.Context(), sk, pub); err != nil {
		t.Fatal(err)
	}
	return pub
}

func TestKeysAreListedWithTheirWatermarks(t *testing.T) {
	s := newSigner(t)
	s.wantError(t, "GET", "/signer/v1/keys", "", http.StatusServiceUnavailable, "loading", "still loading")
	s.load(t)
	var empty map[string]any
	if s.ask(t, "GET", "/signer/v1/keys", "", &empty); !cmp.Equal(empty, map[string]any{"keys": []any{}}) {
		t.Errorf("without keys: %v", empty)
	}

	fresh, err := s.custody.Generate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	used, err := s.custody.Generate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	vote := &eth2.Attestation{Data: eth2.AttestationData{Source: eth2.Checkpoint{Epoch: 6}, Target: eth2.Checkpoint{Epoch: 1 << 63}}}
	if err := s.guard.Record(t.Context(), used, vote, eth2.Root{1}); err != nil {
		t.Fatal(err)
	}
	withheld := withhold(t, s)

	var got struct {
		Keys []map[string]any `json:"keys"`
	}
	if code := s.ask(t, "GET", "/signer/v1/keys", "", &got); code != http.StatusOK {
		t.Fatalf("status %d", code)
	}
	if !slices.IsSortedFunc(got.Keys, func(a, b map[string]any) int { return strings.Compare(a["pubkey"].(string), b["pubkey"].(string)) }) {
		t.Error("the list is not sorted")
	}
	want := map[string]map[string]any{
		fresh.String(): {"in_service": true, "record": map[string]any{"disabled": false, "floors": map[string]any{}}},
		used.String(): {"in_service": true, "record": map[string]any{
			"disabled": false, "floors": map[string]any{},
			"last_attestation": map[string]any{"source_epoch": "6", "target_epoch": "9223372036854775808", "signing_root": "0x01" + strings.Repeat("00", 31)},
		}},
		withheld.String(): {"in_service": false, "problem": "nothing is known of what it has signed on this network: import it again with its slashing protection data, or if it was generated here: secure-signer restore --data-dir D: " +
			"no slashing record of " + withheld.String()},
	}
	for _, key := range got.Keys {
		pub := key["pubkey"].(string)
		delete(key, "pubkey")
		if diff := cmp.Diff(want[pub], key); diff != "" {
			t.Errorf("%s (-want +got):\n%s", pub, diff)
		}
	}
	if len(got.Keys) != len(want) {
		t.Errorf("%d keys, want %d", len(got.Keys), len(want))
	}

	// A key in service whose record cannot be read is not one that may sign anything.
	s.store.unreadable.Store(true)
	s.wantError(t, "GET", "/signer/v1/keys", "", http.StatusServiceUnavailable, "store_unavailable", errFull.Error())
}

func TestKeysAreDrawnInsideTheSigner(t *testing.T) {
	s := newSigner(t)
	s.wantError(t, "POST", "/signer/v1/keys", `{"count":1}`, http.StatusServiceUnavailable, "loading", "still loading")
	s.load(t)
	var got struct {
		Pubkeys []bls.PublicKey `json:"pubkeys"`
	}
	if code := s.ask(t, "POST", "/signer/v1/keys", `{"count":3}`, &got); code != http.StatusOK {
		t.Fatalf("status %d", code)
	}
	slices.SortFunc(got.Pubkeys, func(a, b bls.PublicKey) int { return slices.Compare(a[:], b[:]) })
	if len(got.Pubkeys) != 3 || !slices.Equal(got.Pubkeys, s.custody.List()) {
		t.Errorf("generated %v, in service %v", got.Pubkeys, s.custody.List())
	}
}

func TestARequestForKeysIsBounded(t *testing.T) {
	s := newSigner(t)
	s.load(t)
	for _, tt := range []struct{ name, body, message string }{
		{"none", `{"count":0}`, "count: want 1 to 100, got 0"},
		{"less than none", `{"count":-1}`, "count: want 1 to 100, got -1"},
		{"too many", `{"count":101}`, "count: want 1 to 100, got 101"},
		{"more than there are", `{"count":99999999999999999999}`, "count: want a whole number"},
		{"half a key", `{"count":1.5}`, "count: want a whole number"},
		{"a word", `{"count":"one"}`, "count: want a number, got a string"},
		{"no count", `{}`, "count: missing"},
		{"two counts", `{"count":1,"count":2}`, "duplicate member"},
		{"more behind it", `{"count":1}{}`, "trailing data"},
		{"nothing", ``, "empty"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.wantError(t, "POST", "/signer/v1/keys", tt.body, http.StatusBadRequest, "malformed_request", tt.message)
		})
	}
	s.wantError(t, "POST", "/signer/v1/keys", `{"count":1,"pad":"`+strings.Repeat("x", 1<<20)+`"}`,
		http.StatusRequestEntityTooLarge, "body_too_large", "more than")
	if keys := s.custody.List(); len(keys) != 0 {
		t.Errorf("%d keys were generated", len(keys))
	}
}

// TestKeysMadeBeforeAFailureAreNamed: they are in service, and only this answer
// tells.
func TestKeysMadeBeforeAFailureAreNamed(t *testing.T) {
	s := newSigner(t)
	s.load(t)
	s.store.room.Store(2)
	got := s.wantError(t, "POST", "/signer/v1/keys", `{"count":5}`, http.StatusServiceUnavailable, "store_unavailable", "a key could not be generated: make the record of the key")
	var want []string
	for _, pub := range s.custody.List() {
		want = append(want, pub.String())
	}
	slices.Sort(got.Pubkeys)
	if len(want) != 2 || !slices.Equal(got.Pubkeys, want) {
		t.Errorf("named %v, in service %v", got.Pubkeys, want)
	}
}

func TestOtherRoutesAndMethods(t *testing.T) {
	s := newSigner(t)
	s.load(t)
	s.wantError(t, "GET", "/signer/v1/nothing", "", http.StatusNotFound, "no_such_route", "no such route")
	s.wantError(t, "DELETE", "/signer/v1/keys", "", http.StatusMethodNotAllowed, "method_not_allowed", "GET, HEAD, POST")
	s.wantError(t, "POST", "/signer/v1/status", "{}", http.StatusMethodNotAllowed, "method_not_allowed", "GET")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodDelete, "/signer/v1/keys", nil))
	if got := w.Header().Get("Allow"); got != "GET, HEAD, POST" {
		t.Errorf("Allow: %q", got)
	}
}

// FuzzGenerate: whatever is sent, as many keys come into service as are named,
// and none unless the answer is 200.
func FuzzGenerate(f *testing.F) {
	for _, seed := range []string{`{"count":1}`, `{"count":2,"x":[{}]}`, `{"count":1,"count":2}`, `{"count":101}`, `{"count":-1}`, `{"count":1e2}`, `{"count":null}`, `[`, ``} {
		f.Add(seed)
	}
	s := newSigner(f)
	s.load(f)
	f.Fuzz(func(t *testing.T, body string) {
		before := len(s.custody.List())
		s.store.room.Store(3)
		var got errorBody
		code := s.ask(t, "POST", "/signer/v1/keys", body, &got)
		if code != http.StatusOK && code != http.StatusBadRequest && code != http.StatusRequestEntityTooLarge && code != http.StatusServiceUnavailable {
			t.Errorf("status %d", code)
		}
		if in := len(s.custody.List()) - before; in != len(got.Pubkeys) {
			t.Errorf("status %d names %d keys, %d have come into service", code, len(got.Pubkeys), in)
		}
	})
}
