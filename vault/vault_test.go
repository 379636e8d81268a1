package vault

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/internal/durable"
)

func TestKeysSurviveAReopening(t *testing.T) {
	path, s := newVault(t)
	keys := newKeys(t, 5)
	v := mustOpen(t, path, s)
	mustAddAll(t, v, keys[:4]...)
	for _, k := range []Key{keys[1], keys[3]} {
		if err := v.Delete(t.Context(), k.Public); err != nil {
			t.Fatal(err)
		}
	}
	// A key that comes back is a new addition, the old one stays deleted.
	mustAddAll(t, v, keys[4], keys[1])
	want := []Key{keys[0], keys[2], keys[4], keys[1]}
	assertHolds(t, v, want)
	assertHolds(t, mustOpen(t, path, s), want)
}

func TestKeysStopsWhenItsCallerDoes(t *testing.T) {
	path, s := newVault(t)
	v := mustOpen(t, path, s)
	mustAddAll(t, v, newKeys(t, 3)...)
	calls := 0
	if err := v.Keys(func(bls.PublicKey, *bls.SecretKey) bool { calls++; return calls < 2 }); err != nil || calls != 2 {
		t.Errorf("%d calls, %v, want 2", calls, err)
	}
}

func TestKeysWipesEachSecretAfterItsUse(t *testing.T) {
	path, s := newVault(t)
	v := mustOpen(t, path, s)
	mustAddAll(t, v, newKeys(t, 1)...)
	var kept *bls.SecretKey
	if err := v.Keys(func(_ bls.PublicKey, sk *bls.SecretKey) bool { kept = sk; return true }); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if recover() == nil {
			t.Error("the secret can still be read")
		}
	}()
	kept.Bytes()
}

func TestKeysMayAskTheVaultWhileItRuns(t *testing.T) {
	path, s := newVault(t)
	v := mustOpen(t, path, s)
	keys := newKeys(t, 3)
	mustAddAll(t, v, keys[:2]...)
	err := v.Keys(func(pub bls.PublicKey, _ *bls.SecretKey) bool {
		if !v.Has(pub) {
			t.Errorf("key %v is yielded and not held", pub)
		}
		if v.Has(keys[2].Public) {
			return true
		}
		mustAddAll(t, v, keys[2])
		return true
	})
	if err != nil {
		t.Error(err)
	}
	assertHolds(t, v, keys)
}

func TestChangesThatAreRefused(t *testing.T) {
	path, s := newVault(t)
	v := mustOpen(t, path, s)
	keys := newKeys(t, 3)
	held, other, third := keys[0], keys[1], keys[2]
	mustAddAll(t, v, held)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	tests := map[string]struct {
		change func() error
		want   error // nil: any
	}{
		"a key that is held":                {func() error { return v.Add(t.Context(), held.Secret, held.Public) }, ErrExists},
		"a batch with a key that is held":   {func() error { return v.AddAll(t.Context(), []Key{other, held}) }, ErrExists},
		"a batch that names a key twice":    {func() error { return v.AddAll(t.Context(), []Key{other, third, other}) }, ErrExists},
		"a secret of another public key":    {func() error { return v.Add(t.Context(), other.Secret, third.Public) }, nil},
		"a deletion of a key not held":      {func() error { return v.Delete(t.Context(), other.Public) }, ErrNotFound},
		"an addition that was given up":     {func() error { return v.Add(cancelled, other.Secret, other.Public) }, context.Canceled},
		"a deletion that was given up":      {func() error { return v.Delete(cancelled, held.Public) }, context.Canceled},
		"another refresh that was given up": {func() error { return v.Refresh(cancelled) }, context.Canceled},
	}
	before := mustRead(t, path)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := test.change()
			if err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if !bytes.Equal(mustRead(t, path), before) {
				t.Error("the file has changed")
			}
		})
	}
	assertHolds(t, v, []Key{held})
}

func TestAFullVaultTakesNoMore(t *testing.T) {
	path, s := newVault(t)
	v := mustOpen(t, path, s)
	v.end.next = maxEntries
	if err := v.allowed(kindAdd, newKeys(t, 1)); err == nil {
		t.Error("one entry more than may be sealed under one key")
	}
	v.end.next = maxEntries - 1
	if err := v.allowed(kindAdd, newKeys(t, 1)); err != nil {
		t.Error(err)
	}
}

func TestCreateRefusesAnExistingFile(t *testing.T) {
	path, s := newVault(t)
	before := mustRead(t, path)
	if err := Create(path, s); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v, want %v", err, fs.ErrExist)
	}
	if !bytes.Equal(mustRead(t, path), before) {
		t.Error("the file has changed")
	}
}

