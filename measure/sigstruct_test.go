package measure

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/big"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A signingKey is an RSA key of 3072 bits with exponent 3, as SGX wants it. It
// signs by the definition of PKCS #1, not by the library that Sigstruct uses.
type signingKey struct{ n, d *big.Int }

var newSigningKey = sync.OnceValue(func() signingKey {
	prime := func() *big.Int {
		for {
			p, err := rand.Prime(rand.Reader, 1536)
			if err != nil {
				panic(err)
			}
			if new(big.Int).Mod(p, big.NewInt(3)).Int64() == 2 {
				return p
			}
		}
	}
	one := big.NewInt(1)
	for {
		p, q := prime(), prime()
		n := new(big.Int).Mul(p, q)
		phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		if d := new(big.Int).ModInverse(big.NewInt(3), phi); d != nil && n.BitLen() == 3072 {
			return signingKey{n, d}
		}
	}
})

// A layout is what the tests change of a SIGSTRUCT before it is signed.
type layout func(b []byte)

func sign(key signingKey, changes ...layout) []byte {
	b := make([]byte, SigstructSize)
	copy(b, header1)
	copy(b[offHeader2:], header2)
	binary.LittleEndian.PutUint32(b[offDate:], 0x20261125)
	b[offAttributes] = attribute64Bit
	b[offAttributes+8] = 3
	for i := range 16 {
		b[offMask+i] = 0xff
	}
	for i := range 32 {
		b[offHash+i] = byte(i)
	}
	binary.LittleEndian.PutUint16(b[offProduct:], 7)
	binary.LittleEndian.PutUint16(b[offSVN:], 3)
	putLittleEndian(b[offModulus:offExponent], key.n)
	b[offExponent] = 3
	for _, change := range changes {
		change(b)
	}
	sum := sha256.Sum256(slices.Concat(b[:128], b[900:1028]))
	info, _ := hex.DecodeString("3031300d060960864801650304020105000420") // DigestInfo of SHA-256
	tail := slices.Concat([]byte{0}, info, sum[:])
	padded := slices.Concat([]byte{0, 1}, bytes.Repeat([]byte{0xff}, 384-2-len(tail)), tail)
	s := new(big.Int).Exp(new(big.Int).SetBytes(padded), key.d, key.n)
	putLittleEndian(b[offSignature:offBody], s)
	q1, rest := new(big.Int).QuoRem(new(big.Int).Mul(s, s), key.n, new(big.Int))
	putLittleEndian(b[offQ1:offQ2], q1)
	putLittleEndian(b[offQ2:], new(big.Int).Quo(new(big.Int).Mul(rest, s), key.n))
	return b
}

func putLittleEndian(dst []byte, v *big.Int) {
	v.FillBytes(dst)
	slices.Reverse(dst)
}

func TestSigstructOfAnEnclave(t *testing.T) {
	key := newSigningKey()
	modulus := make([]byte, 384)
	putLittleEndian(modulus, key.n)
	signer := sha256.Sum256(modulus)

	r, err := Sigstruct(sign(key))
	if err != nil {
		t.Fatal(err)
	}
	if r.Problems != nil || r.Accept == nil {
		t.Fatalf("not acceptable: %q", r.Problems)
	}
	if got, want := r.Accept.Measurements["mrenclave"].String(), "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"; got != want {
		t.Errorf("mrenclave %s, want %s", got, want)
	}
	if !bytes.Equal(r.Accept.Signer, signer[:]) || r.Accept.Product != 7 || r.Accept.MinSVN != 3 || r.Facts["date"] != "2026-11-25" {
		t.Errorf("got %+v %v", r.Accept, r.Facts)
	}
}

