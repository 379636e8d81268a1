// Package confine gives up what a process does not need, for good: whoever takes
// it over later, by a hostile request or a fault in a library, gets no more.
//
// Four steps, each of which holds for every thread of the process, C's included,
// until it ends, and none of which can be taken back:
//
//   - [NoDumps]: its memory goes into no core dump, and other processes of its
//     user cannot read it.
//   - [NoPrograms]: it starts no other program, becomes no other process, looks
//     into none, and no longer reaches those parts of the kernel that a server has
//     no use for and attackers do (io_uring, BPF, mounts, modules, keys). seccomp(2).
//   - [NoSockets]: it opens no socket any more. Those that are open stay, and
//     listeners go on accepting. seccomp(2).
//   - [Limit]: of files it sees those that are named, and of TCP ports it reaches
//     those that are named. landlock(7).
//
// A step that the kernel, a container or a library OS does not allow returns an
// error and has changed nothing that matters: the caller decides whether to go
// on.
//
// # Not guaranteed
//
// What is refused is an error to the program, EPERM, and not its death. A system
// call that nobody thought of then costs a message in the log, and not the duties
// of a validator; to an attacker one is as useless as the other.
//
// The list of system calls is one of what is denied, because the runtime and the
// C library need different ones from release to release. It makes attacks dearer;
// it is no proof. Files that are open stay usable, whatever Limit says. Root on
// the same machine is not kept out by any of this: see bls.ProtectionSecret.
//
// Limit does not cover UDP, which NoSockets takes away, nor multipath TCP, which
// NoPrograms does.
package confine

import "errors"

// ErrUnsupported is the error of a step that this system does not have.
var ErrUnsupported = errors.New("this system does not have it")

// An Access is what is left to the process after Limit, besides what it has open.
// What does not exist is left out, also if it is made later. A folder stands for
// all that is and will be below it.
type Access struct {
	Write   []string // files and folders
	Read    []string // files and folders
	Devices []string // files or folders of such that may also be written to and asked by ioctl(2)
	Connect []uint16 // TCP ports that it may connect to, of any host
}
