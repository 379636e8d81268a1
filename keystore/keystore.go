// Package keystore reads and writes EIP-2335 keystores: one BLS secret key,
// encrypted under a password, as JSON.
//
// A keystore comes from a stranger. Parse checks all of it, and what opening it
// would cost, before any work is done; no input makes the package panic or use
// more memory than [Keystore.Memory] says. Whoever opens several at once has to
// add that up: a budget of memory is the caller's.
//
// Accepted are version 4 with scrypt or PBKDF2-HMAC-SHA256, AES-128-CTR and a
// SHA-256 checksum, in the bounds of kdf.go. Names are exact, no member may
// occur twice, unknown members are ignored.
//
// A keystore names its public key at most as a hint: Decrypt computes it from
// the secret and refuses a keystore that names another.
//
// Not guaranteed: the password and what the key derivation computes from it
// stay in memory until they are reused. Buffers of this package are wiped.
//
// The derivations are called directly. The usual Go library for the format,
// keystorev4 v1.4.1, panics on some hostile input, derives twice for each wrong
// password, keeps secrets in memory that cannot be wiped, strips too few control
// codes, and links package testing into the program.
//
// Source: EIP-2335 (revision of 2019-09-30, final); RFC 7914; RFC 8018.
package keystore

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"

	"github.com/secure-signer/secure-signer/bls"
)

// Errors of Parse and Decrypt.
var (
	// ErrInvalid is the error for what is no keystore, or none that is accepted.
	// Its text names the member and the limit.
	ErrInvalid = errors.New("invalid keystore")

	// ErrWrongPassword is the error for a password that does not fit the checksum.
	// A keystore whose secret part is damaged cannot be told from that.
	ErrWrongPassword = errors.New("wrong password")

	// ErrPubkeyMismatch is the error for a keystore that names a public key other
	// than its secret's.
	ErrPubkeyMismatch = errors.New("the keystore names another public key than its own")
)

// A Keystore has been parsed and checked, but not opened.
type Keystore struct {
	doc   document
	pub   bls.PublicKey
	named bool
}

// Parse reads a keystore of at most MaxSize bytes. Its errors are ErrInvalid.
func Parse(text []byte) (*Keystore, error) {
	doc, err := parse(text)
	if err == nil {
		err = doc.check()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	k := &Keystore{doc: *doc, named: doc.Pubkey != ""}
	if k.named {
		k.pub, err = bls.ParsePublicKey(doc.Pubkey)
		if err != nil {
			return nil, fmt.Errorf("%w: pubkey: %w", ErrInvalid, err)
		}
	}
	return k, nil
}

// PublicKey returns the public key that the keystore names, if it names one.
// Only Decrypt finds out whether it is true.
func (k *Keystore) PublicKey() (pub bls.PublicKey, named bool) { return k.pub, k.named }

// Path returns where the key was derived in a wallet (EIP-2334), or nothing.
func (k *Keystore) Path() string { return k.doc.Path }

// Memory returns how many bytes Decrypt needs at its peak: 256 MiB for the usual
// scrypt keystore, next to nothing for PBKDF2.
func (k *Keystore) Memory() int64 { return k.doc.Crypto.KDF.memory() }

// Decrypt opens the keystore. The caller wipes the key.
//
// The password is normalised first (EIP-2335 "Password requirements"), so that a
// line break at its end, for one, does no harm.
//
// Errors: ErrWrongPassword, ErrPubkeyMismatch, or ErrInvalid if what the password
// opens is no BLS secret key.
func (k *Keystore) Decrypt(password string) (*bls.SecretKey, error) {
	normalised, err := normalise(password)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWrongPassword, err)
	}
	defer clear(normalised)
	c := &k.doc.Crypto
	derived, err := c.KDF.derive(normalised)
	if err != nil {
		return nil, fmt.Errorf("decrypt keystore: %w", err)
	}
	defer clear(derived)
	sum := checksum(derived, c.Cipher.Message)
	if subtle.ConstantTimeCompare(sum, c.Checksum.Message) != 1 {
		return nil, ErrWrongPassword
	}
	secret := crypt(derived, c.Cipher.Params.IV, c.Cipher.Message)
	defer clear(secret)
	key, err := bls.ParseSecretKey(secret)
	if err != nil {
		return nil, fmt.Errorf("%w: crypto.cipher.message: %w", ErrInvalid, err)
	}
	if pub := key.PublicKey(); k.named && pub != k.pub {
		key.Wipe()
		return nil, fmt.Errorf("%w: %v, not %v", ErrPubkeyMismatch, pub, k.pub)
	}
	return key, nil
}

// checksum binds the second half of the derived key to the ciphertext.
// Source: EIP-2335 "Password verification".
func checksum(derived, message []byte) []byte {
	h := sha256.New()
	h.Write(derived[16:32])
	h.Write(message)
	return h.Sum(nil)
}

// crypt encrypts or decrypts with AES-128-CTR under the first half of the
// derived key.
func crypt(derived, iv, in []byte) []byte {
	block, err := aes.NewCipher(derived[:16])
	if err != nil {
		panic("keystore: internal error: " + err.Error()) // only a key of another length
	}
	out := make([]byte, len(in))
	cipher.NewCTR(block, iv).XORKeyStream(out, in)
	return out
}
