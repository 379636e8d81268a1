package secretmem

import (
	"errors"
	"syscall"
)

// What package syscall does not name. Sources: Linux,
// include/uapi/asm-generic/mman-common.h and unistd.h; the number is the same on
// every architecture that has the call.
const (
	madvDontDump   = 16
	madvWipeOnFork = 18
	madvDontFork   = 10

	sysMemfdSecret = 447
)

// Map returns zeroed memory outside the Go heap and what protects it: pages
// that the kernel itself cannot read, where it has them.
func Map(size int) (pages []byte, protections []string, err error) {
	if pages, protections, err = MapSecret(size); err == nil {
		return pages, protections, nil
	}
	return MapLocked(size)
}

// MapSecret maps memory that the kernel has taken out of its own page tables:
// no debugger, no /proc/PID/mem, no core dump and no bug of the kernel that reads
// "any memory" gets at it. It counts as locked memory. Source: memfd_secret(2).
//
// It must not outlive a fork either. The kernel wipes private memory only, so a
// child does not get these pages at all.
func MapSecret(size int) (pages []byte, protections []string, err error) {
	fd, _, errno := syscall.Syscall(sysMemfdSecret, syscall.O_CLOEXEC, 0, 0)
	if errno != 0 {
		return nil, nil, errno
	}
	if err = syscall.Ftruncate(int(fd), int64(size)); err == nil {
		pages, err = syscall.Mmap(int(fd), 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	}
	if err := errors.Join(err, syscall.Close(int(fd))); err != nil { // the mapping keeps the memory
		return nil, nil, err
	}
	protections = []string{Secret, Locked, NoDump}
	if syscall.Madvise(pages, madvDontFork) == nil {
		protections = append(protections, NoFork)
	}
	return pages, protections, nil
}

// MapLocked tries each protection of ordinary memory alone: a container without
// the privilege to lock memory, or a library OS without madvise, still gets the
// others.
func MapLocked(size int) (pages []byte, protections []string, err error) {
	pages, err = syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		return nil, nil, err
	}
	if syscall.Mlock(pages) == nil {
		protections = append(protections, Locked)
	}
	if syscall.Madvise(pages, madvDontDump) == nil {
		protections = append(protections, NoDump)
	}
	if syscall.Madvise(pages, madvWipeOnFork) == nil {
		protections = append(protections, NoFork)
	}
	return pages, protections, nil
}

// Unmap gives memory back. Whoever wrote secrets to it has overwritten them.
func Unmap(pages []byte) error { return syscall.Munmap(pages) }
