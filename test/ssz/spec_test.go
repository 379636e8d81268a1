package ssz

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
)

// This file is a second merkleizer, written from the text of consensus-specs
// ssz/simple-serialize.md alone and as slowly as the text reads: it works on
// decoded JSON, pads trees for real and shares nothing with package eth2.

type root = [32]byte

// A typ computes hash_tree_root of a JSON value of one SSZ type.
type typ func(v any) root

type field struct {
	name string
	typ  typ
}

func hash(a, b root) root {
	return sha256.Sum256(append(a[:], b[:]...))
}

func nextPowOfTwo(i int) int {
	n := 1
	for n < i {
		n *= 2
	}
	return n
}

func merkleize(chunks []root, limit int) root {
	if len(chunks) > limit {
		panic(fmt.Sprintf("%d chunks, limit %d", len(chunks), limit))
	}
	leaves := make([]root, nextPowOfTwo(limit))
	copy(leaves, chunks)
	for len(leaves) > 1 {
		next := make([]root, len(leaves)/2)
		for i := range next {
			next[i] = hash(leaves[2*i], leaves[2*i+1])
		}
		leaves = next
	}
	return leaves[0]
}

func merkleizeProgressive(chunks []root, numLeaves int) root {
	if len(chunks) == 0 {
		return root{}
	}
	n := min(numLeaves, len(chunks))
	a := merkleize(chunks[:n], numLeaves)
	b := merkleizeProgressive(chunks[n:], numLeaves*4)
	return hash(a, b)
}

func pack(b []byte) []root {
	var chunks []root
	for len(b) > 0 {
		var c root
		n := copy(c[:], b)
		chunks, b = append(chunks, c), b[n:]
	}
	return chunks
}

func packBits(bits []bool) []root {
	b := make([]byte, (len(bits)+7)/8)
	for i, bit := range bits {
		if bit {
			b[i/8] |= 1 << (i % 8)
		}
	}
	return pack(b)
}

func mixInLength(r root, n int) root {
	var length root
	for i := range 8 {
		length[i] = byte(n >> (8 * i))
	}
	return hash(r, length)
}

func uintN(size int) typ {
	return func(v any) root { return pack(littleEndian(v, size))[0] }
}

func littleEndian(v any, size int) []byte {
	n, ok := new(big.Int).SetString(v.(string), 10)
	if !ok {
		panic(fmt.Sprintf("not a number: %v", v))
	}
	b := make([]byte, size)
	n.FillBytes(b)
	for i := range size / 2 {
		b[i], b[size-1-i] = b[size-1-i], b[i]
	}
	return b
}

func boolean(v any) (r root) {
	if v.(bool) {
		r[0] = 1
	}
	return r
}

func bytesOf(v any) []byte {
	b, err := hex.DecodeString(strings.TrimPrefix(v.(string), "0x"))
	if err != nil {
		panic(err)
	}
	return b
}

func bytesN(n int) typ {
	return func(v any) root {
		b := bytesOf(v)
		if len(b) != n {
			panic(fmt.Sprintf("%d bytes, want %d", len(b), n))
		}
		return merkleize(pack(b), (n+31)/32)
	}
}

func byteList(limit int) typ {
	return func(v any) root {
		b := bytesOf(v)
		return mixInLength(merkleize(pack(b), (limit+31)/32), len(b))
	}
}

func progressiveByteList(v any) root {
	b := bytesOf(v)
	return mixInLength(merkleizeProgressive(pack(b), 1), len(b))
}

// bitsOf returns n bits or, if n is negative, those below the delimiter.
func bitsOf(v any, n int) []bool {
	b := bytesOf(v)
	bits := make([]bool, 8*len(b))
	for i := range bits {
		bits[i] = b[i/8]>>(i%8)&1 == 1
	}
	if n < 0 {
		for n = len(bits) - 1; !bits[n]; n-- {
		}
	}
	return bits[:n]
}

func bitvector(n int) typ {
	return func(v any) root { return merkleize(packBits(bitsOf(v, n)), (n+255)/256) }
}

func bitlist(limit int) typ {
	return func(v any) root {
		bits := bitsOf(v, -1)
		return mixInLength(merkleize(packBits(bits), (limit+255)/256), len(bits))
	}
}

func progressiveBitlist(v any) root {
	bits := bitsOf(v, -1)
	return mixInLength(merkleizeProgressive(packBits(bits), 1), len(bits))
}

func rootsOf(v any, t typ) []root {
	var roots []root
	for _, item := range v.([]any) {
		roots = append(roots, t(item))
	}
	return roots
}

func list(t typ, limit int) typ {
	return func(v any) root { return mixInLength(merkleize(rootsOf(v, t), limit), len(v.([]any))) }
}

func listOfUint64(limit int) typ {
	return func(v any) root {
		var b []byte
		for _, n := range v.([]any) {
			b = append(b, littleEndian(n, 8)...)
		}
		return mixInLength(merkleize(pack(b), (8*limit+31)/32), len(v.([]any)))
	}
}

func progressiveList(t typ) typ {
	return func(v any) root { return mixInLength(merkleizeProgressive(rootsOf(v, t), 1), len(v.([]any))) }
}

func vector(t typ, n int) typ {
	return func(v any) root { return merkleize(rootsOf(v, t), n) }
}

func fieldRoots(v any, fields []field) []root {
	var roots []root
	object := v.(map[string]any)
	if len(object) != len(fields) {
		panic(fmt.Sprintf("%d members, want %d", len(object), len(fields)))
	}
	for _, f := range fields {
		roots = append(roots, f.typ(object[f.name]))
	}
	return roots
}

func container(fields ...field) typ {
	return func(v any) root { return merkleize(fieldRoots(v, fields), len(fields)) }
}

func progressiveContainer(fields ...field) typ {
	active := make([]bool, len(fields))
	for i := range active {
		active[i] = true
	}
	return func(v any) root {
		return hash(merkleizeProgressive(fieldRoots(v, fields), 1), packBits(active)[0])
	}
}
