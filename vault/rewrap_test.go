package vault

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/internal/durable"
)

func TestRewrapChangesThePassphraseAndNothingElse(t *testing.T) {
	path, old := newVault(t)
	v := mustOpen(t, path, old)
	keys := newKeys(t, 4)
	mustAddAll(t, v, keys[:3]...)
	if err := v.Delete(t.Context(), keys[1].Public); err != nil {
		t.Fatal(err)
	}
	deleted := keys[1].Public
	derived := v.DeriveKey("journal")
	held := []Key{keys[0], keys[2]}

	next := cheap(t, "another")
	if err := Rewrap(path, old, next); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, old); !errors.Is(err, ErrWrongPassphrase) {
		t.Errorf("the old passphrase: %v, want %v", err, ErrWrongPassphrase)
	}
	again := mustOpen(t, path, next)
	assertHolds(t, again, held)
	if again.DeriveKey("journal") != derived {
		t.Error("a derived key has changed: the journal would be lost")
	}
	if bytes.Contains(mustRead(t, path), deleted[:]) {
		t.Error("the deleted key is still in the file")
	}

	// The vault that was open all the while goes on with the new file.
	mustAddAll(t, v, keys[3])
	assertHolds(t, v, append(held, keys[3]))
	assertHolds(t, mustOpen(t, path, next), append(held, keys[3]))
}

func TestRewrapNeedsTheOldPassphrase(t *testing.T) {
	path, _ := newVault(t)
	before := mustRead(t, path)
	if err := Rewrap(path, cheap(t, "wrong"), cheap(t, "another")); !errors.Is(err, ErrWrongPassphrase) {
		t.Errorf("got %v, want %v", err, ErrWrongPassphrase)
	}
	if !bytes.Equal(mustRead(t, path), before) {
		t.Error("the file has changed")
	}
}

// A kill in the middle of Rewrap leaves the old vault or the new one. The steps
// are those of durable.WriteFile.
func TestRewrapKilledAtEveryStep(t *testing.T) {
	killed := errors.New("killed")
	temp := func(path string) string { return filepath.Join(filepath.Dir(path), ".vault.1.tmp") }
	steps := map[string]struct {
		write   func(path string, b []byte, perm fs.FileMode) error
		changed bool
	}{
		"before the new file is begun": {func(string, []byte, fs.FileMode) error { return killed }, false},
		"when the new file is empty": {func(path string, _ []byte, perm fs.FileMode) error {
			return errors.Join(os.WriteFile(temp(path), nil, perm), killed)
		}, false},
		"when half of the new file is written": {func(path string, b []byte, perm fs.FileMode) error {
			return errors.Join(os.WriteFile(temp(path), b[:len(b)/2], perm), killed)
		}, false},
		"when the new file is whole and has no name": {func(path string, b []byte, perm fs.FileMode) error {
			return errors.Join(os.WriteFile(temp(path), b, perm), killed)
		}, false},
		"when the name is new and not on the disk": {func(path string, b []byte, perm fs.FileMode) error {
			return errors.Join(os.WriteFile(temp(path), b, perm), os.Rename(temp(path), path), killed)
		}, true},
		"when all is done": {func(path string, b []byte, perm fs.FileMode) error {
			return errors.Join(durable.WriteFile(path, b, perm), killed)
		}, true},
	}
	for name, step := range steps {
		t.Run(name, func(t *testing.T) {
			path, old := newVault(t)
			next := cheap(t, "another")
			keys := newKeys(t, 3)
			v := mustOpen(t, path, old)
			mustAddAll(t, v, keys[:2]...)
			if err := rewrap(path, old, next, step.write); !errors.Is(err, killed) {
				t.Fatalf("got %v, want %v", err, killed)
			}
			opens, refuses := old, next
			if step.changed {
				opens, refuses = next, old
			}
			if _, err := Open(path, refuses); !errors.Is(err, ErrWrongPassphrase) {
				t.Errorf("the other passphrase: %v, want %v", err, ErrWrongPassphrase)
			}
			mustAddAll(t, v, keys[2])
			assertHolds(t, mustOpen(t, path, opens), keys)
		})
	}
}

// The vault of each released format must open for ever. This one was made with
// two keys added, the first deleted, and it added again: keys 1 and 2, as 32
// big-endian bytes.
const (
	releasedVault      = "testdata/vault-1"
	releasedPassphrase = "a released passphrase"
	releasedDerived    = "a7dbabc374bbfa609cdcec6f29aca41e0d707bf4b236ef77abeb98d2de0ea368"
)

func TestAReleasedVaultOpens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vault")
	if err := os.WriteFile(path, mustRead(t, releasedVault), 0o600); err != nil {
		t.Fatal(err)
	}
	v := mustOpen(t, path, Passphrase([]byte(releasedPassphrase)))
	var keys []Key
	for _, i := range []byte{2, 1} {
		sk, err := bls.ParseSecretKey(append(make([]byte, 31), i))
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, Key{sk.PublicKey(), sk})
	}
	assertHolds(t, v, keys)
	derived := v.DeriveKey("journal")
	if got := hex.EncodeToString(derived[:]); got != releasedDerived {
		t.Errorf("the derived key is %s, want %s", got, releasedDerived)
	}
}
