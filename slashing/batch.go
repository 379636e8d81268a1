package slashing

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/secure-signer/secure-signer/bls"
)

// concurrentChanges is how many keys are changed at a time. A store makes what
// arrives together durable together: one after another, 100,000 keys would wait
// for 100,000 flushes.
const concurrentChanges = 256

// eachKey calls change for every key, many at a time, and returns an error or
// nil for each when all have returned.
func eachKey(pubs []bls.PublicKey, change func(bls.PublicKey) error) []error {
	errs := make([]error, len(pubs))
	var taken atomic.Int64
	var workers sync.WaitGroup
	for range min(concurrentChanges, len(pubs)) {
		workers.Go(func() {
			for i := taken.Add(1) - 1; i < int64(len(pubs)); i = taken.Add(1) - 1 {
				errs[i] = change(pubs[i])
			}
		})
	}
	workers.Wait()
	return errs
}

// summary is nil if all errs are, and else one error that counts them and wraps
// the first: 100,000 keys of one failed store fail alike.
func summary(done string, errs []error) error {
	var first error
	failed := 0
	for _, err := range errs {
		if err == nil {
			continue
		}
		if failed++; first == nil {
			first = err
		}
	}
	if failed == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d keys not %s, the first because: %w", failed, len(errs), done, first)
}
