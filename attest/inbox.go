package attest

import (
	"crypto/hpke"
	"fmt"
)

// An Inbox opens what others have sealed to one key, which was made in this
// process, lives as long as it and leaves it never. Evidence whose Claims name the
// key shows to whom a sealed secret goes.
//
// HPKE (RFC 9180) in base mode with X-Wing (ML-KEM-768 and X25519), HKDF-SHA256
// and AES-256-GCM: what is recorded today stays closed to a quantum computer, and
// a validator's key lives for years.
type Inbox struct{ key hpke.PrivateKey }

// NewInbox makes a key.
func NewInbox() (*Inbox, error) {
	key, err := hpke.MLKEM768X25519().GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("make an HPKE key: %w", err)
	}
	return &Inbox{key}, nil
}

// PublicKey is what Claims.HPKEKey names, 1216 bytes.
func (b *Inbox) PublicKey() []byte { return b.key.PublicKey().Bytes() }

// Open opens what SealTo has sealed to this key with the same info.
func (b *Inbox) Open(info, sealed []byte) ([]byte, error) {
	text, err := hpke.Open(b.key, hpke.HKDFSHA256(), hpke.AES256GCM(), info, sealed)
	if err != nil {
		return nil, fmt.Errorf("it was sealed to another key, for another use, or has changed on its way: %w", err)
	}
	return text, nil
}

// SealTo seals a secret to an Inbox, of which the public key is given. Seal to
// one only whose evidence a Policy has accepted. Info is whatever both sides must
// agree on.
func SealTo(hpkeKey, info, secret []byte) ([]byte, error) {
	key, err := hpke.MLKEM768X25519().NewPublicKey(hpkeKey)
	if err != nil {
		return nil, fmt.Errorf("this is no X-Wing key: %w", err)
	}
	return hpke.Seal(key, hpke.HKDFSHA256(), hpke.AES256GCM(), info, secret)
}
