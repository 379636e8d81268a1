package tee

import (
	"context"
	"fmt"

	"github.com/secure-signer/secure-signer/attest"
)

// A KeyRelease keeps a sealing key for programs whose hardware cannot: it gives it
// to whoever proves to be the one that it belongs to. Package peer is one, over HTTP.
//
// Whoever answers in its place knows the key, and with it all that is sealed from
// then on. An implementation must know whom it asks, and by something that the host
// cannot change unseen.
type KeyRelease interface {
	// Nonce returns what the next evidence must be bound to.
	Nonce(ctx context.Context) (attest.Nonce, error)

	// Release judges evidence whose claims name an HPKE key (X-Wing, RFC 9180) and
	// that is bound to the nonce and to no connection. It returns the sealing key
	// for the label, 32 bytes, sealed to that key with ReleaseInfo.
	Release(ctx context.Context, nonce attest.Nonce, ev attest.Evidence, label string) (sealed []byte, err error)
}

// WithRelease returns the platform with the sealing key of the keeper. Each call of
// SealKey asks it, with fresh evidence and for a key of its own to seal to.
func WithRelease(p Platform, keeper KeyRelease) Platform { return released{p, keeper} }

type released struct {
	Platform
	keeper KeyRelease
}

// keySize is the length of a sealing key.
const keySize = 32

func (r released) Identity(ctx context.Context) (Identity, error) {
	id, err := r.Platform.Identity(ctx)
	if err != nil {
		return Identity{}, err
	}
	id.Lacks = append(id.Lacks[:len(id.Lacks):len(id.Lacks)], "its sealing key is kept by another machine, which must answer at every start and could open the vault")
	return id, nil
}

func (r released) SealKey(ctx context.Context, label string) ([]byte, error) {
	inbox, err := attest.NewInbox()
	if err != nil {
		return nil, err
	}
	nonce, err := r.keeper.Nonce(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask the key keeper for a nonce: %w", err)
	}
	claims := attest.Claims{HPKEKey: inbox.PublicKey()}
	ev, err := r.Evidence(ctx, claims.ReportData(nonce, nil))
	if err != nil {
		return nil, fmt.Errorf("evidence for the key keeper: %w", err)
	}
	ev.Claims = claims
	sealed, err := r.keeper.Release(ctx, nonce, ev, label)
	if err != nil {
		return nil, fmt.Errorf("ask the key keeper: %w", err)
	}
	key, err := inbox.Open(ReleaseInfo(nonce, label), sealed)
	if err != nil {
		return nil, fmt.Errorf("the key keeper's answer: %w", err)
	}
	if len(key) != keySize {
		clear(key)
		return nil, fmt.Errorf("the key keeper's answer is %d bytes, want %d", len(key), keySize)
	}
	return key, nil
}

// ReleaseInfo is what a keeper seals a key with, so that an answer cannot be taken
// for that to another question: a domain, the nonce, and the label.
func ReleaseInfo(nonce attest.Nonce, label string) []byte {
	info := append([]byte("secure-signer key release v1\x00"), nonce[:]...)
	return append(info, label...)
}
