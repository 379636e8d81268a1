package ssz

import (
	"math"
	"math/rand/v2"
	"reflect"

	"github.com/secure-signer/secure-signer/eth2"
)

// A filler fills our containers at random, within the limits of a preset.
type filler struct {
	*rand.Rand
	preset
	bitvectorBits map[string]int // by field name
}

func newFiller(p preset, seed uint64) *filler {
	return &filler{rand.New(rand.NewPCG(seed, seed)), p, map[string]int{
		"SyncCommitteeBits": p.syncCommitteeSize,
		"AggregationBits":   p.syncCommitteeSize / 4,
		"CommitteeBits":     p.committeesPerSlot,
	}}
}

// listLimits are the lists that have one, by field name. Other lists are
// progressive.
var listLimits = map[string]int{
	"ProposerSlashings": 16, "AttesterSlashings": 2, "Attestations": 128, "Deposits": 16, "VoluntaryExits": 16,
	"AttestingIndices": 2048, "ExtraData": 32, "Data": 4096,
}

// fill sets every field of the struct behind v. Nil bitvectors and pointers of
// the layouts that lack them are the caller's to restore.
func (f *filler) fill(v reflect.Value, name string) {
	switch v.Interface().(type) {
	case eth2.Bitlist:
		v.SetBytes(f.bitlist(2048))
		return
	case eth2.Bitvector:
		v.SetBytes(f.bitvector(f.bitvectorBits[name]))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem(), name)
	case reflect.Struct:
		for i := range v.NumField() {
			f.fill(v.Field(i), v.Type().Field(i).Name)
		}
	case reflect.Array:
		for i := range v.Len() {
			f.fill(v.Index(i), name)
		}
	case reflect.Slice:
		n := f.length(name, v.Type().Elem().Kind() == reflect.Uint8)
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			f.fill(v.Index(i), name)
		}
	case reflect.Uint8:
		v.SetUint(uint64(f.IntN(256)))
	case reflect.Uint64:
		v.SetUint([]uint64{f.Uint64(), f.Uint64N(1 << 20), 0, math.MaxUint64}[f.IntN(4)])
	case reflect.Bool:
		v.SetBool(f.IntN(2) == 1)
	default:
		panic("no random " + v.Type().String())
	}
}

// length is mostly short, sometimes at the limit, and for progressive lists
// long enough to reach the fourth subtree.
func (f *filler) length(name string, bytes bool) int {
	if name == "Proof" {
		return 33
	}
	limit, limited := listLimits[name]
	switch {
	case !limited && bytes:
		return f.IntN([]int{1, 40, 3000}[f.IntN(3)])
	case !limited:
		return f.IntN([]int{1, 4, 30}[f.IntN(3)])
	case f.IntN(8) == 0:
		return limit
	}
	return f.IntN(min(limit, 5) + 1)
}

func (f *filler) bitlist(limit int) []byte {
	n := f.IntN([]int{1, 9, 300, limit + 1}[f.IntN(4)])
	b := make([]byte, n/8+1)
	for i := range n {
		b[i/8] |= byte(f.IntN(2)) << (i % 8)
	}
	b[n/8] |= 1 << (n % 8)
	return b
}

func (f *filler) bitvector(n int) []byte {
	b := make([]byte, (n+7)/8)
	for i := range n {
		b[i/8] |= byte(f.IntN(2)) << (i % 8)
	}
	return b
}
