//go:build amd64 || arm64

package confine

import "golang.org/x/sys/unix"

// programs are the calls that NoPrograms denies on every architecture.
var programs = []rule{
	// Other programs and processes.
	deny(unix.SYS_EXECVE), deny(unix.SYS_EXECVEAT),
	{call: unix.SYS_CLONE, when: &test{arg: 0, lacks: unix.CLONE_THREAD}, errno: unix.EPERM},
	{call: unix.SYS_CLONE3, errno: unix.ENOSYS}, // its flags are out of a filter's sight; the C library then takes clone
	deny(unix.SYS_UNSHARE), deny(unix.SYS_SETNS), deny(unix.SYS_CHROOT), deny(unix.SYS_PIVOT_ROOT),
	deny(unix.SYS_PERSONALITY),

	// Other processes' memory and files, and what helps to reach one's own.
	deny(unix.SYS_PTRACE), deny(unix.SYS_PROCESS_VM_READV), deny(unix.SYS_PROCESS_VM_WRITEV),
	deny(unix.SYS_PROCESS_MADVISE), deny(unix.SYS_PIDFD_GETFD), deny(unix.SYS_KCMP),
	deny(unix.SYS_MIGRATE_PAGES), deny(unix.SYS_MOVE_PAGES),

	// Parts of the kernel that go round the other rules, or that most of its
	// exploits came through.
	deny(unix.SYS_IO_URING_SETUP), deny(unix.SYS_IO_URING_ENTER), deny(unix.SYS_IO_URING_REGISTER),
	deny(unix.SYS_BPF), deny(unix.SYS_PERF_EVENT_OPEN), deny(unix.SYS_USERFAULTFD),
	deny(unix.SYS_ADD_KEY), deny(unix.SYS_REQUEST_KEY), deny(unix.SYS_KEYCTL),
	deny(unix.SYS_FANOTIFY_INIT), deny(unix.SYS_OPEN_BY_HANDLE_AT),

	// The machine.
	deny(unix.SYS_MOUNT), deny(unix.SYS_UMOUNT2), deny(unix.SYS_MOVE_MOUNT), deny(unix.SYS_MOUNT_SETATTR),
	deny(unix.SYS_OPEN_TREE), deny(unix.SYS_OPEN_TREE_ATTR), deny(unix.SYS_FSOPEN), deny(unix.SYS_FSCONFIG),
	deny(unix.SYS_FSMOUNT), deny(unix.SYS_FSPICK), deny(unix.SYS_SWAPON), deny(unix.SYS_SWAPOFF),
	deny(unix.SYS_INIT_MODULE), deny(unix.SYS_FINIT_MODULE), deny(unix.SYS_DELETE_MODULE),
	deny(unix.SYS_KEXEC_LOAD), deny(unix.SYS_KEXEC_FILE_LOAD), deny(unix.SYS_REBOOT),
	deny(unix.SYS_SETTIMEOFDAY), deny(unix.SYS_CLOCK_SETTIME), deny(unix.SYS_CLOCK_ADJTIME), deny(unix.SYS_ADJTIMEX),
	deny(unix.SYS_SETHOSTNAME), deny(unix.SYS_SETDOMAINNAME), deny(unix.SYS_ACCT), deny(unix.SYS_QUOTACTL),
	deny(unix.SYS_SYSLOG), deny(unix.SYS_VHANGUP),

	// Multipath TCP, which Go's listeners and dialers prefer, is not covered by
	// landlock's rules on TCP. Told that there is none, Go takes TCP.
	// Source: github.com/landlock-lsm/linux/issues/54.
	{call: unix.SYS_SOCKET, when: &test{arg: 2, is: unix.IPPROTO_MPTCP}, errno: unix.EPROTONOSUPPORT},
}

// sockets are those that NoSockets denies.
var sockets = []rule{deny(unix.SYS_SOCKET), deny(unix.SYS_SOCKETPAIR)}

func deny(call uint32) rule { return rule{call: call, errno: unix.EPERM} }
