package signer

import (
	"time"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
)

// An Auditor keeps every decision. Whoever answers requests reserves a place
// before anything is decided, so that nothing is signed that could not be kept.
type Auditor interface {
	// Reserve takes a place for one decision. After a nil error Decided must be
	// called once; any other means that there is no place: nothing may be signed.
	Reserve() error

	// Decided fills a place. It does not wait for the disk, and keeps nothing of d.
	Decided(d Decision)
}

// A Decision is what became of one request.
type Decision struct {
	Time    time.Time
	Caller  Caller
	Key     bls.PublicKey
	Message eth2.Message // nil if there was none to be read; then Key and Root mean nothing
	Root    eth2.Root    // the signing root of Message; zero if it has none on this chain
	Refusal *Refusal     // nil if signed
}
