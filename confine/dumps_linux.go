package confine

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// NoDumps forbids core dumps twice. The limit keeps the kernel from writing a
// file; the flag also keeps it from handing the dump to a program, which ignores
// the limit, and other processes of the same user from reading the memory.
//
// Files below /proc/PID then belong to root: a debugger has to be root's.
func NoDumps() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("set the limit of core dumps to 0: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("make the process undumpable: %w", err)
	}
	return nil
}
