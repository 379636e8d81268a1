package bls

import "syscall"

// Advice of madvise(2) that package syscall does not name. Source: Linux,
// include/uapi/asm-generic/mman-common.h.
const (
	madvDontDump   = 16
	madvWipeOnFork = 18
)

// mapPages returns zeroed memory outside the Go heap and what protects it. Each
// protection is tried alone: a container without the privilege to lock memory,
// or a library OS without madvise, still gets the others.
func mapPages(size int) (pages []byte, protections []string, err error) {
	pages, err = syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		return nil, nil, err
	}
	if syscall.Mlock(pages) == nil {
		protections = append(protections, ProtectionLocked)
	}
	if syscall.Madvise(pages, madvDontDump) == nil {
		protections = append(protections, ProtectionNoDump)
	}
	if syscall.Madvise(pages, madvWipeOnFork) == nil {
		protections = append(protections, ProtectionNoFork)
	}
	return pages, protections, nil
}

func unmapPages(pages []byte) error { return syscall.Munmap(pages) }
