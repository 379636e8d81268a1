package vault

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	"golang.org/x/crypto/scrypt"
)

// How hard a passphrase is to guess: scrypt (RFC 7914) with N = 2^work, r = 8,
// p = 1 takes 2^work KiB of memory. DefaultWork is 128 MiB and 0.4 s on one core
// of 2024. A file that asks for more than MaxWork, 256 MiB, is refused before any
// of it is spent.
const (
	DefaultWork = 17
	MaxWork     = 18
	MinWork     = 10 // 1 MiB and 3 ms, for tests
)

// The wrapped data key. All before the nonce is authenticated with it.
//
//	 0  6  tag
//	 6  1  work
//	 7 32  salt
//	39 12  nonce
//	51 32  data key, sealed by AES-256-GCM
//	83 16  tag
const (
	wrapTag     = "scrypt"
	wrapSealed  = len(wrapTag) + 1 + wrapSaltLen
	wrapSaltLen = 32
	wrapSize    = wrapSealed + 12 + keySize + tagSize
)

// Passphrase returns a Sealer that wraps by a passphrase of any bytes, used as
// they are. It keeps p and does not copy it: the caller may wipe p when Create,
// Open or Rewrap has returned, and not before.
func Passphrase(p []byte) Sealer { return &passphrase{secret: &p, work: DefaultWork} }

// PassphraseWork is Passphrase with another cost for what it wraps, from
// MinWork to MaxWork. What is wrapped already is unwrapped at the cost written
// beside it.
func PassphraseWork(p []byte, work int) (Sealer, error) {
	if work < MinWork || work > MaxWork {
		return nil, fmt.Errorf("scrypt work %d is not within %d and %d", work, MinWork, MaxWork)
	}
	return &passphrase{secret: &p, work: byte(work)}, nil
}

type passphrase struct {
	// Behind a second pointer: for %s of a struct that holds a Sealer in an
	// unexported field fmt calls no method, and follows the first.
	secret *[]byte
	work   byte
}

// Wrap seals the data key under a fresh salt.
func (p *passphrase) Wrap(dataKey []byte) ([]byte, error) {
	// All zero is what a passphrase is after it was wiped too early.
	if len(bytes.Trim(*p.secret, "\x00")) == 0 {
		return nil, errors.New("the passphrase is empty")
	}
	b := append([]byte(wrapTag), p.work)
	b = append(b, make([]byte, wrapSaltLen)...)
	rand.Read(b[len(wrapTag)+1:])
	aead, err := p.aead(b)
	if err != nil {
		return nil, err
	}
	return aead.Seal(b, nil, dataKey, b), nil
}

// Unwrap returns the data key, or ErrWrongPassphrase or ErrNoPassphrase.
func (p *passphrase) Unwrap(wrapped []byte) ([]byte, error) {
	if len(wrapped) != wrapSize || string(wrapped[:len(wrapTag)]) != wrapTag {
		return nil, ErrNoPassphrase
	}
	if work := wrapped[len(wrapTag)]; work < MinWork || work > MaxWork {
		return nil, fmt.Errorf("its passphrase asks for scrypt work %d, which is not within %d and %d", work, MinWork, MaxWork)
	}
	aead, err := p.aead(wrapped)
	if err != nil {
		return nil, err
	}
	dataKey, err := aead.Open(nil, nil, wrapped[wrapSealed:], wrapped[:wrapSealed])
	if err != nil {
		return nil, ErrWrongPassphrase
	}
	return dataKey, nil
}

// aead stretches the passphrase as the start of a wrapped key says.
func (p *passphrase) aead(wrapped []byte) (cipher.AEAD, error) {
	work, salt := wrapped[len(wrapTag)], wrapped[len(wrapTag)+1:wrapSealed]
	key, err := scrypt.Key(*p.secret, salt, 1<<work, 8, 1, keySize)
	if err != nil {
		return nil, fmt.Errorf("scrypt: %w", err)
	}
	defer clear(key)
	// What is loaded next must not come on top of 2^work KiB that nobody needs
	// any more.
	debug.FreeOSMemory()
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// Format prints REDACTED for every verb and flag.
func (*passphrase) Format(f fmt.State, _ rune) { io.WriteString(f, "vault.Passphrase(REDACTED)") }
