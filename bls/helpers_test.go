package bls

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"os"
	"slices"
	"testing"

	"github.com/secure-signer/secure-signer/internal/secretmem"
	"github.com/secure-signer/secure-signer/internal/testdata"
)

// order is r, the number of points in G1 and G2.
// Source: draft-irtf-cfrg-pairing-friendly-curves-11 section 4.2.1.
const order = "73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001"

// interopKey is the key with this index of the devnets: sha256 of the
// little-endian index as a little-endian number modulo the order.
// Source: ethereum/eth2.0-pm, interop/mocked_start.
func interopKey(t testing.TB, index uint64) *SecretKey {
	t.Helper()
	var preimage [32]byte
	binary.LittleEndian.PutUint64(preimage[:], index)
	digest := sha256.Sum256(preimage[:])
	slices.Reverse(digest[:])
	r, ok := new(big.Int).SetString(order, 16)
	if !ok {
		t.Fatal("order is not a number")
	}
	k := new(big.Int).SetBytes(digest[:])
	return parseSecret(t, k.Mod(k, r).FillBytes(make([]byte, 32)))
}

func parseSecret(t testing.TB, b []byte) *SecretKey {
	t.Helper()
	sk, err := ParseSecretKey(b)
	if err != nil {
		t.Fatal(err)
	}
	return sk
}

// hexBytes decodes hexadecimal with or without 0x.
func hexBytes(t testing.TB, s string) []byte {
	t.Helper()
	if len(s) >= 2 && s[:2] == "0x" {
		s = s[2:]
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func publicKey(t testing.TB, s string) PublicKey {
	t.Helper()
	p, err := ParsePublicKey(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// readJSON decodes one file of the shared test data.
func readJSON(t testing.TB, name string, out any) {
	t.Helper()
	b, err := os.ReadFile(testdata.Path(t, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, out); err != nil {
		t.Fatal(err)
	}
}

// openKeyring opens a keyring that closes with the test.
func openKeyring(t testing.TB, cfg Config) *Keyring {
	t.Helper()
	return openKeyringOver(t, cfg, secretmem.Map)
}

// openKeyringOver is openKeyring over memory of a kind.
func openKeyringOver(t testing.TB, cfg Config, pages mapper) *Keyring {
	t.Helper()
	k, err := newKeyring(cfg, pages)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	return k
}

// add adds the interop key with this index under its public key.
func add(t testing.TB, k *Keyring, index uint64) *Key {
	t.Helper()
	sk := interopKey(t, index)
	defer sk.Wipe()
	key, err := k.Add(sk.PublicKey(), sk)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
