package confine

import "golang.org/x/sys/unix"

const arch = unix.AUDIT_ARCH_AARCH64

// otherABI is beyond every number: this architecture has no second table.
const otherABI = 0xffffffff

var ofArch []rule
