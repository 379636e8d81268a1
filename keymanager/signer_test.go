package keymanager

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/custody"
	"github.com/secure-signer/secure-signer/custody/custodytest"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/record"
	"github.com/secure-signer/secure-signer/record/memory"
	"github.com/secure-signer/secure-signer/slashing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A testSigner is the real parts behind the routes, over a store with faults and a
// vault in memory.
type testSigner struct {
	*handler
	http    http.Handler
	guard   *slashing.Guard
	store   *faultyStore
	vault   *custodytest.Vault
	keyring *bls.Keyring
}

// epochNow is where the clock of a testSigner stands.
const epochNow = 100

// newSigner returns a signer that has loaded its keys, of which it has none.
func newSigner(t testing.TB) *testSigner {
	t.Helper()
	s := unloadedSigner(t)
	if _, err := s.Custody.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func unloadedSigner(t testing.TB) *testSigner {
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
	s := &testSigner{
		keyring: keyring,
		vault:   &custodytest.Vault{},
		store:   &faultyStore{Store: memory.New(), broken: make(map[bls.PublicKey]bool)},
	}
	network := hoodi(t)
	now := time.Unix(int64(network.GenesisTime+epochNow*32*12), 0)
	s.guard = slashing.New(s.store, slashing.Config{Network: network, Now: func() time.Time { return now }})
	s.handler = newHandler(Config{
		Custody: &custody.Custodian{Vault: s.vault, Keyring: s.keyring, Guard: s.guard},
		Guard:   s.guard,
		Log:     slog.New(slog.DiscardHandler),
	})
	s.http = s.routes()
	return s
}

func hoodi(t testing.TB) *eth2.Network {
	n, ok := eth2.Builtin("hoodi")
	if !ok {
		t.Fatal("no network hoodi")
	}
	return n
}

// A faultyStore fails for the records of some keys, or altogether.
type faultyStore struct {
	record.Store

	mu     sync.Mutex // guards what follows
	broken map[bls.PublicKey]bool
	down   bool
	// How many more times List fails.
	unlisted int

	wrote func(key record.Key) // called after each change
}

var errStore = errors.New("disk on fire")

// fault returns the error of an operation on the record of key.
func (s *faultyStore) fault(key record.Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if pub := bls.PublicKey([]byte(key[len(key)-48:])); s.down || s.broken[pub] {
		return errStore
	}
	return nil
}

func (s *faultyStore) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *faultyStore) List(ctx context.Context) iter.Seq2[record.Entry, error] {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unlisted > 0 {
		s.unlisted--
		return func(yield func(record.Entry, error) bool) { yield(record.Entry{}, errStore) }
	}
	return s.Store.List(ctx)
}

func (s *faultyStore) Load(ctx context.Context, key record.Key) (record.Record, error) {
	if err := s.fault(key); err != nil {
		return record.Record{}, err
	}
	return s.Store.Load(ctx, key)
}

func (s *faultyStore) Create(ctx context.Context, key record.Key, value []byte) error {
	return s.change(key, func() error { return s.Store.Create(ctx, key, value) })
}

func (s *faultyStore) Replace(ctx context.Context, key record.Key, old record.Version, value []byte) error {
	return s.change(key, func() error { return s.Store.Replace(ctx, key, old, value) })
}

func (s *faultyStore) change(key record.Key, effect func() error) error {
	if err := s.fault(key); err != nil {
		return err
	}
	err := effect()
	if err == nil && s.wrote != nil {
		s.wrote(key)
	}
	return err
}

// send sends a request and decodes the answer into out.
func (s *testSigner) send(t testing.TB, method string, body, out any) int {
	t.Helper()
	text, ok := body.(string)
	if !ok {
		b, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		text = string(b)
	}
	w := httptest.NewRecorder()
	s.http.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, "/eth/v1/keystores", strings.NewReader(text)))
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("content type %q", got)
	}
	if err := json.Unmarshal(w.Body.Bytes(), out); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	return w.Code
}

// wantError sends a request and compares the error.
func (s *testSigner) wantError(t testing.TB, method string, body any, status int, reason, message string) {
	t.Helper()
	var got struct {
		Code    int
		Message string
		Reason  string
	}
	code := s.send(t, method, body, &got)
	if code != status || got.Code != status || got.Reason != reason || !strings.Contains(got.Message, message) {
		t.Errorf("%s: status %d, %+v; want %d, %s, %q", method, code, got, status, reason, message)
	}
}

type result struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

// imports sends a POST that is to succeed, and compares the statuses.
func (s *testSigner) imports(t testing.TB, body map[string]any, want ...string) []result {
	t.Helper()
	var got struct{ Data []result }
	if code := s.send(t, "POST", body, &got); code != http.StatusOK {
		t.Fatalf("status %d", code)
	}
	compare(t, got.Data, want)
	return got.Data
}