// A SIGSTRUCT that Intel's tool made for Occlum. It verifies, and must never be
// trusted: the key is public, and the mask leaves debug mode to the host.
func TestSigstructThatIntelsToolMade(t *testing.T) {
	b, err := os.ReadFile("testdata/occlum.sig")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Sigstruct(b)
	if err != nil {
		t.Fatal(err)
	}
	if r.Facts["mrenclave"] != "9d0dc627f893fc5471c8089d621a3da3652cf4e67eece9143ec5656406275a26" || r.Facts["date"] != "2021-04-27" {
		t.Errorf("got %v", r.Facts)
	}
	if problems := strings.Join(r.Problems, "\n"); r.Accept != nil || !strings.Contains(problems, "is public") || !strings.Contains(problems, "leaves open") {
		t.Errorf("accepted %v, problems %s", r.Accept, problems)
	}
}

func TestSigstructsThatAreNotAccepted(t *testing.T) {
	key := newSigningKey()
	for _, tt := range []struct {
		name    string
		change  layout
		problem string
	}{
		{"a debug enclave", func(b []byte) { b[offAttributes] |= attributeDebug }, "debug enclave"},
		{"a mask that leaves debug mode open", func(b []byte) { b[offMask] &^= attributeDebug }, "leaves open"},
		{"an enclave that claims to be started", func(b []byte) { b[offAttributes] |= attributeInit }, "not those of a 64-bit enclave"},
		{"a 32-bit enclave", func(b []byte) { b[offAttributes] = 0 }, "not those of a 64-bit enclave"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := Sigstruct(sign(key, tt.change))
			if err != nil {
				t.Fatal(err)
			}
			if r.Accept != nil || !strings.Contains(strings.Join(r.Problems, "\n"), tt.problem) {
				t.Errorf("accepted %v, problems %q", r.Accept, r.Problems)
			}
		})
	}
}

func TestSigstructsThatAreNone(t *testing.T) {
	key := newSigningKey()
	good := sign(key)
	after := func(change layout) []byte { b := bytes.Clone(good); change(b); return b }
	for _, tt := range []struct {
		name, err string
		b         []byte
	}{
		{"nothing", "has 1808 bytes", nil},
		{"one byte too many", "has 1808 bytes", append(bytes.Clone(good), 0)},
		{"another header", "headers", sign(key, func(b []byte) { b[0] = 7 })},
		{"another second header", "headers", sign(key, func(b []byte) { b[offHeader2] = 2 })},
		{"a date that is none", "no date", sign(key, func(b []byte) { b[offDate+1] = 0x13 })},
		{"a reserved byte", "reserved", sign(key, func(b []byte) { b[offReserved1] = 1 })},
		{"exponent 65537", "exponent", sign(key, func(b []byte) { copy(b[offExponent:], "\x01\x00\x01\x00") })},
		{"a short key", "bits", sign(key, func(b []byte) { b[offExponent-1] = 0 })},
		{"another enclave under the same signature", "does not verify", after(func(b []byte) { b[offHash] ^= 1 })},
		{"debug mode switched on afterwards", "does not verify", after(func(b []byte) { b[offAttributes] |= attributeDebug })},
		{"quotients of another signature", "quotients", after(func(b []byte) { b[offQ2] ^= 1 })},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if r, err := Sigstruct(tt.b); err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got %+v, %v", r, err)
			}
		})
	}
}

// Every byte counts: none can be changed unnoticed.
func TestSigstructWithAnyByteChanged(t *testing.T) {
	b := sign(newSigningKey())
	step := 1
	if testing.Short() {
		step = 41
	}
	for i := 0; i < len(b); i += step {
		b[i] ^= 0x10
		if _, err := Sigstruct(b); err == nil {
			t.Errorf("byte %d changed, and accepted", i)
		}
		b[i] ^= 0x10
	}
}

func FuzzSigstruct(f *testing.F) {
	b, err := os.ReadFile("testdata/occlum.sig")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(sign(newSigningKey()))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := Sigstruct(b); err == nil && (r.Accept == nil) != (len(r.Problems) > 0) {
			t.Errorf("accepted %v with problems %q", r.Accept, r.Problems)
		}
	})
}
