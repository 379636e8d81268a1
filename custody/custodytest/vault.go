// Package custodytest keeps no key: it stands for a vault in tests of those who bring
// keys into service and take them out.
package custodytest

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/vault"
)

// A Vault is a custody.Vault that knows which keys it holds, and forgets their
// secrets. The zero Vault is empty.
type Vault struct {
	mu   sync.Mutex // guards held
	held map[bls.PublicKey]bool
}

// List returns the keys that it holds.
func (v *Vault) List() []bls.PublicKey {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Collect(maps.Keys(v.held))
}

// Keys yields nothing: the secrets are forgotten.
func (v *Vault) Keys(func(bls.PublicKey, *bls.SecretKey) bool) error { return nil }

// Add returns vault.ErrExists for a key that it holds.
func (v *Vault) Add(_ context.Context, _ *bls.SecretKey, pub bls.PublicKey) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.held[pub] {
		return vault.ErrExists
	}
	if v.held == nil {
		v.held = make(map[bls.PublicKey]bool)
	}
	v.held[pub] = true
	return nil
}

// Delete returns vault.ErrNotFound for a key that it does not hold.
func (v *Vault) Delete(_ context.Context, pub bls.PublicKey) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.held[pub] {
		return vault.ErrNotFound
	}
	delete(v.held, pub)
	return nil
}
