// Package secretmem maps memory for secrets outside the Go heap, where no garbage
// collector copies or forgets them, and which the system protects as far as it can.
//
// Every mapping says how far that was.
package secretmem

import (
	"os"
	"unsafe"
)

// What protects a mapping.
const (
	Locked = "locked"  // never written to swap
	NoDump = "no-dump" // left out of core dumps
	NoFork = "no-fork" // zero or absent in a forked child
	Secret = "secret"  // not even the kernel can read it, so nobody can through it: not root, not a debugger
)

// NewKey returns room for a key, in a page of its own. A pointer to it is what
// printers do not follow, unlike a slice.
func NewKey() (*[32]byte, error) {
	page, _, err := Map(os.Getpagesize())
	if err != nil {
		return nil, err
	}
	return (*[32]byte)(page), nil
}

// FreeKey wipes what NewKey has returned, and gives the page back: to use it again
// would end the process.
func FreeKey(key *[32]byte) error {
	clear(key[:])
	return Unmap(unsafe.Slice((*byte)(unsafe.Pointer(key)), os.Getpagesize()))
}
