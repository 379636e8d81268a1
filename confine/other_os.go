//go:build !linux

package confine

// NoDumps is ErrUnsupported here.
func NoDumps() error { return ErrUnsupported }

// Limit is ErrUnsupported here.
func Limit(Access) (files, ports error) { return ErrUnsupported, ErrUnsupported }
