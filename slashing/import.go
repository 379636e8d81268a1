package slashing

import (
	"bytes"
	"context"
	"io"
	"maps"
	"slices"

	"github.com/secure-signer/secure-signer/bls"
)

// Imported has an entry for each key that an import concerned: nil if the floors
// that its history demands are durable, or why they may not be.
type Imported map[bls.PublicKey]error

// Import reads an EIP-3076 interchange of version 5 and raises the floors of the
// keys that it names and only wants; a nil only wants all. It lowers nothing, and
// makes no message signable that was not. A key that is not held here gets a
// record that waits for Enroll.
//
// Nothing is applied unless the whole file is valid and for this chain: the error
// is then ErrInterchange, eth2.ErrForeignChain, or of r, and Imported is nil. A
// key whose record cannot be written does not keep the others from theirs; the
// error counts such keys and wraps the first one's. An import may be repeated.
//
// The file is read as a stream. Memory grows with the number of its keys, by some
// 200 bytes each.
func (g *Guard) Import(ctx context.Context, r io.Reader, only func(bls.PublicKey) bool) (Imported, error) {
	history, err := readInterchange(r, g.network.GenesisValidatorsRoot, only)
	if err != nil {
		return nil, err
	}
	pubs := slices.SortedFunc(maps.Keys(history), func(a, b bls.PublicKey) int { return bytes.Compare(a[:], b[:]) })
	errs := eachKey(pubs, func(pub bls.PublicKey) error {
		return g.change(ctx, pub, func(s State, exists bool) (State, error) {
			if !exists {
				s.disabled = true
			}
			return s.Raise(history[pub]), nil
		})
	})
	imported := make(Imported, len(pubs))
	for i, pub := range pubs {
		imported[pub] = errs[i]
	}
	return imported, summary("imported", errs)
}
