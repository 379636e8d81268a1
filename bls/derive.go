package bls

import (
	"fmt"

	blst "github.com/supranational/blst/bindings/go"
)

// minSeed is the shortest seed. Source: EIP-2333, derive_master_SK.
const minSeed = 32

// DeriveMaster computes the root of a tree of keys from a seed of at least 32
// bytes, which the caller wipes. Source: EIP-2333, derive_master_SK.
func DeriveMaster(seed []byte) (*SecretKey, error) {
	if len(seed) < minSeed {
		return nil, fmt.Errorf("derive master key: the seed has %d bytes, want at least %d", len(seed), minSeed)
	}
	return adopt(blst.DeriveMasterEip2333(seed)), nil
}

// Child computes one of the 2³² keys below k, each hardened: it tells nothing of k
// or of its siblings. Source: EIP-2333, derive_child_SK.
func (k *SecretKey) Child(index uint32) *SecretKey {
	return adopt(k.secret().DeriveChildEip2333(index))
}

// adopt moves a key out of a copy that the library would wipe by a finalizer: some
// time, or never.
func adopt(derived *blst.SecretKey) *SecretKey {
	defer derived.Zeroize()
	scalar := new(blst.Scalar)
	*scalar = *derived
	return &SecretKey{hide(scalar)}
}
