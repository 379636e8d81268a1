package keystore

import (
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"

	"github.com/secure-signer/secure-signer/bls"
)

// An Option changes what Encrypt writes.
type Option func(*document)

// WithPBKDF2 derives by PBKDF2 in 262,144 rounds: 40 ms and no memory to open,
// where scrypt takes half a second and 256 MiB. An attacker saves as much: use
// it for passwords drawn at random.
func WithPBKDF2() Option {
	return func(d *document) {
		d.Crypto.KDF = kdf{Function: pbkdf2Name, Params: kdfParams{C: 1 << 18, PRF: prfName}}
	}
}

// WithPath records where the key was derived in a wallet, as in
// "m/12381/3600/0/0/0". Source: EIP-2334.
func WithPath(path string) Option { return func(d *document) { d.Path = path } }

// WithDescription adds a note for people.
func WithDescription(text string) Option { return func(d *document) { d.Description = text } }

// Encrypt writes sk as a keystore under a password, which must not be empty once
// normalised. The keystore has a salt, an IV and a UUID of its own and is derived
// by scrypt with n=262144, r=8, p=1, unless an option says otherwise.
func Encrypt(sk *bls.SecretKey, password string, options ...Option) ([]byte, error) {
	normalised, err := normalise(password)
	if err != nil {
		return nil, fmt.Errorf("encrypt keystore: %w", err)
	}
	defer clear(normalised)
	if len(normalised) == 0 {
		return nil, errors.New("encrypt keystore: password is empty")
	}
	var doc document
	c := &doc.Crypto
	c.KDF = kdf{Function: scryptName, Params: kdfParams{N: 1 << 18, R: 8, P: 1}}
	for _, option := range options {
		option(&doc)
	}
	c.KDF.Params.DKLen = derivedSize
	c.KDF.Params.Salt = random(32)
	c.Checksum.Function = sha256Name
	c.Cipher.Function = aesName
	c.Cipher.Params.IV = random(ivSize)

	derived, err := c.KDF.derive(normalised)
	if err != nil {
		return nil, fmt.Errorf("encrypt keystore: %w", err)
	}
	defer clear(derived)
	secret := sk.Bytes()
	defer clear(secret)
	c.Cipher.Message = crypt(derived, c.Cipher.Params.IV, secret)
	c.Checksum.Message = checksum(derived, c.Cipher.Message)

	doc.Pubkey = sk.PublicKey().String()[len("0x"):]
	doc.UUID = newUUID()
	doc.Version = version
	text, err := json.Marshal(&doc)
	if err == nil {
		_, err = Parse(text) // an option may be too long
	}
	if err != nil {
		return nil, fmt.Errorf("encrypt keystore: %w", err)
	}
	return text, nil
}

// newUUID draws a UUID of version 4. Source: RFC 9562 section 5.4.
func newUUID() string {
	b := random(16)
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails: it would crash the process
	return b
}
