package keymanager

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/keystore"
)

// A candidate is one keystore of a request, opened as far as it needs to be.
type candidate struct {
	pub    bls.PublicKey
	held   bool           // in service already: not opened
	secret *bls.SecretKey // of a key that is not
	err    error          // why it is neither
}

// open opens the keystores of a request, as many at a time as there are
// processors and the memory budget allows. The caller wipes the secrets.
func (h *handler) open(ctx context.Context, keystores, passwords []string) []candidate {
	held := h.Custody.List()
	candidates := make([]candidate, len(keystores))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(len(keystores), runtime.GOMAXPROCS(0)) {
		workers.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(keystores) {
					return
				}
				candidates[i] = h.openOne(ctx, held, keystores[i], passwords[i])
			}
		})
	}
	workers.Wait()
	return candidates
}

// openOne does not open the keystore of a key in service: whoever repeats an
// import that was cut short would pay for every key again.
func (h *handler) openOne(ctx context.Context, held []bls.PublicKey, text, password string) candidate {
	ks, err := keystore.Parse([]byte(text))
	if err != nil {
		return candidate{err: err}
	}
	if pub, named := ks.PublicKey(); named && contains(held, pub) {
		return candidate{pub: pub, held: true}
	}
	memory := ks.Memory()
	giveBack, err := h.budget.take(ctx, memory)
	if err != nil {
		return candidate{err: err}
	}
	defer giveBack()
	if memory > budgetUnit {
		defer debug.FreeOSMemory() // what it used is in use until it is collected
	}
	secret, err := ks.Decrypt(password)
	switch {
	case errors.Is(err, keystore.ErrWrongPassword):
		return candidate{err: fmt.Errorf("%w for this keystore: passwords[i] has to open keystores[i]", err)}
	case err != nil:
		return candidate{err: err}
	}
	return candidate{pub: secret.PublicKey(), secret: secret}
}

// contains searches ascending keys.
func contains(sorted []bls.PublicKey, pub bls.PublicKey) bool {
	_, found := slices.BinarySearchFunc(sorted, pub, func(a, b bls.PublicKey) int { return bytes.Compare(a[:], b[:]) })
	return found
}

func wipe(candidates []candidate) {
	for _, c := range candidates {
		if c.secret != nil {
			c.secret.Wipe()
		}
	}
}
