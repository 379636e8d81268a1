// Package peer keeps sealing keys for programs whose hardware cannot (AWS Nitro,
// Intel TDX 1.5): a program proves to another machine who it is, and gets the key
// that belongs to it.
//
// # The exchange, over HTTP
//
//	POST /release/nonce                           → {nonce}
//	POST /release {nonce, evidence, label}        → {sealed, signature}
//
// The program draws an HPKE key for each exchange, and its evidence binds that key
// and the nonce. The keeper judges the evidence by its own policy and at its own
// clock. What it returns is sealed to the HPKE key, so that it does not matter who
// carries it, and signed over the nonce, the evidence and the label, so that nobody
// else can answer in the keeper's place. Neither rests on TLS, which adds that
// nobody on the way sees who asks for what.
//
// # Whose key
//
// A key belongs to the kind of hardware, all measurements of the program, its
// signer and product, and whether it runs in debug mode, as evidence proves them,
// and to a label. It is derived from the keeper's one secret and stored nowhere: two
// keepers with the same secret give the same keys, and there is nothing to back up
// but the secret.
//
// # Guaranteed
//
// A key is given only to what the policy accepts and only once for a nonce, which is
// good for a minute and is no older than the keeper's start.
//
// # Not guaranteed
//
// The keeper knows every key: it must run where the signer's host has no power, and
// its secret opens all vaults that depend on it. It does not notice an older disk or
// a second copy of the program that asks: see package rollback.
//
// Sources: RFC 9180 (HPKE), RFC 5869 (HKDF), RFC 8032 (Ed25519).
package peer

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/secure-signer/secure-signer/attest"
)

const (
	pathNonce   = "/release/nonce"
	pathRelease = "/release"

	// maxBody is more than evidence with its collateral takes in base64.
	maxBody = 2 * attest.MaxEvidence

	// maxLabel bounds a label, in bytes.
	maxLabel = 1024
)

type nonceAnswer struct {
	Nonce attest.Nonce `json:"nonce"`
}

type releaseRequest struct {
	Nonce    attest.Nonce `json:"nonce"`
	Evidence blob         `json:"evidence"` // in JSON, as attest.ParseEvidence reads it
	Label    string       `json:"label"`
}

type releaseAnswer struct {
	Sealed    blob `json:"sealed"`
	Signature blob `json:"signature"`
}

// A blob is bytes in base64.
type blob []byte

// MarshalText implements encoding.TextMarshaler.
func (b blob) MarshalText() ([]byte, error) {
	return base64.StdEncoding.AppendEncode(nil, b), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *blob) UnmarshalText(text []byte) error {
	out, err := base64.StdEncoding.Strict().AppendDecode(nil, text)
	if err != nil {
		return errors.New("it is not base64")
	}
	*b = out
	return nil
}

// signed is what the keeper signs: a domain, the nonce, the hash of the evidence,
// the label and what is sealed, each preceded by its length as 8 bytes, big-endian.
func signed(r releaseRequest, sealed []byte) []byte {
	evidence := sha256.Sum256(r.Evidence)
	return lengthPrefixed([]byte("secure-signer key keeper answer v1"), r.Nonce[:], evidence[:], []byte(r.Label), sealed)
}

func lengthPrefixed(parts ...[]byte) (out []byte) {
	for _, part := range parts {
		out = binary.BigEndian.AppendUint64(out, uint64(len(part)))
		out = append(out, part...)
	}
	return out
}

// An Address is where a keeper is, and by what key its answers are known.
type Address struct {
	URL string
	Key ed25519.PublicKey
}

// ParseAddress reads what String writes.
func ParseAddress(line string) (Address, error) {
	at, key, ok := strings.Cut(strings.TrimSpace(line), "#")
	if !ok {
		return Address{}, fmt.Errorf("key keeper %.200q: want its address, #, and its public key, as \"secure-signer keep-keys\" prints it", line)
	}
	a := Address{URL: at}
	var err error
	if a.Key, err = hex.DecodeString(strings.TrimPrefix(key, "0x")); err != nil || len(a.Key) != ed25519.PublicKeySize {
		return Address{}, fmt.Errorf("key keeper %.200q: public key %.80q: want %d hex digits", at, key, 2*ed25519.PublicKeySize)
	}
	a.URL, err = ParseURL(at)
	return a, err
}

// ParseURL reads the address alone.
func ParseURL(at string) (string, error) {
	at = strings.TrimRight(strings.TrimSpace(at), "/")
	u, err := url.Parse(at)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("key keeper %.200q: want an address such as https://keeper.example:9100", at)
	}
	return at, nil
}

// String is the line that names the keeper. It is no secret.
func (a Address) String() string { return a.URL + "#" + hex.EncodeToString(a.Key) }

// MarshalText implements encoding.TextMarshaler.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *Address) UnmarshalText(line []byte) (err error) {
	*a, err = ParseAddress(string(line))
	return err
}
