package bls

import (
	"context"
	"errors"
)

// Config says how a keyring works.
type Config struct {
	Workers     int
	CachedRoots int
}

var (
	ErrDuplicate = errors.New("key is in the keyring already")
	ErrRemoved   = errors.New("key is not in the keyring any more")
	ErrClosed    = errors.New("keyring is closed")
)

// A Keyring holds the keys in service.
type Keyring struct{}

// A Key is a handle.
type Key struct{ pub PublicKey }

func (k *Key) PublicKey() PublicKey { return k.pub }

func OpenKeyring(Config) (*Keyring, error)                        { return nil, errors.ErrUnsupported }
func (k *Keyring) Add(pub PublicKey, sk *SecretKey) (*Key, error) { return nil, errors.ErrUnsupported }
func (k *Keyring) Key(pub PublicKey) (*Key, bool)                 { return nil, false }
func (k *Keyring) PublicKeys() []PublicKey                        { return nil }
func (k *Keyring) Len() int                                       { return 0 }
func (k *Keyring) Remove(pub PublicKey) bool                      { return false }
func (k *Keyring) Protections() []string                          { return nil }
func (k *Keyring) Sign(context.Context, *Key, [32]byte) (Signature, error) {
	return Signature{}, errors.ErrUnsupported
}
func (k *Keyring) Close() error { return nil }
