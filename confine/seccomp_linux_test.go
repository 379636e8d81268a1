//go:build amd64 || arm64

package confine

import (
	"encoding/binary"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

const allowed = unix.Errno(0)

// TestFiltersAnswerAsTheirRulesSay runs the compiled programs themselves.
func TestFiltersAnswerAsTheirRulesSay(t *testing.T) {
	const foreign = unix.AUDIT_ARCH_I386
	first := slices.Concat(programs, ofArch)
	for _, tt := range []struct {
		name  string
		rules []rule
		arch  uint32
		call  uint32
		args  [6]uint64
		want  unix.Errno
	}{
		{"a call that no rule names is allowed", first, arch, unix.SYS_READ, [6]uint64{}, allowed},
		{"the first rule", first, arch, unix.SYS_EXECVE, [6]uint64{}, unix.EPERM},
		{"the last rule of all architectures", first, arch, unix.SYS_SOCKET, [6]uint64{unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP}, unix.EPROTONOSUPPORT},
		{"only the low half of an argument counts, as for the kernel", first, arch, unix.SYS_SOCKET, [6]uint64{unix.AF_INET, unix.SOCK_STREAM, 1<<32 | unix.IPPROTO_MPTCP}, unix.EPROTONOSUPPORT},
		{"TCP is not multipath TCP", first, arch, unix.SYS_SOCKET, [6]uint64{unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_TCP}, allowed},
		{"a new thread", first, arch, unix.SYS_CLONE, [6]uint64{unix.CLONE_THREAD | unix.CLONE_VM}, allowed},
		{"a new process", first, arch, unix.SYS_CLONE, [6]uint64{uint64(unix.SIGCHLD)}, unix.EPERM},
		{"a new process as Go starts it", first, arch, unix.SYS_CLONE, [6]uint64{unix.CLONE_VFORK | unix.CLONE_VM}, unix.EPERM},
		{"clone3, whose flags cannot be seen", first, arch, unix.SYS_CLONE3, [6]uint64{}, unix.ENOSYS},
		{"what follows a rule with a test", first, arch, unix.SYS_UNSHARE, [6]uint64{}, unix.EPERM},
		{"another table of calls, by its architecture", first, foreign, unix.SYS_READ, [6]uint64{}, unix.ENOSYS},
		{"another table of calls, by its numbers", first, arch, otherABI | unix.SYS_READ, [6]uint64{}, unix.ENOSYS},
		{"any socket", sockets, arch, unix.SYS_SOCKET, [6]uint64{unix.AF_UNIX}, unix.EPERM},
		{"accept", sockets, arch, unix.SYS_ACCEPT4, [6]uint64{}, allowed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := run(t, program(tt.rules), tt.arch, tt.call, tt.args); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
	for _, r := range slices.Concat(first, sockets) {
		if r.when == nil {
			if got := run(t, program([]rule{r}), arch, r.call, [6]uint64{}); got != r.errno {
				t.Errorf("call %d: got %v, want %v", r.call, got, r.errno)
			}
		}
	}
}

// run interprets a filter as the kernel does.
func run(t *testing.T, p []unix.SockFilter, arch, call uint32, args [6]uint64) unix.Errno {
	t.Helper()
	data := binary.NativeEndian.AppendUint32(nil, call)
	data = binary.NativeEndian.AppendUint32(data, arch)
	data = append(data, make([]byte, 8)...) // where it was called
	for _, a := range args {
		data = binary.NativeEndian.AppendUint64(data, a)
	}
	var a uint32
	for at := 0; at < len(p); at++ {
		in := p[at]
		holds := false
		switch in.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			a = binary.NativeEndian.Uint32(data[in.K:])
			continue
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			holds = a == in.K
		case unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K:
			holds = a >= in.K
		case unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K:
			holds = a&in.K != 0
		case unix.BPF_RET | unix.BPF_K:
			if in.K == unix.SECCOMP_RET_ALLOW {
				return allowed
			}
			if in.K&unix.SECCOMP_RET_ACTION != unix.SECCOMP_RET_ERRNO {
				t.Fatalf("answer %#x is not an error", in.K)
			}
			return unix.Errno(in.K & unix.SECCOMP_RET_DATA)
		default:
			t.Fatalf("instruction %#x", in.Code)
		}
		if holds {
			at += int(in.Jt)
		} else {
			at += int(in.Jf)
		}
	}
	t.Fatal("the program runs off its end")
	return 0
}
