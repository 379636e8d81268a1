package mnemonic

import (
	"fmt"

	"github.com/secure-signer/secure-signer/bls"
)

// A Tree derives the keys of validators. Wipe it as soon as they are derived.
type Tree struct{ validators *bls.SecretKey }

// Tree opens the tree of m under a passphrase, which may be empty, and which none
// can tell from a wrong one: compare the keys. Its normalisation is that of BIP-39.
func (m Mnemonic) Tree(passphrase string) (*Tree, error) {
	seed, err := m.seed(passphrase)
	if err != nil {
		return nil, err
	}
	defer clear(seed)
	master, err := bls.DeriveMaster(seed)
	if err != nil {
		return nil, err
	}
	return &Tree{descend(master, 12381, 3600)}, nil // Source: EIP-2334, "Purpose" and "Coin type"
}

// Key returns the key that validator i signs with. The caller wipes it.
func (t *Tree) Key(i uint32) *bls.SecretKey {
	return descend(t.validators.Child(i), 0, 0) // Source: EIP-2334, "Validator keys"
}

// Path is where Key finds it.
func Path(i uint32) string { return fmt.Sprintf("m/12381/3600/%d/0/0", i) }

// Wipe overwrites the secret.
func (t *Tree) Wipe() { t.validators.Wipe() }

// descend follows a path and wipes what it passes.
func descend(key *bls.SecretKey, path ...uint32) *bls.SecretKey {
	for _, index := range path {
		child := key.Child(index)
		key.Wipe()
		key = child
	}
	return key
}
