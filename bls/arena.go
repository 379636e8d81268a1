package bls

import (
	"fmt"
	"slices"
	"unsafe"

	blst "github.com/supranational/blst/bindings/go"
)

// chunkSize is how much an arena grows by: 2,048 slots, and a multiple of every
// page size in use.
const chunkSize = 64 << 10

const slotSize = int(unsafe.Sizeof(blst.Scalar{}))

// An arena holds secrets at addresses that never change: it grows by whole
// chunks and reuses returned slots. A slot that is not in use is zero. An arena
// is not safe for concurrent use.
type arena struct {
	chunks      [][]byte
	unused      []byte         // the part of the last chunk that was never taken
	returned    []*blst.Scalar // slots that were taken and put back
	protections []string       // what holds for every chunk
}

// grow adds one chunk.
func (a *arena) grow() error {
	chunk, protections, err := mapPages(chunkSize)
	if err != nil {
		return fmt.Errorf("grow secret arena: %w", err)
	}
	if len(a.chunks) == 0 {
		a.protections = protections
	}
	a.protections = slices.DeleteFunc(a.protections, func(p string) bool {
		return !slices.Contains(protections, p)
	})
	a.chunks = append(a.chunks, chunk)
	a.unused = chunk
	return nil
}

// take returns a slot, which holds zero.
func (a *arena) take() (*blst.Scalar, error) {
	if n := len(a.returned); n > 0 {
		slot := a.returned[n-1]
		a.returned = a.returned[:n-1]
		return slot, nil
	}
	if len(a.unused) < slotSize {
		if err := a.grow(); err != nil {
			return nil, err
		}
	}
	slot := (*blst.Scalar)(unsafe.Pointer(unsafe.SliceData(a.unused)))
	a.unused = a.unused[slotSize:]
	return slot, nil
}

// put wipes a slot and takes it back.
func (a *arena) put(slot *blst.Scalar) {
	slot.Zeroize()
	a.returned = append(a.returned, slot)
}

// wipe overwrites every slot.
func (a *arena) wipe() {
	for _, chunk := range a.chunks {
		clear(chunk)
	}
}

// release wipes the arena and gives its memory back. No slot may be used again.
func (a *arena) release() error {
	a.wipe()
	var first error
	for _, chunk := range a.chunks {
		if err := unmapPages(chunk); err != nil && first == nil {
			first = fmt.Errorf("release secret arena: %w", err)
		}
	}
	*a = arena{}
	return first
}