func TestCreateMakesAFileForItsOwnerOnly(t *testing.T) {
	path, _ := newVault(t)
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
	}
}

// brokenSealer is a Sealer that does not open what it has sealed.
type brokenSealer struct{ Sealer }

func (brokenSealer) Unwrap([]byte) ([]byte, error) { return make([]byte, keySize), nil }

func TestASealerThatDoesNotOpenWhatItSealedIsFoundOutAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vault")
	if err := Create(path, brokenSealer{cheap(t, "p")}); err == nil {
		t.Error("made a vault that nobody can open")
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file was left behind: %v", err)
	}

	path, s := newVault(t)
	if err := Rewrap(path, s, brokenSealer{s}); err == nil {
		t.Error("rewrapped a vault so that nobody can open it")
	}
	mustOpen(t, path, s)
}

func TestOpenTellsWhatIsWrong(t *testing.T) {
	path, s := newVault(t)
	good := mustRead(t, path)
	newer := bytes.Clone(good)
	newer[11] = 2
	copy(newer[12:], "3.1.0\x00")
	tests := map[string]struct {
		contents []byte // nil: no file
		sealer   Sealer
		want     error
		says     string
	}{
		"no file":                     {nil, s, ErrMissing, "backup"},
		"an empty file":               {[]byte{}, s, ErrDamaged, "not a vault"},
		"a text":                      {bytes.Repeat([]byte("keys: none\n"), 40), s, ErrDamaged, "not a vault"},
		"a vault of a later release":  {newer, s, ErrVersion, `"3.1.0"`},
		"another passphrase":          {good, cheap(t, "other"), ErrWrongPassphrase, path},
		"a passphrase with a newline": {good, cheap(t, "passphrase\n"), ErrWrongPassphrase, path},
		"a header of another vault's data key": {
			rehashed(good, func(b []byte) { b[idOffset] ^= 1 }), s, ErrDamaged, "header does not authenticate"},
		"a wrapped key of another sealer": {
			rehashed(good, func(b []byte) { b[wrappedOffset] ^= 1 }), s, nil, "not sealed by a passphrase"},
		"scrypt parameters beyond the bound": {
			rehashed(good, func(b []byte) { b[wrappedOffset+len(wrapTag)] = 40 }), s, nil, "work 40"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			path := path
			if test.contents == nil {
				path = filepath.Join(t.TempDir(), "vault")
			} else if err := os.WriteFile(path, test.contents, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Open(path, test.sealer)
			if err == nil || test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want %v that says %q", err, test.want, test.says)
			}
			if !errors.Is(test.want, ErrDamaged) && errors.Is(err, ErrDamaged) {
				t.Errorf("%v: this is no damage", err)
			}
			if test.contents == nil {
				if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("a fresh start was made: %v", err)
				}
			}
		})
	}
}

func TestOpenFromAnUnreadableFileIsNotMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vault")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, cheap(t, "p")); err == nil || errors.Is(err, ErrMissing) {
		t.Errorf("got %v, want an error that is not %v", err, ErrMissing)
	}
}

func TestAClosedVaultSaysSo(t *testing.T) {
	path, s := newVault(t)
	v := mustOpen(t, path, s)
	k := newKeys(t, 1)[0]
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	if v.key != nil {
		t.Error("the data key is still within reach")
	}
	for name, err := range map[string]error{
		"Add":     v.Add(t.Context(), k.Secret, k.Public),
		"Delete":  v.Delete(t.Context(), k.Public),
		"Refresh": v.Refresh(t.Context()),
		"Keys":    v.Keys(func(bls.PublicKey, *bls.SecretKey) bool { return true }),
		"Close":   v.Close(),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v, want %v", name, err, ErrClosed)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("derived a key from a data key that was wiped")
		}
	}()
	v.DeriveKey("journal")
}

func TestDerivedKeysDifferByLabelAndVault(t *testing.T) {
	path, s := newVault(t)
	v := mustOpen(t, path, s)
	otherPath, otherSealer := newVault(t)
	other := mustOpen(t, otherPath, otherSealer)
	a, b, c := v.DeriveKey("a"), v.DeriveKey("b"), other.DeriveKey("a")
	if a == b || a == c || a == *v.key {
		t.Errorf("derived keys coincide: %x %x %x", a, b, c)
	}
	if again := mustOpen(t, path, s).DeriveKey("a"); again != a {
		t.Error("a derived key changed when the vault was opened again")
	}
}

