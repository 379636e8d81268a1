package attestapi

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
)

// A Bundle is a secret key and what it has signed.
type Bundle struct {
	Secret  *bls.SecretKey
	History History
}

// A History is what a key has signed so far: an EIP-3076 interchange that names it,
// or that its owner has none, in so many words. What is not said is refused.
type History struct {
	SlashingProtection string `json:"slashing_protection,omitzero"`
	None               bool   `json:"none,omitzero"` // the key starts at the floor of new_key_floor
}

// An Address is where a bundle belongs. It is no part of what is sent: both sides
// know it.
type Address struct {
	GenesisValidatorsRoot eth2.Root
	Evidence              attest.Digest // SHA-256 of the evidence's value
	ImportNonce           attest.Nonce
	Pubkey                bls.PublicKey
}

const bundleDomain = "secure-signer import v1"

// info is what HPKE binds a bundle to: domain and the four parts of the address,
// each preceded by its length as 8 bytes, big-endian. History needs no place in it:
// it is sealed together with the key.
func (a Address) info() []byte {
	var info []byte
	for _, part := range [][]byte{[]byte(bundleDomain), a.GenesisValidatorsRoot[:], a.Evidence[:], a.ImportNonce[:], a.Pubkey[:]} {
		info = append(binary.BigEndian.AppendUint64(info, uint64(len(part))), part...)
	}
	return info
}

// secretSize is how many bytes of a bundle are the secret key. They come first and
// as bytes: a JSON string could not be wiped.
const secretSize = 32

// Seal seals a bundle to the HPKE key of evidence that a policy has accepted. The
// caller wipes the secret.
func Seal(hpkeKey []byte, to Address, b Bundle) ([]byte, error) {
	history, err := json.Marshal(b.History)
	if err != nil {
		return nil, fmt.Errorf("history of the bundle: %w", err)
	}
	secret := b.Secret.Bytes()
	defer clear(secret)
	text := make([]byte, 0, secretSize+len(history)) // enough, so that append leaves no copy behind
	text = append(append(text, secret...), history...)
	defer clear(text)
	return attest.SealTo(hpkeKey, to.info(), text)
}

// openBundle opens what Seal has sealed. The caller wipes the secret.
func openBundle(inbox *attest.Inbox, to Address, sealed []byte) (Bundle, error) {
	text, err := inbox.Open(to.info(), sealed)
	if err != nil {
		return Bundle{}, err
	}
	defer clear(text)
	return parseBundle(to.Pubkey, text)
}

func parseBundle(pub bls.PublicKey, text []byte) (Bundle, error) {
	if len(text) < secretSize {
		return Bundle{}, fmt.Errorf("it holds %d bytes, and no key", len(text))
	}
	var h History
	if err := json.Unmarshal(text[secretSize:], &h, json.RejectUnknownMembers(true)); err != nil {
		return Bundle{}, errors.New("its history is not in the form of this release")
	}
	if h.None == (h.SlashingProtection != "") {
		return Bundle{}, errors.New(`it has to say one of "slashing_protection" and "none"`)
	}
	secret, err := bls.ParseSecretKey(text[:secretSize])
	if err != nil {
		return Bundle{}, fmt.Errorf("its secret key: %w", err)
	}
	if secret.PublicKey() != pub {
		secret.Wipe()
		return Bundle{}, errors.New("its secret key is not that of the public key it was sent for")
	}
	return Bundle{secret, h}, nil
}

// Base64 is bytes in JSON.
type Base64 []byte

// MarshalText implements encoding.TextMarshaler.
func (b Base64) MarshalText() ([]byte, error) {
	return base64.StdEncoding.AppendEncode(nil, b), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *Base64) UnmarshalText(text []byte) (err error) {
	*b, err = base64.StdEncoding.Strict().AppendDecode(nil, text)
	return err
}
