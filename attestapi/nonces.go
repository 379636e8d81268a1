package attestapi

import (
	"crypto/rand"
	"sync"
	"time"

	"github.com/secure-signer/secure-signer/attest"
)

const (
	// ImportTime is how long an import nonce is good.
	ImportTime = 10 * time.Minute

	// maxNonces bounds how many are remembered. The oldest goes first: whoever
	// floods POST /attest can cost others a repetition, and memory of 100 KB.
	maxNonces = 1024
)

// nonces are those of imports to come. Each is of one piece of evidence and is taken
// once.
type nonces struct {
	now func() time.Time

	mu   sync.Mutex // guards open and age
	open map[attest.Nonce]issued
	age  []attest.Nonce // in the order in which they were drawn
}

type issued struct {
	evidence attest.Digest
	expires  time.Time
}

func newNonces(now func() time.Time) *nonces {
	return &nonces{now: now, open: make(map[attest.Nonce]issued)}
}

// draw returns a nonce for the evidence.
func (n *nonces) draw(evidence attest.Digest) attest.Nonce {
	var nonce attest.Nonce
	rand.Read(nonce[:]) // never fails
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.age) == maxNonces {
		delete(n.open, n.age[0])
		n.age = n.age[1:]
	}
	n.open[nonce] = issued{evidence, n.now().Add(ImportTime)}
	n.age = append(n.age, nonce)
	return nonce
}

// take returns which evidence the nonce belongs to, once.
func (n *nonces) take(nonce attest.Nonce) (attest.Digest, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	of, ok := n.open[nonce]
	delete(n.open, nonce)
	return of.evidence, ok && n.now().Before(of.expires)
}