func TestAChangeWaitsForTheLockAsLongAsItsCallerDoes(t *testing.T) {
	path, s := newVault(t)
	v := mustOpen(t, path, s)
	k := newKeys(t, 1)[0]
	lock, err := durable.TryLock(path + ".lock")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := v.Add(ctx, k.Secret, k.Public); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, durable.ErrLocked) {
		t.Errorf("got %v, want %v", err, durable.ErrLocked)
	}
	added := make(chan error, 1)
	go func() { added <- v.Add(t.Context(), k.Secret, k.Public) }()
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	if err := <-added; err != nil {
		t.Error(err)
	}
}

func TestTwoOpenVaultsSeeEachOthersChanges(t *testing.T) {
	path, s := newVault(t)
	a, b := mustOpen(t, path, s), mustOpen(t, path, s)
	keys := newKeys(t, 4)
	mustAddAll(t, a, keys[0])
	mustAddAll(t, b, keys[1])
	mustAddAll(t, a, keys[2], keys[3])
	if err := b.Delete(t.Context(), keys[2].Public); err != nil {
		t.Fatal(err)
	}
	if err := a.Add(t.Context(), keys[1].Secret, keys[1].Public); !errors.Is(err, ErrExists) {
		t.Errorf("add what the other has added: %v, want %v", err, ErrExists)
	}
	want := []Key{keys[0], keys[1], keys[3]}
	assertHolds(t, b, want)
	if err := a.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	assertHolds(t, a, want)
	assertHolds(t, mustOpen(t, path, s), want)
}

// cheap returns a Sealer that costs 3 ms at its first use and nothing after.
func cheap(t testing.TB, passphrase string) Sealer {
	t.Helper()
	s, err := PassphraseWork([]byte(passphrase), MinWork)
	if err != nil {
		t.Fatal(err)
	}
	return &remembering{Sealer: s, known: make(map[string][]byte)}
}

// remembering unwraps each blob once.
type remembering struct {
	Sealer
	known map[string][]byte
}

func (r *remembering) Unwrap(wrapped []byte) ([]byte, error) {
	if key, ok := r.known[string(wrapped)]; ok {
		return bytes.Clone(key), nil
	}
	key, err := r.Sealer.Unwrap(wrapped)
	if err == nil {
		r.known[string(wrapped)] = bytes.Clone(key)
	}
	return key, err
}

func newVault(t testing.TB) (path string, s Sealer) {
	t.Helper()
	path, s = filepath.Join(t.TempDir(), "vault"), cheap(t, "passphrase")
	if err := Create(path, s); err != nil {
		t.Fatal(err)
	}
	return path, s
}

func newKeys(t testing.TB, n int) []Key {
	t.Helper()
	keys := make([]Key, n)
	for i := range keys {
		sk, err := bls.GenerateKey()
		if err != nil {
			t.Fatal(err)
		}
		keys[i] = Key{sk.PublicKey(), sk}
	}
	return keys
}

func mustOpen(t testing.TB, path string, s Sealer) *Vault {
	t.Helper()
	v, err := Open(path, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Close(); err != nil && !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
	return v
}

func mustAddAll(t testing.TB, v *Vault, keys ...Key) {
	t.Helper()
	if err := v.AddAll(t.Context(), keys); err != nil {
		t.Fatal(err)
	}
}

func mustRead(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// assertHolds compares every way to ask v what it holds, secrets included.
func assertHolds(t testing.TB, v *Vault, keys []Key) {
	t.Helper()
	want := make([]bls.PublicKey, 0, len(keys))
	secrets := make(map[bls.PublicKey][]byte)
	for _, k := range keys {
		want = append(want, k.Public)
		secrets[k.Public] = k.Secret.Bytes()
	}
	var got []bls.PublicKey
	err := v.Keys(func(pub bls.PublicKey, sk *bls.SecretKey) bool {
		got = append(got, pub)
		if !bytes.Equal(sk.Bytes(), secrets[pub]) {
			t.Errorf("key %v has another secret", pub)
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Keys (-want +got):\n%s", diff)
	}
	slices.SortFunc(want, func(a, b bls.PublicKey) int { return bytes.Compare(a[:], b[:]) })
	if diff := cmp.Diff(want, append([]bls.PublicKey{}, v.List()...)); diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
	if v.Len() != len(want) {
		t.Errorf("Len is %d, want %d", v.Len(), len(want))
	}
	for _, pub := range want {
		if !v.Has(pub) {
			t.Errorf("Has does not know %v", pub)
		}
	}
}
