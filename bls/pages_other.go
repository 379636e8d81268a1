//go:build !linux

package bls

// mapPages returns ordinary memory: validators run on Linux, and an unprotected
// arena that says so is enough to develop elsewhere.
func mapPages(size int) (pages []byte, protections []string, err error) {
	return make([]byte, size), nil, nil
}

func unmapPages([]byte) error { return nil }
