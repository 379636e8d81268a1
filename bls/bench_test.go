package bls

import (
	"encoding/binary"
	"sync/atomic"
	"testing"

	blst "github.com/supranational/blst/bindings/go"
)

// numberedRoot returns the n-th of many distinct roots.
func numberedRoot(n uint64) (root [32]byte) {
	binary.LittleEndian.PutUint64(root[:], n)
	return root
}

// BenchmarkSignPlain is the library's own call, without keyring: what the others
// are to be compared with.
func BenchmarkSignPlain(b *testing.B) {
	sk := interopKey(b, 0)
	root := numberedRoot(0)
	for b.Loop() {
		new(blst.P2Affine).Sign(sk.secret(), root[:], ciphersuite).Compress()
	}
}

func BenchmarkSignOneRoot(b *testing.B) {
	k := openKeyring(b, Config{})
	key := add(b, k, 0)
	for b.Loop() {
		if _, err := k.Sign(b.Context(), key, numberedRoot(0)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSignDistinctRoots(b *testing.B) {
	k := openKeyring(b, Config{})
	key := add(b, k, 0)
	for n := uint64(0); b.Loop(); n++ {
		if _, err := k.Sign(b.Context(), key, numberedRoot(n)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSignOneRootParallel is the busiest moment of a slot: many attesters,
// one root, more requests than workers.
func BenchmarkSignOneRootParallel(b *testing.B) {
	k := openKeyring(b, Config{})
	keys := make([]*Key, 64)
	for i := range keys {
		keys[i] = add(b, k, uint64(i))
	}
	var next atomic.Uint64
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := k.Sign(b.Context(), keys[next.Add(1)%64], numberedRoot(0)); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkPublicKeysOfHundredThousand(b *testing.B) {
	k := openKeyring(b, Config{})
	sk := interopKey(b, 0)
	for i := range uint64(100_000) {
		var pub PublicKey
		binary.LittleEndian.PutUint64(pub[:], i*0x9e3779b97f4a7c15) // scattered
		if _, err := k.Add(pub, sk); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		k.changes++ // or it would be the same list
		k.PublicKeys()
	}
}
