package bls

import (
	"errors"
	"fmt"
	"slices"
	"unsafe"

	blst "github.com/supranational/blst/bindings/go"

	"github.com/secure-signer/secure-signer/internal/secretmem"
)

// A chunk is what an arena grows by: 64 KiB, a multiple of every page size in
// use.
type chunk [2048]blst.Scalar

// A mapper returns zeroed memory and what protects it.
type mapper func(size int) (pages []byte, protections []string, err error)

// An arena holds secrets at addresses that never change: it grows by whole
// chunks and reuses returned slots. A slot that is not in use is zero. An arena
// is not safe for concurrent use.
type arena struct {
	pages       mapper // secretmem.Map, or a test's fault
	chunks      []hidden[chunk]
	taken       int                   // slots of the last chunk that were ever taken
	returned    []hidden[blst.Scalar] // slots that were taken and put back
	protections []string              // what holds for every chunk
}

// grow adds one chunk.
func (a *arena) grow() error {
	pages, protections, err := a.pages(int(unsafe.Sizeof(chunk{})))
	if err != nil {
		return fmt.Errorf("grow secret arena: %w", err)
	}
	if len(a.chunks) == 0 {
		a.protections = protections
	}
	a.protections = slices.DeleteFunc(a.protections, func(p string) bool {
		return !slices.Contains(protections, p)
	})
	a.chunks = append(a.chunks, hidden[chunk]{unsafe.Pointer(unsafe.SliceData(pages))})
	a.taken = 0
	return nil
}

// take returns a slot, which holds zero.
func (a *arena) take() (hidden[blst.Scalar], error) {
	if n := len(a.returned); n > 0 {
		slot := a.returned[n-1]
		a.returned = a.returned[:n-1]
		return slot, nil
	}
	if len(a.chunks) == 0 || a.taken == len(chunk{}) {
		if err := a.grow(); err != nil {
			return hidden[blst.Scalar]{}, err
		}
	}
	slot := &a.chunks[len(a.chunks)-1].reveal()[a.taken]
	a.taken++
	return hide(slot), nil
}

// put wipes a slot and takes it back.
func (a *arena) put(slot hidden[blst.Scalar]) {
	slot.reveal().Zeroize()
	a.returned = append(a.returned, slot)
}

// wipe overwrites every slot.
func (a *arena) wipe() {
	for _, c := range a.chunks {
		clear(c.reveal()[:])
	}
}

// release wipes the arena and gives its memory back. No slot may be used again.
func (a *arena) release() error {
	a.wipe()
	var errs []error
	for _, c := range a.chunks {
		errs = append(errs, secretmem.Unmap(unsafe.Slice((*byte)(c.address), unsafe.Sizeof(chunk{}))))
	}
	*a = arena{pages: a.pages}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("release secret arena: %w", err)
	}
	return nil
}
