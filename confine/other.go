//go:build !linux || !(amd64 || arm64)

package confine

// NoPrograms is ErrUnsupported here.
func NoPrograms() error { return ErrUnsupported }

// NoSockets is ErrUnsupported here.
func NoSockets() error { return ErrUnsupported }
