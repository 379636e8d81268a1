//go:build !linux

package secretmem

// Map returns ordinary memory: validators run on Linux, and an unprotected
// arena that says so is enough to develop elsewhere.
func Map(size int) (pages []byte, protections []string, err error) {
	return make([]byte, size), nil, nil
}

// Unmap gives memory back. Whoever wrote secrets to it has overwritten them.
func Unmap([]byte) error { return nil }
