//go:build amd64 || arm64

package confine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A bite is something that a process tries after a step, in a process of its own,
// and before it, in another: what fails there, too, shows nothing of the step.
type bite struct {
	name string
	step string // of steps
	try  func() error
	want error // nil: it must go on working
}

// The folder and the ports that the steps leave to the process, and what they do
// not. A child finds them in its environment.
type ground struct {
	write, read, elsewhere string
	open, closed           uint16
}

var steps = map[string]func(ground) error{
	"NoDumps":    func(ground) error { return NoDumps() },
	"NoPrograms": func(ground) error { return NoPrograms() },
	"NoSockets":  func(ground) error { return NoSockets() },
	"Limit": func(g ground) error {
		files, ports := Limit(Access{Write: []string{g.write}, Read: []string{g.read, "/nowhere"}, Connect: []uint16{g.open}})
		return errors.Join(files, ports)
	},
	"NoPrograms and Limit": func(ground) error {
		files, ports := Limit(Access{})
		return errors.Join(NoPrograms(), files, ports)
	},
}

func bites(g ground) []bite {
	return []bite{
		{"a core dump, by its limit", "NoDumps", func() error {
			var limit unix.Rlimit
			if err := unix.Getrlimit(unix.RLIMIT_CORE, &limit); err != nil || limit.Max > 0 {
				return err
			}
			return unix.EPERM
		}, unix.EPERM},
		{"a core dump, by its flag", "NoDumps", func() error {
			if dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || dumpable != 0 {
				return err
			}
			return unix.EPERM
		}, unix.EPERM},

		{"another program", "NoPrograms", func() error { return unix.Exec("/bin/true", []string{"true"}, nil) }, unix.EPERM},
		{"a child with another program", "NoPrograms", func() error { return exec.Command("/bin/true").Run() }, unix.EPERM},
		{"a debugger", "NoPrograms", call(unix.SYS_PTRACE, unix.PTRACE_ATTACH, 1<<30), unix.EPERM},
		{"memory of a process", "NoPrograms", readOwnMemory, unix.EPERM},
		{"io_uring", "NoPrograms", call(unix.SYS_IO_URING_SETUP), unix.EPERM},
		{"eBPF", "NoPrograms", call(unix.SYS_BPF), unix.EPERM},
		{"faults handled here", "NoPrograms", call(unix.SYS_USERFAULTFD), unix.EPERM},
		{"kernel keys", "NoPrograms", call(unix.SYS_KEYCTL), unix.EPERM},
		{"performance counters", "NoPrograms", call(unix.SYS_PERF_EVENT_OPEN), unix.EPERM},
		{"a namespace of its own", "NoPrograms", call(unix.SYS_UNSHARE, unix.CLONE_NEWUTS), unix.EPERM},
		{"kernel keys, on any thread", "NoPrograms", func() error { return onManyThreads(call(unix.SYS_KEYCTL)) }, unix.EPERM},
		{"a mount", "NoPrograms", call(unix.SYS_MOUNT), unix.EPERM},
		{"multipath TCP", "NoPrograms", call(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP), unix.EPROTONOSUPPORT},
		{"threads", "NoPrograms", func() error { return onManyThreads(func() error { return nil }) }, nil},
		{"listening, which Go does by multipath TCP where it can", "NoPrograms", listen, nil},

		{"a TCP socket", "NoSockets", listen, unix.EPERM},
		{"a UDP socket", "NoSockets", call(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_DGRAM), unix.EPERM},
		{"a Unix socket", "NoSockets", call(unix.SYS_SOCKET, unix.AF_UNIX, unix.SOCK_STREAM), unix.EPERM},

		{"a file elsewhere", "Limit", readFile(g.elsewhere), unix.EACCES},
		{"a file elsewhere, on any thread", "Limit", func() error { return onManyThreads(readFile(g.elsewhere)) }, unix.EACCES},
		{"a new file elsewhere", "Limit", writeFile(g.elsewhere + ".new"), unix.EACCES},
		{"a listing elsewhere", "Limit", func() error { _, err := os.ReadDir(filepath.Dir(g.elsewhere)); return err }, unix.EACCES},
		{"a file to read", "Limit", readFile(filepath.Join(g.read, "file")), nil},
		{"a file to read, for writing", "Limit", writeFile(filepath.Join(g.read, "file")), unix.EACCES},
		{"a new file in the folder to write", "Limit", writeFile(filepath.Join(g.write, "new")), nil},
		{"a file renamed in the folder to write", "Limit", func() error {
			return errors.Join(writeFile(filepath.Join(g.write, "a"))(), os.Rename(filepath.Join(g.write, "a"), filepath.Join(g.write, "b")), readFile(filepath.Join(g.write, "b"))())
		}, nil},
		{"a port that is named", "Limit", dial(g.open), nil},
		{"a port that is not", "Limit", dial(g.closed), unix.EACCES},
		{"a port of its own", "NoPrograms and Limit", listen, unix.EACCES},
	}
}

func call(number uintptr, args ...uintptr) func() error {
	return func() error {
		var a [6]uintptr
		copy(a[:], args)
		_, _, errno := unix.Syscall6(number, a[0], a[1], a[2], a[3], a[4], a[5])
		switch errno {
		case 0, unix.EFAULT, unix.EINVAL, unix.E2BIG, unix.EOPNOTSUPP, unix.ENOENT, unix.ESRCH:
			return nil // it looked at the arguments: the call is open
		}
		return errno
	}
}

func readOwnMemory() error {
	from, to := []byte("x"), make([]byte, 1)
	local, remote := unix.Iovec{Base: &to[0], Len: 1}, unix.RemoteIovec{Base: uintptr(unsafe.Pointer(&from[0])), Len: 1}
	_, err := unix.ProcessVMReadv(os.Getpid(), []unix.Iovec{local}, []unix.RemoteIovec{remote}, 0)
	return err
}

