// Package signer turns one authorised request into at most one signature.
//
// It holds no key, keeps no state and speaks no protocol: it is the order in
// which the parts that do are asked. That order is the safety argument.
package signer

import (
	"context"
	"errors"
	"fmt"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
)

// Keys holds the secret keys and signs with them.
type Keys interface {
	Key(pub bls.PublicKey) (*bls.Key, bool)
	Sign(ctx context.Context, key *bls.Key, root [32]byte) (bls.Signature, error)
	SignFirst(ctx context.Context, key *bls.Key, root [32]byte) (bls.Signature, error) // before all who wait in Sign
}

// A Guard remembers what a key has signed and refuses what would conflict.
//
// Record returns nil only once the record that forbids every conflicting
// message is durable. A refusal has a method Reason() string that returns one
// of this package's reasons; any other error means that nothing is known.
type Guard interface {
	Record(ctx context.Context, pub bls.PublicKey, m eth2.Message, root eth2.Root) error
}

// A Policy says who may sign what with which key. A nil error allows.
type Policy interface {
	Allow(caller Caller, pub bls.PublicKey, m eth2.Message) error
}

// A Caller is whoever sent a request, as far as the edge could tell.
type Caller struct {
	Name string // from a certificate, token or socket; else the remote address
}

// A Request asks for one signature.
type Request struct {
	Caller  Caller
	Key     bls.PublicKey
	Message eth2.Message
	Urgent  bool // signed before whatever waits for the same processors: it changes nothing else

	// ClaimedRoots are the signing roots that the client sent, if any. Each
	// must equal the one computed here; none is ever signed for itself.
	ClaimedRoots []eth2.Root
}

// A Signer signs for one network.
type Signer struct {
	Network *eth2.Network
	Keys    Keys
	Guard   Guard
	Policy  Policy
}

// Sign returns the signature that r asks for, or a *Refusal.
//
// The order of the five steps is what makes two conflicting signatures
// impossible:
//
//  1. the policy allows the caller, the key and the kind;
//  2. the key is here, so that no record is written for a stranger's key;
//  3. the signing root is computed from the typed message and nothing else;
//  4. the guard has made the record that forbids a conflict durable;
//  5. only now is the secret touched.
//
// A crash between 4 and 5 costs a signature, never a conflict: the identical
// message passes 4 again. A caller that hangs up cannot leave the outcome of 4
// unknown, because Guard finishes what it has begun.
func (s *Signer) Sign(ctx context.Context, r Request) (bls.Signature, error) {
	if err := s.Policy.Allow(r.Caller, r.Key, r.Message); err != nil {
		return bls.Signature{}, refuse(ReasonKindNotAllowed, err)
	}
	key, ok := s.Keys.Key(r.Key)
	if !ok {
		return bls.Signature{}, refuse(ReasonKeyNotFound, fmt.Errorf("no key %v is held here", r.Key))
	}
	root, err := s.signingRoot(r)
	if err != nil {
		return bls.Signature{}, err
	}
	err = s.Guard.Record(ctx, r.Key, r.Message, root)
	switch {
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return bls.Signature{}, refuse(ReasonClientGone, err)
	case err != nil:
		return bls.Signature{}, refuse(ReasonStoreUnavailable, err)
	}
	sign := s.Keys.Sign
	if r.Urgent {
		sign = s.Keys.SignFirst
	}
	sig, err := sign(context.WithoutCancel(ctx), key, root)
	switch {
	case errors.Is(err, bls.ErrRemoved):
		return bls.Signature{}, refuse(ReasonKeyNotFound, err)
	case errors.Is(err, bls.ErrClosed):
		return bls.Signature{}, refuse(ReasonShuttingDown, err)
	case err != nil:
		return bls.Signature{}, refuse(ReasonInternal, err)
	}
	return sig, nil
}

// signingRoot computes the root to sign and holds it against what the client
// claims. A registration must name the key that signs it: a relay would
// otherwise be told that this validator's fees go where another key says.
func (s *Signer) signingRoot(r Request) (eth2.Root, error) {
	if m, ok := r.Message.(*eth2.ValidatorRegistration); ok && bls.PublicKey(m.Registration.Pubkey) != r.Key {
		return eth2.Root{}, refuse(ReasonPubkeyMismatch,
			fmt.Errorf("the registration is for %v, not for the signing key", bls.PublicKey(m.Registration.Pubkey)))
	}
	root, err := r.Message.SigningRoot(s.Network)
	switch {
	case errors.Is(err, eth2.ErrForeignChain):
		return eth2.Root{}, refuse(ReasonForeignChain, err)
	case errors.Is(err, eth2.ErrUnknownFork):
		return eth2.Root{}, refuse(ReasonUnknownFork, err)
	case err != nil:
		return eth2.Root{}, refuse(ReasonInvalidMessage, err)
	}
	for _, claimed := range r.ClaimedRoots {
		if claimed != root {
			return eth2.Root{}, refuse(ReasonSigningRootMismatch,
				fmt.Errorf("the client says signing root %v, the message has %v", claimed, root))
		}
	}
	return root, nil
}
