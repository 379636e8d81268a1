//go:build amd64 || arm64

package confine

import (
	"fmt"
	"runtime"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// NoPrograms denies the calls of calls_linux.go. Programs that were started with
// more rights than their user has cannot give any to this process either
// (no_new_privs).
func NoPrograms() error { return install(slices.Concat(programs, ofArch)) }

// NoSockets denies new sockets of every family. To call before: listen.
func NoSockets() error { return install(sockets) }

// A rule answers a system call with an error.
type rule struct {
	call  uint32
	when  *test // nil: always
	errno unix.Errno
}

// A test looks at the low half of one argument: for those that we ask of, the
// kernel ignores the high one.
type test struct {
	arg   uint32
	is    uint32 // if it is this
	lacks uint32 // if not zero: if it has none of these bits
}

// Where seccomp_data keeps what a filter sees. Source: linux/seccomp.h.
const (
	atCall = 0
	atArch = 4
	atArgs = 16
)

// program compiles rules to classic BPF. What no rule answers is allowed. Calls by
// another architecture's table, as a 64-bit process on amd64 may make, are denied:
// they have other numbers.
func program(rules []rule) []unix.SockFilter {
	p := []unix.SockFilter{
		load(atArch),
		jump(unix.BPF_JEQ, arch, 1, 0), answer(unix.ENOSYS),
		load(atCall),
		jump(unix.BPF_JGE, otherABI, 0, 1), answer(unix.ENOSYS),
	}
	for _, r := range rules {
		switch {
		case r.when == nil:
			p = append(p, jump(unix.BPF_JEQ, r.call, 0, 1), answer(r.errno))
		case r.when.lacks != 0:
			p = append(p, jump(unix.BPF_JEQ, r.call, 0, 4),
				load(atArgs+8*r.when.arg), jump(unix.BPF_JSET, r.when.lacks, 1, 0), answer(r.errno), load(atCall))
		default:
			p = append(p, jump(unix.BPF_JEQ, r.call, 0, 4),
				load(atArgs+8*r.when.arg), jump(unix.BPF_JEQ, r.when.is, 0, 1), answer(r.errno), load(atCall))
		}
	}
	return append(p, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
}

func load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
}

// jump skips so many instructions if the comparison with k holds, or does not.
func jump(compare uint16, k uint32, holds, fails uint8) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | compare | unix.BPF_K, Jt: holds, Jf: fails, K: k}
}

func answer(errno unix.Errno) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)}
}

// install puts the rules in force for every thread at once, or for none.
func install(rules []rule) error {
	p := program(rules)
	filter := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	runtime.LockOSThread() // both calls concern this thread; the second spreads both to the others
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("give up new privileges: %w", err)
	}
	thread, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&filter)))
	if errno != 0 {
		return fmt.Errorf("filter system calls: %w", errno)
	}
	if thread != 0 {
		return fmt.Errorf("filter system calls: thread %d has a filter of its own", thread)
	}
	return nil
}
