// Package secretmem maps memory for secrets outside the Go heap, where no garbage
// collector copies or forgets them, and which the system protects as far as it can.
//
// Every mapping says how far that was. Nothing is wiped here: whoever writes a
// secret overwrites it.
package secretmem

// What protects a mapping.
const (
	Locked = "locked"  // never written to swap
	NoDump = "no-dump" // left out of core dumps
	NoFork = "no-fork" // zero or absent in a forked child
	Secret = "secret"  // not even the kernel can read it, so nobody can through it: not root, not a debugger
)
