// Package harden looks at the real daemon from outside, with more rights than it
// has itself: what its process may still do, and where in its memory secrets lie.
//
// The search of the memory is worth what it would find, so it is done twice: over
// a daemon whose keys lie where the kernel cannot read, which must hold no secret
// anywhere else, and over one that was denied such memory, in which the same search
// must find each key exactly once, in its arena.
package harden
