package audit

import (
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// A tree is the right edge of a Merkle tree (RFC 6962): the roots of its whole
// subtrees, largest first. Entries are added to it and its root is read off it;
// what is to the left of the edge is not needed for either.
type tree struct {
	size  int64
	peaks []tlog.Hash // one for each bit of size that is 1
}

// maxSize is more than any log comes to: a size that somebody made up overflows nothing.
const maxSize = 1 << 56

// newTree is the tree that a segment goes on with.
func newTree(size int64, peaks []tlog.Hash) (tree, error) {
	if size < 0 || size > maxSize || bits.OnesCount64(uint64(size)) != len(peaks) {
		return tree{}, fmt.Errorf("a tree of %d entries does not have %d peaks", size, len(peaks))
	}
	return tree{size, append([]tlog.Hash(nil), peaks...)}, nil
}

// add puts line at the end, and tells keep, if there is one, each hash that is
// whole by it.
func (t *tree) add(line []byte, keep func(stored int64, h tlog.Hash)) {
	h := tlog.RecordHash(line)
	level, n := 0, t.size
	for {
		if keep != nil {
			keep(tlog.StoredHashIndex(level, n), h)
		}
		if n&1 == 0 {
			break
		}
		last := len(t.peaks) - 1
		h = tlog.NodeHash(t.peaks[last], h)
		t.peaks = t.peaks[:last]
		level, n = level+1, n>>1
	}
	t.peaks = append(t.peaks, h)
	t.size++
}

// root is that of a tree that is not empty.
func (t *tree) root() tlog.Hash {
	last := len(t.peaks) - 1
	h := t.peaks[last]
	for i := last - 1; i >= 0; i-- {
		h = tlog.NodeHash(t.peaks[i], h)
	}
	return h
}

// tell gives keep the peaks: all that proofs need of what came before.
func (t *tree) tell(keep func(stored int64, h tlog.Hash)) {
	begun := int64(0)
	i := 0
	for level := 62; level >= 0; level-- {
		if t.size>>level&1 == 1 {
			keep(tlog.StoredHashIndex(level, begun>>level), t.peaks[i])
			begun += 1 << level
			i++
		}
	}
}

// clone shares nothing with t.
func (t *tree) clone() tree { return tree{t.size, append([]tlog.Hash(nil), t.peaks...)} }
