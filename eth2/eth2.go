// Package eth2 knows the messages that an Ethereum validator signs, the
// networks it signs them for, and the root that goes under each signature.
//
// It guarantees that a signing root is computed from a typed message alone,
// under the limits of the network's own preset, for the network's own chain:
// a fork_info of another chain is ErrForeignChain, a fork version outside the
// network's schedule is ErrUnknownFork, a list or bit field that its SSZ type
// does not admit is ErrInvalidMessage. No input makes it panic.
//
// It does not judge a message. Whether a signature could be slashed, whether
// an epoch lies in the future and whether a public key is a point on the curve
// is for others to say.
//
// Sources: consensus-specs phase0 to gloas (SpecVersion) beacon-chain.md and
// validator.md, ssz/simple-serialize.md, EIP-7044, EIP-7495, EIP-7916,
// builder-specs, remote-signing-api 1.4.0.
package eth2

import "errors"

// Why a message has no signing root here. SigningRoot wraps them with the
// offending value.
var (
	ErrForeignChain   = errors.New("another chain's genesis_validators_root")
	ErrUnknownFork    = errors.New("fork version is not in the network's schedule")
	ErrInvalidMessage = errors.New("invalid message")
)
