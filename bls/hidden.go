package bls

import "unsafe"

// A hidden pointer is one that printers do not follow. A typed pointer to a
// secret is not enough: for a verb that does not suit a pointer, such as %s,
// fmt prints what it points to, however deep in unexported fields it lies and
// whatever methods the type has.
type hidden[T any] struct{ address unsafe.Pointer }

func hide[T any](p *T) hidden[T] { return hidden[T]{unsafe.Pointer(p)} }

func (h hidden[T]) reveal() *T { return (*T)(h.address) }
