package confine

import "golang.org/x/sys/unix"

const arch = unix.AUDIT_ARCH_X86_64

// otherABI is where the numbers of x32 begin: the same calls under other numbers.
const otherABI = 0x40000000

var ofArch = []rule{
	deny(unix.SYS_FORK), deny(unix.SYS_VFORK),
	deny(unix.SYS_IOPL), deny(unix.SYS_IOPERM), deny(unix.SYS_MODIFY_LDT),
}