func readFile(path string) func() error {
	return func() error { _, err := os.ReadFile(path); return err }
}

func writeFile(path string) func() error {
	return func() error { return os.WriteFile(path, []byte("x"), 0o600) }
}

func listen() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	return l.Close()
}

func dial(port uint16) func() error {
	return func() error {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return err
		}
		return c.Close()
	}
}

// onManyThreads calls f on threads that were there before the step, and on new
// ones, and returns an error only if each of them did.
func onManyThreads(f func() error) error {
	const threads = 30
	errs := make(chan error, threads)
	var all, together sync.WaitGroup
	together.Add(threads)
	for range threads {
		all.Go(func() {
			runtime.LockOSThread() // ends with the goroutine
			together.Done()
			together.Wait()
			errs <- f()
		})
	}
	all.Wait()
	close(errs)
	var last error
	for err := range errs {
		if last = err; err == nil {
			return nil
		}
	}
	return last
}

// Variables of a child's environment.
const (
	tryEnv  = "CONFINE_TRY"  // the name of a bite
	stepEnv = "CONFINE_STEP" // "" for none
)

// refused is the exit code of a child whose step did not take.
const refused = 3

func TestMain(m *testing.M) {
	name, ok := os.LookupEnv(tryEnv)
	if !ok {
		os.Exit(m.Run())
	}
	g := groundFromEnv()
	if err := onManyThreads(func() error { return nil }); err != nil { // so that there are threads before the step
		os.Exit(refused)
	}
	if step := os.Getenv(stepEnv); step != "" {
		if err := steps[step](g); err != nil {
			fmt.Println(err)
			os.Exit(refused)
		}
	}
	if name == "crash" {
		crash()
	}
	for _, b := range bites(g) {
		if b.name == name {
			var errno syscall.Errno
			if err := b.try(); err != nil && !errors.As(err, &errno) {
				fmt.Println(err)
				os.Exit(1)
			}
			fmt.Printf("errno=%d\n", errno)
			os.Exit(0)
		}
	}
	os.Exit(1)
}

func TestEachStepBites(t *testing.T) {
	g := newGround(t)
	for _, b := range bites(g) {
		t.Run(b.step+": "+b.name, func(t *testing.T) {
			if before := attempt(t, g, b.name, ""); before != nil {
				t.Skipf("it does not work without the step either: %v", before)
			}
			if got := attempt(t, g, b.name, b.step); !errors.Is(got, b.want) {
				t.Errorf("got %v, want %v", got, b.want)
			}
		})
	}
}

// attempt tries a bite in a child and returns what came of it.
func attempt(t *testing.T, g ground, name, step string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	out, err := child(ctx, g, name, step).CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == refused {
		t.Skipf("the step does not take here: %s", out)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, code, found := strings.Cut(string(out), "errno=")
	if !found {
		return nil // it has become another program
	}
	errno, err := strconv.Atoi(strings.TrimSpace(code))
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if errno == 0 {
		return nil
	}
	return syscall.Errno(errno)
}

// newGround makes the files and listeners.
func newGround(t *testing.T) ground {
	t.Helper()
	g := ground{write: t.TempDir(), read: t.TempDir(), elsewhere: filepath.Join(t.TempDir(), "file")}
	for _, path := range []string{filepath.Join(g.read, "file"), g.elsewhere} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, port := range []*uint16{&g.open, &g.closed} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		*port = uint16(l.Addr().(*net.TCPAddr).Port)
	}
	return g
}

func child(ctx context.Context, g ground, name, step string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", tryEnv+"="+name, stepEnv+"="+step,
		"CONFINE_WRITE="+g.write, "CONFINE_READ="+g.read, "CONFINE_ELSEWHERE="+g.elsewhere,
		fmt.Sprintf("CONFINE_OPEN=%d", g.open), fmt.Sprintf("CONFINE_CLOSED=%d", g.closed))
	return cmd
}

func groundFromEnv() ground {
	port := func(name string) uint16 {
		p, _ := strconv.ParseUint(os.Getenv(name), 10, 16)
		return uint16(p)
	}
	return ground{
		write: os.Getenv("CONFINE_WRITE"), read: os.Getenv("CONFINE_READ"), elsewhere: os.Getenv("CONFINE_ELSEWHERE"),
		open: port("CONFINE_OPEN"), closed: port("CONFINE_CLOSED"),
	}
}

// crash dies as a fault in a library would let it die.
func crash() {
	signal := unix.SIGABRT
	unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: 1 << 20, Max: 1 << 20})
	// The runtime has a handler, which would end the process without a dump.
	action := [4]uintptr{}
	unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(signal), uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0)
	unix.Kill(os.Getpid(), signal)
	select {}
}

// TestACrashLeavesNoDump asks the kernel whether it has dumped.
func TestACrashLeavesNoDump(t *testing.T) {
	dumped := func(step string) bool {
		cmd := child(t.Context(), ground{}, "crash", step)
		cmd.Dir = t.TempDir()
		err := cmd.Run()
		status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
		if !ok || !status.Signaled() || status.Signal() != unix.SIGABRT {
			t.Fatalf("it did not die of the signal: %v", err)
		}
		left, err := os.ReadDir(cmd.Dir)
		if err != nil {
			t.Fatal(err)
		}
		return status.CoreDump() || len(left) > 0
	}
	if !dumped("") {
		t.Skip("nothing dumps core here")
	}
	if dumped("NoDumps") {
		t.Error("it has dumped core")
	}
}
