package tee

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// A Sealer wraps one secret by a platform. It is a vault's Sealer.
type Sealer struct {
	platform Platform
	label    string
}

// NewSealer returns a Sealer for secrets that must not be opened under other
// settings than those that the hash stands for: whoever owns the machine could
// otherwise switch off what protects from him.
func NewSealer(p Platform, settings [32]byte) Sealer {
	return Sealer{platform: p, label: "secure-signer vault v1 " + hex.EncodeToString(settings[:])}
}

// ErrOtherSeal means that the hardware, the program or the settings are not those
// that have sealed.
var ErrOtherSeal = errors.New("sealed by other hardware, another program, or under other settings")

// ErrNotSealed means that something else has sealed, as for example a passphrase.
var ErrNotSealed = errors.New("it is not sealed by trusted hardware")

// sealTag begins what is wrapped, and is authenticated with it.
const sealTag = "tee v1"

// sealTime bounds how long the hardware, or who keeps the key for it, may take.
const sealTime = time.Minute

// Wrap seals a secret.
func (s Sealer) Wrap(secret []byte) ([]byte, error) {
	aead, err := s.aead()
	if err != nil {
		return nil, err
	}
	return aead.Seal([]byte(sealTag), nil, secret, []byte(sealTag)), nil
}

// Unwrap opens what Wrap has sealed, or returns ErrOtherSeal or ErrNotSealed.
func (s Sealer) Unwrap(wrapped []byte) ([]byte, error) {
	if len(wrapped) < len(sealTag) || string(wrapped[:len(sealTag)]) != sealTag {
		return nil, ErrNotSealed
	}
	aead, err := s.aead()
	if err != nil {
		return nil, err
	}
	secret, err := aead.Open(nil, nil, wrapped[len(sealTag):], wrapped[:len(sealTag)])
	if err != nil {
		return nil, ErrOtherSeal
	}
	return secret, nil
}

func (s Sealer) aead() (cipher.AEAD, error) {
	ctx, cancel := context.WithTimeout(context.Background(), sealTime)
	defer cancel()
	key, err := s.platform.SealKey(ctx, s.label)
	if err != nil {
		return nil, fmt.Errorf("get the sealing key: %w", err)
	}
	defer clear(key)
	if len(key) != keySize {
		return nil, fmt.Errorf("the platform's sealing key has %d bytes, want %d", len(key), keySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
