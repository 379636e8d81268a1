package bls

import (
	"container/list"
	"sync"

	blst "github.com/supranational/blst/bindings/go"
)

// A hashCache keeps the curve points of the roots hashed last. Half the cost of
// a signature is the hash, and all attesters of a slot sign the same root.
//
// A root is hashed once however many wait for it. Points are public and shared:
// nobody may change one.
type hashCache struct {
	limit int
	hash  func(root [32]byte) *blst.P2

	mu      sync.Mutex // guards what follows; never held while hashing
	entries map[[32]byte]*list.Element
	recent  *list.List // of *hashedRoot, the last used first
}

type hashedRoot struct {
	root  [32]byte
	point func() *blst.P2 // the first call hashes, the others wait for it
}

func newHashCache(limit int, hash func([32]byte) *blst.P2) *hashCache {
	return &hashCache{
		limit:   limit,
		hash:    hash,
		entries: make(map[[32]byte]*list.Element),
		recent:  list.New(),
	}
}

// point returns H(root).
func (c *hashCache) point(root [32]byte) *blst.P2 { return c.entry(root).point() }

// entry finds or makes the entry of root and forgets the one used longest ago if
// they become too many.
func (c *hashCache) entry(root [32]byte) *hashedRoot {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.entries[root]; ok {
		c.recent.MoveToFront(e)
		return e.Value.(*hashedRoot)
	}
	h := &hashedRoot{root, sync.OnceValue(func() *blst.P2 { return c.hash(root) })}
	c.entries[root] = c.recent.PushFront(h)
	if c.recent.Len() > c.limit {
		oldest := c.recent.Remove(c.recent.Back()).(*hashedRoot)
		delete(c.entries, oldest.root)
	}
	return h
}

// hashToCurve is hash_to_point of the ciphersuite.
func hashToCurve(root [32]byte) *blst.P2 { return blst.HashToG2(root[:], ciphersuite) }
