package bls

import (
	"encoding/hex"
	"errors"
	"fmt"

	blst "github.com/supranational/blst/bindings/go"
)

// A PublicKey is a compressed point of G1. It need not be a valid one: Validate
// and Verify check it.
type PublicKey [48]byte

// ParsePublicKey reads 96 hex digits in any case, with or without 0x. It checks
// the form only: whether the bytes are a point is for Validate.
func ParsePublicKey(s string) (PublicKey, error) {
	var p PublicKey
	if err := decodeHex(p[:], s); err != nil {
		return PublicKey{}, fmt.Errorf("public key: %w", err)
	}
	return p, nil
}

// String returns 0x and 96 lower-case hex digits.
func (p PublicKey) String() string { return "0x" + hex.EncodeToString(p[:]) }

// MarshalText returns what String does.
func (p PublicKey) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads what ParsePublicKey does.
func (p *PublicKey) UnmarshalText(text []byte) error {
	parsed, err := ParsePublicKey(string(text))
	if err != nil {
		return err
	}
	*p = parsed
	return nil
}

// Validate reports why p cannot be anybody's public key: it is not the encoding
// of a point on the curve, is outside the subgroup of prime order, or is the
// point at infinity. Source: draft-irtf-cfrg-bls-signature-05 section 2.5.
func (p PublicKey) Validate() error {
	point := new(blst.P1Affine).Uncompress(p[:])
	if point == nil {
		return errors.New("public key: not a point on the curve")
	}
	if !point.KeyValidate() {
		return errors.New("public key: infinity or outside the subgroup")
	}
	return nil
}

// decodeHex fills dst from exactly 2*len(dst) hex digits, with or without 0x.
// Its errors never repeat the input, which may be long or misplaced.
func decodeHex(dst []byte, s string) error {
	if len(s) >= 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X') {
		s = s[2:]
	}
	if len(s) != hex.EncodedLen(len(dst)) {
		return fmt.Errorf("%d hex digits, want %d", len(s), hex.EncodedLen(len(dst)))
	}
	if _, err := hex.Decode(dst, []byte(s)); err != nil {
		return errors.New("not hexadecimal")
	}
	return nil
}
