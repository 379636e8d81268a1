package bls

import (
	"encoding/hex"
	"fmt"

	blst "github.com/supranational/blst/bindings/go"
)

// A Signature is a compressed point of G2.
type Signature [96]byte

// String returns 0x and 192 lower-case hex digits.
func (s Signature) String() string { return "0x" + hex.EncodeToString(s[:]) }

// MarshalText returns what String does.
func (s Signature) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads 192 hex digits in any case, with or without 0x. Whether
// the bytes are a signature is for Verify.
func (s *Signature) UnmarshalText(text []byte) error {
	var parsed Signature
	if err := decodeHex(parsed[:], string(text)); err != nil {
		return fmt.Errorf("signature: %w", err)
	}
	*s = parsed
	return nil
}

// Verify reports whether sig is pub's signature of root. Malformed points,
// points outside their subgroup and a public key at infinity are false.
func Verify(pub PublicKey, root [32]byte, sig Signature) bool {
	const checkSubgroup, checkKey = true, true
	return new(blst.P2Affine).VerifyCompressed(sig[:], checkSubgroup, pub[:], checkKey, root[:], ciphersuite)
}
