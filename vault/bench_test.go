package vault

import (
	"testing"

	"github.com/secure-signer/secure-signer/bls"
)

// What opening costs beyond the passphrase.
func BenchmarkOpen10000Keys(b *testing.B) {
	path, s := newVault(b)
	mustAddAll(b, mustOpen(b, path, s), newKeys(b, 10_000)...)
	for b.Loop() {
		v, err := Open(path, s)
		if err != nil {
			b.Fatal(err)
		}
		v.Close()
	}
}

func BenchmarkUnseal10000Keys(b *testing.B) {
	path, s := newVault(b)
	v := mustOpen(b, path, s)
	mustAddAll(b, v, newKeys(b, 10_000)...)
	for b.Loop() {
		if err := v.Keys(func(bls.PublicKey, *bls.SecretKey) bool { return true }); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAdd(b *testing.B) {
	path, s := newVault(b)
	v := mustOpen(b, path, s)
	for b.Loop() {
		mustAddAll(b, v, newKeys(b, 1)...)
	}
}

func BenchmarkPassphrase(b *testing.B) {
	s := Passphrase([]byte("p"))
	wrapped, err := s.Wrap(make([]byte, keySize))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := s.Unwrap(wrapped); err != nil {
			b.Fatal(err)
		}
	}
}