// deletes sends a DELETE that is to succeed, compares the statuses, and returns
// the interchange.
func (s *testSigner) deletes(t testing.TB, pubs []string, want ...string) ([]result, string) {
	t.Helper()
	var got struct {
		Data        []result
		Interchange string `json:"slashing_protection"`
	}
	if code := s.send(t, "DELETE", map[string]any{"pubkeys": pubs}, &got); code != http.StatusOK {
		t.Fatalf("status %d", code)
	}
	compare(t, got.Data, want)
	return got.Data, got.Interchange
}

func compare(t testing.TB, got []result, want []string) {
	t.Helper()
	statuses := make([]string, len(got))
	for i, r := range got {
		statuses[i] = r.Status
	}
	if fmt.Sprint(statuses) != fmt.Sprint(want) {
		t.Errorf("statuses %v, want %v; messages: %+v", statuses, want, got)
	}
}

func (s *testSigner) serves(pub bls.PublicKey) bool {
	_, ok := s.keyring.Key(pub)
	return ok
}

// watermarks returns what the record of pub says.
func (s *testSigner) watermarks(t testing.TB, pub bls.PublicKey) slashing.Floors {
	t.Helper()
	state, err := s.guard.State(t.Context(), pub)
	if err != nil {
		t.Fatal(err)
	}
	return state.Watermarks()
}

// A testKey is a key and the keystore that holds it.
type testKey struct {
	pub  bls.PublicKey
	file string
}

const password = "the password"

// newKey returns the n-th key. Its keystore asks for hardly any work.
func newKey(t testing.TB, n byte) testKey {
	t.Helper()
	return newKeyUnder(t, n, password, 1)
}

func newKeyUnder(t testing.TB, n byte, password string, rounds int) testKey {
	t.Helper()
	b := sha256.Sum256([]byte{n})
	b[0] &= 0x3f // below the order of the group
	sk, err := bls.ParseSecretKey(b[:])
	if err != nil {
		t.Fatal(err)
	}
	pub := sk.PublicKey()
	return testKey{pub, keystoreOf(t, b[:], pub.String()[2:], password, rounds)}
}

// keystoreOf writes a keystore by hand, with so many rounds of PBKDF2. Source:
// EIP-2335.
func keystoreOf(t testing.TB, secret []byte, pub, password string, rounds int) string {
	t.Helper()
	derived, err := pbkdf2.Key(sha256.New, password, []byte("salt"), rounds, 32)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(derived[:16])
	if err != nil {
		t.Fatal(err)
	}
	sealed := make([]byte, len(secret))
	cipher.NewCTR(block, make([]byte, 16)).XORKeyStream(sealed, secret)
	sum := sha256.Sum256(slices.Concat(derived[16:], sealed))
	type object = map[string]any
	return mustJSON(t, object{
		"crypto": object{
			"kdf":      object{"function": "pbkdf2", "params": object{"dklen": 32, "c": rounds, "prf": "hmac-sha256", "salt": hex.EncodeToString([]byte("salt"))}, "message": ""},
			"checksum": object{"function": "sha256", "params": object{}, "message": hex.EncodeToString(sum[:])},
			"cipher":   object{"function": "aes-128-ctr", "params": object{"iv": strings.Repeat("00", 16)}, "message": hex.EncodeToString(sealed)},
		},
		"pubkey": pub, "path": "m/12381/3600/0/0/0", "uuid": "00000000-0000-4000-8000-000000000000", "version": 4,
	})
}

func mustJSON(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// edit returns the keystore with one member changed, or left out.
func (k testKey) edit(t testing.TB, member string, value any) string {
	t.Helper()
	var file map[string]any
	if err := json.Unmarshal([]byte(k.file), &file); err != nil {
		t.Fatal(err)
	}
	if file[member] = value; value == nil {
		delete(file, member)
	}
	text, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// request is the body of a POST for some keystores under the test's password.
func request(files ...string) map[string]any {
	passwords := make([]string, len(files))
	if files == nil {
		files = []string{}
	}
	for i := range passwords {
		passwords[i] = password
	}
	return map[string]any{"keystores": files, "passwords": passwords}
}

func with(body map[string]any, member string, value any) map[string]any {
	body[member] = value
	return body
}

// interchange returns a history of one block and one attestation for each key.
func interchange(t testing.TB, slot, source, target uint64, pubs ...string) string {
	t.Helper()
	var data bytes.Buffer
	for i, pub := range pubs {
		if i > 0 {
			data.WriteByte(',')
		}
		fmt.Fprintf(&data, `{"pubkey":%q,"signed_blocks":[{"slot":"%d"}],"signed_attestations":[{"source_epoch":"%d","target_epoch":"%d"}]}`, pub, slot, source, target)
	}
	return fmt.Sprintf(`{"metadata":{"interchange_format_version":"5","genesis_validators_root":%q},"data":[%s]}`, hoodi(t).GenesisValidatorsRoot, &data)
}

func floors(slot eth2.Slot, source, target eth2.Epoch) slashing.Floors {
	return slashing.Floors{HasSlot: true, Slot: slot, HasSource: true, Source: source, HasTarget: true, Target: target}
}

// clockFloors is where a key starts that arrives without history.
func clockFloors() slashing.Floors { return floors(epochNow*32+1, epochNow-1, epochNow) }
