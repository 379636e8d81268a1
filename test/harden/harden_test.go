package harden

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

// denied is the argument by which this program becomes another one to which the
// kernel denies the system calls of the next argument, as a container may.
const denied = "denied"

var (
	noSecretMemory = []string{os.Args[0], denied, fmt.Sprint(unix.SYS_MEMFD_SECRET)}
	noLockedMemory = []string{os.Args[0], denied, fmt.Sprint(unix.SYS_MEMFD_SECRET, unix.SYS_MLOCK)}
)

func TestMain(m *testing.M) {
	if len(os.Args) > 3 && os.Args[1] == denied {
		fmt.Fprintln(os.Stderr, becomeDenied(strings.Fields(os.Args[2]), os.Args[3:]))
		os.Exit(1)
	}
	os.Exit(daemon.Main(m))
}

// becomeDenied replaces this process by a program that is denied the calls.
func becomeDenied(calls, program []string) error {
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}}
	for _, call := range calls {
		number, err := strconv.ParseUint(call, 10, 32)
		if err != nil {
			return err
		}
		filter = append(filter, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(number), Jf: 1},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)})
	}
	filter = append(filter, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	p := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&p))); errno != 0 {
		return errno
	}
	return syscall.Exec(program[0], program, os.Environ())
}

func initMainnet(t *testing.T) daemon.Folder {
	t.Helper()
	return daemon.Init(t, daemon.Network{Name: "mainnet"})
}

// TestEveryThreadOfTheDaemonIsConfined reads what the kernel says of it.
func TestEveryThreadOfTheDaemonIsConfined(t *testing.T) {
	d := daemon.Start(t, initMainnet(t), daemon.Options{Under: mayDump})
	requireAll(t, d)
	mustBeUp(t, d)
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", d.PID()))
	if err != nil || len(threads) < 3 {
		t.Fatalf("%d threads, %v", len(threads), err)
	}
	for _, thread := range threads {
		text, err := os.ReadFile(thread)
		if err != nil {
			t.Fatal(err)
		}
		for field, want := range map[string]string{"NoNewPrivs": "1", "Seccomp": "2", "Seccomp_filters": "2"} {
			m := regexp.MustCompile(`(?m)^` + field + `:\s*(\d+)$`).FindStringSubmatch(string(text))
			if m == nil || m[1] != want {
				t.Errorf("%s: %s is %q, want %s", thread, field, m, want)
			}
		}
	}
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", d.PID()))
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`Max core file size +0 +0 `).Match(limits) {
		t.Errorf("it may dump core:\n%s", limits)
	}
}

// mayDump starts a daemon that may dump core for all that its parent says.
var mayDump = []string{"sh", "-c", `ulimit -c 64 && exec "$@"`, "sh"}

// TestACrashOfTheDaemonLeavesNoDump has it die as by a fault in a library, and one
// that is not hardened, too, which shows that something dumps core here.
func TestACrashOfTheDaemonLeavesNoDump(t *testing.T) {
	daemon.Build(t)
	t.Setenv("GOTRACEBACK", "crash")
	t.Chdir(t.TempDir()) // where the kernel puts it, if it is a file
	f := initMainnet(t)
	dumped := func(flags ...string) bool {
		d := daemon.Start(t, f, daemon.Options{Under: mayDump, Flags: flags})
		if err := syscall.Kill(d.PID(), syscall.SIGABRT); err != nil {
			t.Fatal(err)
		}
		d.Wait()
		cores, err := filepath.Glob("core*")
		if err != nil {
			t.Fatal(err)
		}
		for _, core := range cores {
			if err := os.Remove(core); err != nil {
				t.Fatal(err)
			}
		}
		return len(cores) > 0
	}
	if dumped() {
		t.Error("it has dumped core")
	}
	if !dumped("--hardening", "off") {
		t.Skip("nothing dumps core here")
	}
}

// TestHardeningIsWhatTheOperatorAsksFor compares the log with /healthcheck.
func TestHardeningIsWhatTheOperatorAsksFor(t *testing.T) {
	f := initMainnet(t)
	off := daemon.Serve(t, f, "--hardening", "off")
	if took, missing := parts(t, off); len(took) != 0 || !slices.Equal(missing, []string{"everything: --hardening off"}) {
		t.Errorf("off: %q took, %q missing", took, missing)
	}
	off.Stop()

	locked := daemon.Start(t, f, daemon.Options{Under: noSecretMemory})
	requireAll(t, locked) // locked memory will do
	locked.Stop()

	unlocked := daemon.Start(t, f, daemon.Options{Under: noLockedMemory})
	if _, missing := parts(t, unlocked); len(missing) != 1 || !strings.HasPrefix(missing[0], "memory: ") {
		t.Errorf("without locked memory %q is missing", missing)
	}
	unlocked.Stop()

	if code, _, stderr := daemon.Run(t, f.ServeArgs("--hardening", "much")...); code != 2 || !strings.Contains(stderr, "best-effort, require or off") {
		t.Errorf("exit %d %s", code, stderr)
	}
	args := slices.Concat(noLockedMemory[1:], []string{daemon.Program(t)}, f.ServeArgs("--hardening", "require"))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, noLockedMemory[0], args...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "--hardening require: not everything takes here: memory: ") {
		t.Errorf("it starts, or does not say why not: %v\n%s", err, out)
	}
}

// requireAll skips where the kernel or a container does not allow everything.
func requireAll(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	took, missing := parts(t, d)
	if len(missing) > 0 {
		t.Skipf("not everything takes here: %q", missing)
	}
	if want := []string{"core-dumps", "programs", "memory", "files", "ports", "sockets"}; !slices.Equal(took, want) {
		t.Errorf("%q took, want %q", took, want)
	}
	if !strings.Contains(d.Log(), `msg=hardening took="[core-dumps programs memory files ports sockets]" missing=[]`) {
		t.Errorf("the log does not say so:\n%s", d.Log())
	}
}

// parts are those of /healthcheck.
func parts(t *testing.T, d *daemon.Daemon) (took, missing []string) {
	t.Helper()
	var health struct {
		Checks []struct {
			ID   string
			Data struct{ Took, Missing []string }
		}
	}
	if err := json.Unmarshal(d.Get(t, "/healthcheck"), &health); err != nil {
		t.Fatal(err)
	}
	for _, c := range health.Checks {
		if c.ID == "hardening" {
			return c.Data.Took, c.Data.Missing
		}
	}
	t.Fatal("/healthcheck says nothing of the hardening")
	return nil, nil
}

// mustBeUp asks for what a confined daemon opens files for: its metrics, of the
// process too, and a reload.
func mustBeUp(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	key := interop.New(0)
	d.Import(t, []interop.Key{key}, "")
	response, err := http.Get(d.Metrics)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	metrics, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"process_open_fds", "process_resident_memory_bytes", "process_max_fds"} {
		if !strings.Contains(string(metrics), "\n"+name+" ") {
			t.Errorf("no metric %s", name)
		}
	}
	if err := syscall.Kill(d.PID(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	waitFor(t, d, `msg="reload ended" status=completed`)
}

// waitFor waits for a line of the log.
func waitFor(t *testing.T, d *daemon.Daemon, text string) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !strings.Contains(d.Log(), text); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the log does not say %q\n%s", text, d.Log())
		}
	}
}
