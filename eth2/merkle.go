package eth2

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"
)

// An Object is a value of this package that has a hash tree root: a pointer to
// a container.
type Object interface {
	root(*hasher) Root
}

// HashTreeRoot returns the root of o under the limits of p. A list or bit
// field that does not fit them is an ErrInvalidMessage.
//
// Source: consensus-specs ssz/simple-serialize.md, section Merkleization.
func HashTreeRoot(o Object, p *Preset) (Root, error) {
	h := hasher{Preset: p}
	root := o.root(&h)
	if h.err != nil {
		return Root{}, h.err
	}
	return root, nil
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
		h.err = fmt.Errorf("%w: %s", ErrInvalidMessage, fmt.Sprintf(format, args...))
	}
}

// container is the root of a container with these field roots, which it
// overwrites.
func container(fields ...Root) Root {
	return merkleize(fields, uint64(len(fields)))
}

// progressiveContainer is the root of a ProgressiveContainer without gaps. It
// overwrites the roots of its fields.
//
// Source: EIP-7495.
func progressiveContainer(fields ...Root) Root {
	var active Root
	for i := range fields {
		active[i/8] |= 1 << (i % 8)
	}
	root := progressive(fields, 1)
	return hashPair(&root, &active)
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

func (h *hasher) byteList(name string, b Bytes, limit uint64) Root {
	if !h.fits(name, len(b), limit) {
		return Root{}
	}
	return withLength(merkleize(packed(b), (limit+31)/32), len(b))
}

func (h *hasher) bitvector(name string, b Bitvector, size uint64) Root {
	if uint64(len(b)) != (size+7)/8 {
		h.invalid("%s: %d bytes, want %d bits", name, len(b), size)
		return Root{}
	}
	if size%8 != 0 && b[len(b)-1]>>(size%8) != 0 {
		h.invalid("%s: a bit above the %d is set", name, size)
		return Root{}
	}
	return merkleize(packed(b), (size+255)/256)
}

func (h *hasher) bitlist(name string, b Bitlist, limit uint64) Root {
	data, n := h.undelimited(name, b)
	if !h.fits(name, n, limit) {
		return Root{}
	}
	return withLength(merkleize(packed(data), (limit+255)/256), n)
}

func (h *hasher) progressiveBitlist(name string, b Bitlist) Root {
	data, n := h.undelimited(name, b)
	return withLength(progressive(packed(data), 1), n)
}

// undelimited returns the bits below the delimiter and their number.
func (h *hasher) undelimited(name string, b Bitlist) ([]byte, int) {
	if len(b) == 0 || b[len(b)-1] == 0 {
		h.invalid("%s: the delimiter bit is missing", name)
		return nil, 0
	}
	last := len(b) - 1
	top := bits.Len8(b[last]) - 1
	data := append([]byte(nil), b[:last]...)
	if top > 0 {
		data = append(data, b[last]&^(1<<top))
	}
	return data, 8*last + top
}

// list is the root of a List of containers.
func list[T any, P interface {
	*T
	Object
}](h *hasher, name string, items []T, limit uint64) Root {
	if !h.fits(name, len(items), limit) {
		return Root{}
	}
	return withLength(merkleize(roots[T, P](h, items), limit), len(items))
}

// progressiveList is the root of a ProgressiveList of composite values. It has
// no limit but the size of the request.
//
// Source: EIP-7916.
func progressiveList[T any, P interface {
	*T
	Object
}](h *hasher, items []T) Root {
	return withLength(progressive(roots[T, P](h, items), 1), len(items))
}

func roots[T any, P interface {
	*T
	Object
}](h *hasher, items []T) []Root {
	out := make([]Root, len(items))
	for i := range items {
		out[i] = P(&items[i]).root(h)
	}
	return out
}

// numbers is the root of a List of uint64.
func numbers[N ~uint64](h *hasher, name string, items []N, limit uint64) Root {
	if !h.fits(name, len(items), limit) {
		return Root{}
	}
	chunks := make([]Root, (len(items)+3)/4)
	for i, n := range items {
		binary.LittleEndian.PutUint64(chunks[i/4][i%4*8:], uint64(n))
	}
	return withLength(merkleize(chunks, (limit+3)/4), len(items))
}

func (h *hasher) fits(name string, n int, limit uint64) bool {
	if uint64(n) > limit {
		h.invalid("%s: length %d, limit %d", name, n, limit)
		return false
	}
	return true
}

func packed(b []byte) []Root {
	chunks := make([]Root, (len(b)+31)/32)
	pack(chunks, b)
	return chunks
}

// pack copies b into chunks and returns how many it takes.
func pack(chunks []Root, b []byte) int {
	n := 0
	for ; len(b) > 0; n++ {
		b = b[copy(chunks[n][:], b):]
	}
	return n
}

func withLength(root Root, n int) Root {
	length := number(uint64(n))
	return hashPair(&root, &length)
}

// progressive is the root of a tree that grows with its chunks: a subtree of
// leaves chunks to the left, the rest, in subtrees four times as wide each, to
// the right. It overwrites chunks.
//
// Source: EIP-7916, merkleize_progressive.
func progressive(chunks []Root, leaves int) Root {
	if len(chunks) == 0 {
		return Root{}
	}
	n := min(leaves, len(chunks))
	left := merkleize(chunks[:n], uint64(leaves))
	right := progressive(chunks[n:], 4*leaves)
	return hashPair(&left, &right)
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
