package eth2

import (
	"encoding/hex"
	"errors"
	"fmt"
)

// Fixed-size values, written as 0x-prefixed hex.
type (
	// A Root is a hash tree root, a block hash or any other Bytes32.
	Root [32]byte
	// A Version names a fork of one network, for domains.
	Version [4]byte
	// A DomainType separates the kinds of message that a key signs.
	DomainType [4]byte
	// A PublicKey is a compressed BLS public key, as an SSZ value: its point
	// is not validated here.
	PublicKey [48]byte
	// A Signature is a compressed BLS signature, as an SSZ value.
	Signature [96]byte
	// A KZGCommitment is a compressed G1 point, as an SSZ value.
	KZGCommitment [48]byte
	// An Address is an execution-layer address.
	Address [20]byte
	// A LogsBloom is the bloom filter of an execution payload.
	LogsBloom [256]byte
)

// Values of any size, written as 0x-prefixed hex.
type (
	// Bytes is an SSZ ByteList.
	Bytes []byte
	// A Bitlist holds bits in little-endian order and, above the last of
	// them, the delimiter bit that gives its length.
	Bitlist []byte
	// A Bitvector holds a number of bits that the preset fixes.
	Bitvector []byte
)

func (r Root) String() string          { return hexString(r[:]) }
func (v Version) String() string       { return hexString(v[:]) }
func (t DomainType) String() string    { return hexString(t[:]) }
func (k PublicKey) String() string     { return hexString(k[:]) }
func (s Signature) String() string     { return hexString(s[:]) }
func (c KZGCommitment) String() string { return hexString(c[:]) }
func (a Address) String() string       { return hexString(a[:]) }
func (l LogsBloom) String() string     { return hexString(l[:]) }
func (b Bytes) String() string         { return hexString(b) }
func (b Bitlist) String() string       { return hexString(b) }
func (b Bitvector) String() string     { return hexString(b) }

func (r Root) MarshalText() ([]byte, error)          { return hexText(r[:]), nil }
func (v Version) MarshalText() ([]byte, error)       { return hexText(v[:]), nil }
func (k PublicKey) MarshalText() ([]byte, error)     { return hexText(k[:]), nil }
func (s Signature) MarshalText() ([]byte, error)     { return hexText(s[:]), nil }
func (c KZGCommitment) MarshalText() ([]byte, error) { return hexText(c[:]), nil }
func (a Address) MarshalText() ([]byte, error)       { return hexText(a[:]), nil }
func (l LogsBloom) MarshalText() ([]byte, error)     { return hexText(l[:]), nil }
func (b Bytes) MarshalText() ([]byte, error)         { return hexText(b), nil }
func (b Bitlist) MarshalText() ([]byte, error)       { return hexText(b), nil }
func (b Bitvector) MarshalText() ([]byte, error)     { return hexText(b), nil }

func (r *Root) UnmarshalText(text []byte) error          { return decodeFixed(r[:], text) }
func (v *Version) UnmarshalText(text []byte) error       { return decodeFixed(v[:], text) }
func (k *PublicKey) UnmarshalText(text []byte) error     { return decodeFixed(k[:], text) }
func (s *Signature) UnmarshalText(text []byte) error     { return decodeFixed(s[:], text) }
func (c *KZGCommitment) UnmarshalText(text []byte) error { return decodeFixed(c[:], text) }
func (a *Address) UnmarshalText(text []byte) error       { return decodeFixed(a[:], text) }
func (l *LogsBloom) UnmarshalText(text []byte) error     { return decodeFixed(l[:], text) }

func (b *Bytes) UnmarshalText(text []byte) (err error)     { *b, err = decodeHex(text); return err }
func (b *Bitlist) UnmarshalText(text []byte) (err error)   { *b, err = decodeHex(text); return err }
func (b *Bitvector) UnmarshalText(text []byte) (err error) { *b, err = decodeHex(text); return err }

func hexString(b []byte) string { return string(hexText(b)) }

func hexText(b []byte) []byte {
	return hex.AppendEncode([]byte("0x"), b)
}

// trimPrefix insists on the 0x that every consensus client writes: without it
// a decimal number could pass for a short byte string.
func trimPrefix(text []byte) ([]byte, error) {
	if len(text) < 2 || text[0] != '0' || (text[1] != 'x' && text[1] != 'X') {
		return nil, errors.New("hex does not begin with 0x")
	}
	return text[2:], nil
}

func decodeFixed(dst, text []byte) error {
	digits, err := trimPrefix(text)
	if err != nil {
		return err
	}
	if len(digits) != 2*len(dst) {
		return fmt.Errorf("%d hex digits, want %d", len(digits), 2*len(dst))
	}
	_, err = hex.Decode(dst, digits)
	return err
}

func decodeHex(text []byte) ([]byte, error) {
	digits, err := trimPrefix(text)
	if err != nil {
		return nil, err
	}
	// Never nil: "0x" is present, and empty.
	b := make([]byte, len(digits)/2)
	if _, err := hex.Decode(b, digits); err != nil {
		return nil, err
	}
	return b, nil
}
