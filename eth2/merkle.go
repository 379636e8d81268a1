package eth2

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"
)

// A Container is an SSZ container of this package.
type Container interface {
	root(*hasher) Root
}

// HashTreeRoot returns the root of c under the limits of p. A list or bit
// field that does not fit them is an ErrInvalidMessage.
//
// Source: consensus-specs ssz/simple-serialize.md, section Merkleization.
func HashTreeRoot(c Container, p *Preset) (Root, error) {
	h := hasher{Preset: p}
	root := c.root(&h)
	return root, h.err
}

// A hasher computes hash tree roots. It keeps the first thing that does not
// fit the preset, so that the root of a container reads as the list of its
// fields. A root is worth nothing until err has been looked at.
type hasher struct {
	*Preset
	err error
}

func (h *hasher) invalid(format string, args ...any) {
	if h.err == nil {
		h.err = fmt.Errorf("%w: "+format, append([]any{ErrInvalidMessage}, args...)...)
	}
}

// container is the root of a container with these field roots. It overwrites
// them.
func container(fields ...Root) Root {
	return merkleize(fields, uint64(len(fields)))
}

func number[N ~uint64](n N) (root Root) {
	binary.LittleEndian.PutUint64(root[:], uint64(n))
	return root
}

func boolean(b bool) (root Root) {
	if b {
		root[0] = 1
	}
	return root
}

// vector is the root of a ByteVector of at most 256 bytes.
func vector(b []byte) Root {
	var chunks [8]Root
	n := pack(chunks[:], b)
	return merkleize(chunks[:n], uint64(n))
}

// bitvector is the root of a Bitvector of size bits.
func (h *hasher) bitvector(name string, b Bitvector, size uint64) Root {
	if uint64(len(b)) != (size+7)/8 {
		h.invalid("%s: %d bytes, want %d bits", name, len(b), size)
		return Root{}
	}
	if size%8 != 0 && b[len(b)-1]>>(size%8) != 0 {
		h.invalid("%s: a bit above the %d is set", name, size)
		return Root{}
	}
	chunks := packed(b)
	return merkleize(chunks, uint64(len(chunks)))
}

// bitlist is the root of a Bitlist of at most limit bits.
func (h *hasher) bitlist(name string, b Bitlist, limit uint64) Root {
	bits, n := h.delimited(name, b)
	if n > limit {
		h.invalid("%s: %d bits, limit %d", name, n, limit)
		return Root{}
	}
	return withLength(merkleize(packed(bits), (limit+255)/256), n)
}

// delimited splits a bitlist into its bits, without the delimiter, and their
// number.
func (h *hasher) delimited(name string, b Bitlist) ([]byte, uint64) {
	if len(b) == 0 || b[len(b)-1] == 0 {
		h.invalid("%s: the delimiter bit is missing", name)
		return nil, 0
	}
	last := len(b) - 1
	top := bits.Len8(b[last]) - 1
	out := append([]byte(nil), b...)
	out[last] &^= 1 << top
	if top == 0 {
		out = out[:last]
	}
	return out, uint64(last)*8 + uint64(top)
}

// list is the root of a list of at most limit containers.
func list[T any, C interface {
	*T
	Container
}](h *hasher, name string, items []T, limit uint64) Root {
	if !h.fits(name, len(items), limit) {
		return Root{}
	}
	return withLength(merkleize(roots[T, C](h, items), limit), uint64(len(items)))
}

// numbers is the root of a list of at most limit uint64.
func numbers[N ~uint64](h *hasher, name string, items []N, limit uint64) Root {
	if !h.fits(name, len(items), limit) {
		return Root{}
	}
	return withLength(merkleize(packedNumbers(items), (limit+3)/4), uint64(len(items)))
}

func (h *hasher) fits(name string, n int, limit uint64) bool {
	if uint64(n) > limit {
		h.invalid("%s: %d items, limit %d", name, n, limit)
		return false
	}
	return true
}

func roots[T any, C interface {
	*T
	Container
}](h *hasher, items []T) []Root {
	out := make([]Root, len(items))
	for i := range items {
		out[i] = C(&items[i]).root(h)
	}
	return out
}

func packedNumbers[N ~uint64](items []N) []Root {
	chunks := make([]Root, (len(items)+3)/4)
	for i, n := range items {
		binary.LittleEndian.PutUint64(chunks[i/4][i%4*8:], uint64(n))
	}
	return chunks
}

func packed(b []byte) []Root {
	chunks := make([]Root, (len(b)+31)/32)
	pack(chunks, b)
	return chunks
}

// pack copies b into chunks and returns how many it fills.
func pack(chunks []Root, b []byte) int {
	n := 0
	for ; len(b) > 0; n++ {
		b = b[copy(chunks[n][:], b):]
	}
	return n
}

func withLength(root Root, n uint64) Root {
	length := number(n)
	return hashPair(&root, &length)
}

// merkleize is the root of the tree whose leaves are chunks, filled up with
// zeros to the next power of two of limit. It overwrites chunks.
func merkleize(chunks []Root, limit uint64) Root {
	depth := treeDepth(limit)
	if len(chunks) == 0 {
		return zeroHashes[depth]
	}
	for level := range depth {
		for i := 0; i < len(chunks); i += 2 {
			right := &zeroHashes[level]
			if i+1 < len(chunks) {
				right = &chunks[i+1]
			}
			chunks[i/2] = hashPair(&chunks[i], right)
		}
		chunks = chunks[:(len(chunks)+1)/2]
	}
	return chunks[0]
}

func treeDepth(leaves uint64) int {
	if leaves <= 1 {
		return 0
	}
	return bits.Len64(leaves - 1)
}

func hashPair(left, right *Root) Root {
	var both [64]byte
	copy(both[:32], left[:])
	copy(both[32:], right[:])
	return sha256.Sum256(both[:])
}

// zeroHashes holds the roots of trees of zeros, by depth.
var zeroHashes = func() (table [64]Root) {
	for i := range len(table) - 1 {
		table[i+1] = hashPair(&table[i], &table[i])
	}
	return table
}()
