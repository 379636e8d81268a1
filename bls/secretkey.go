package bls

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"

	blst "github.com/supranational/blst/bindings/go"
)

// ErrInvalidSecretKey is the error for bytes that are no secret key: not 32 of
// them, zero, or not below the order of the group.
var ErrInvalidSecretKey = errors.New("invalid secret key")

// A SecretKey is a key on its way between a file and a [Keyring]. It lies on the
// Go heap: Wipe it as soon as it has been handed on.
//
// It prints as REDACTED whatever the verb, has no text or JSON encoding, and is
// not safe for use concurrently with Wipe. Methods other than Wipe panic once it
// has been wiped: a zero key must never be stored or signed with.
type SecretKey struct{ scalar hidden[blst.Scalar] }

// GenerateKey draws a key from the system's randomness (getrandom on Linux),
// by KeyGen of draft-irtf-cfrg-bls-signature-05 section 2.3, which is EIP-2333's
// derive_master_SK.
func GenerateKey() (*SecretKey, error) {
	ikm := make([]byte, 32)
	defer clear(ikm)
	rand.Read(ikm) // never fails: it would crash the process
	generated := blst.KeyGen(ikm)
	// The library wipes this copy by a finalizer: some time, or never.
	defer generated.Zeroize()
	if !generated.Valid() {
		return nil, ErrInvalidSecretKey
	}
	scalar := new(blst.Scalar)
	*scalar = *generated
	return &SecretKey{hide(scalar)}, nil
}

// ParseSecretKey reads 32 big-endian bytes that are neither zero nor at or above
// the order of the group. It copies b, which the caller wipes.
func ParseSecretKey(b []byte) (*SecretKey, error) {
	scalar := new(blst.Scalar)
	if scalar.Deserialize(b) == nil {
		scalar.Zeroize() // the library has written what it then refused
		return nil, ErrInvalidSecretKey
	}
	return &SecretKey{hide(scalar)}, nil
}

// PublicKey computes the public key: 75 µs.
func (k *SecretKey) PublicKey() PublicKey {
	return PublicKey(new(blst.P1Affine).From(k.secret()).Compress())
}

// Bytes returns the 32 big-endian bytes of the secret as a copy, which the
// caller wipes.
func (k *SecretKey) Bytes() []byte { return k.secret().Serialize() }

// Wipe overwrites the secret. It may be called again.
func (k *SecretKey) Wipe() {
	if scalar := k.scalar.reveal(); scalar != nil {
		scalar.Zeroize()
	}
}

// valid reports whether k holds a secret: it was made by this package and has
// not been wiped.
func (k *SecretKey) valid() bool {
	scalar := k.scalar.reveal()
	return scalar != nil && scalar.Valid()
}

// secret returns the scalar of a valid key.
func (k *SecretKey) secret() *blst.Scalar {
	if !k.valid() {
		panic("bls: internal error: use of a wiped secret key")
	}
	return k.scalar.reveal()
}

const redacted = "bls.SecretKey(REDACTED)"

// Format prints REDACTED for every verb and flag.
func (SecretKey) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// String returns REDACTED.
func (SecretKey) String() string { return redacted }

// GoString returns REDACTED.
func (SecretKey) GoString() string { return redacted }

// LogValue returns REDACTED.
func (SecretKey) LogValue() slog.Value { return slog.StringValue(redacted) }
