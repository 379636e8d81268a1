// Package daemon builds and runs the real secure-signer for black-box tests:
// only its command line, its files and its HTTP are used.
package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/test/mutant"
)

// startTime is how long a daemon may take to be ready on a crowded machine.
const startTime = 60 * time.Second

// A Folder is a data folder and the passphrase file beside it.
type Folder struct {
	Path       string
	Passphrase string // a file; empty where trusted hardware seals the folder
}

// A Network is what init is told about the chain. Name may be a path of a
// config.yaml; then root and time are needed. A beacon node tells all of it.
type Network struct {
	Name        string
	FromBeacon  string // address
	GenesisRoot string
	GenesisTime string
}

// A binary is a program of this test process, if a test has asked for it.
type binary struct {
	name  string   // below cmd
	flags []string // of go build
	once  sync.Once
	dir   string
	err   error
}

var (
	plain = &binary{name: "secure-signer"}
	raced = &binary{name: "secure-signer", flags: []string{"-race"}}
	tool  = &binary{name: "signerctl"}
)

// path builds the program once and returns where it is.
func (b *binary) path() (string, error) {
	b.once.Do(func() {
		if b.dir, b.err = os.MkdirTemp("", "secure-signer-test-"); b.err == nil {
			b.err = b.build()
		}
	})
	if b.err != nil {
		return "", fmt.Errorf("build %s: %w", b.name, b.err)
	}
	return filepath.Join(b.dir, b.name), nil
}

// build compiles the program with the dependencies of the product's own module,
// not with those of this one.
func (b *binary) build() error {
	root, err := mutant.Root()
	if err != nil {
		return err
	}
	cmd := exec.Command("go", slices.Concat([]string{"build", "-o", filepath.Join(b.dir, b.name)}, b.flags, mutant.Args(), []string{"./cmd/" + b.name})...)
	cmd.Dir = root
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, text)
	}
	return nil
}

// Program is where the daemon is, for a test that starts it in its own way.
func Program(t testing.TB) string {
	t.Helper()
	path, err := plain.path()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Signerctl is where the operator's tool is.
func Signerctl(t testing.TB) string {
	t.Helper()
	path, err := tool.path()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Build compiles the daemon now, for a test that has no time for it later.
func Build(t testing.TB) {
	t.Helper()
	if _, err := plain.path(); err != nil {
		t.Fatal(err)
	}
}

// Main runs a test binary and removes what was built for it:
//
//	func TestMain(m *testing.M) { os.Exit(daemon.Main(m)) }
func Main(m *testing.M) int {
	code := m.Run()
	for _, b := range []*binary{plain, raced, tool} {
		if err := os.RemoveAll(b.dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}

// Run calls the daemon with args and waits for it to end by itself.
func Run(t testing.TB, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	out, err := plain.path()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), startTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, out, args...)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("run %q: %v", args, err)
	}
	if ctx.Err() != nil {
		t.Fatalf("secure-signer %q does not end by itself\n%s%s", args, &o, &e)
	}
	return cmd.ProcessState.ExitCode(), o.String(), e.String()
}

// Init makes a data folder in a fresh temporary folder.
func Init(t testing.TB, n Network) Folder {
	t.Helper()
	return InitAt(t, t.TempDir(), n)
}

// InitAt makes a data folder below dir.
func InitAt(t testing.TB, dir string, n Network) Folder {
	t.Helper()
	f := Folder{Path: filepath.Join(dir, "data"), Passphrase: filepath.Join(t.TempDir(), "passphrase")}
	if err := os.WriteFile(f.Passphrase, []byte("a passphrase for tests only"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr := Run(t, f.InitArgs(n)...); code != 0 {
		t.Fatalf("init: exit %d\n%s%s", code, stdout, stderr)
	}
	return f
}

// InitArgs is the command line that makes f.
func (f Folder) InitArgs(n Network) []string {
	args := []string{"init", "--data-dir", f.Path, "--passphrase-file", f.Passphrase}
	for _, flag := range [][2]string{
		{"--network", n.Name}, {"--from-beacon", n.FromBeacon},
		{"--genesis-validators-root", n.GenesisRoot}, {"--genesis-time", n.GenesisTime},
	} {
		if flag[1] != "" {
			args = append(args, flag[:]...)
		}
	}
	return args
}

// ServeArgs is the command line that serves f on free ports.
func (f Folder) ServeArgs(extra ...string) []string {
	args := []string{"serve", "--data-dir", f.Path, "--http-listen-port", "0", "--metrics-listen-port", "0", "--management-listen-port", "0"}
	if f.Passphrase != "" {
		args = append(args, "--passphrase-file", f.Passphrase)
	}
	return append(args, extra...)
}

// A Daemon is a running secure-signer.
type Daemon struct {
	URL     string
	Metrics string // of /metrics

	t     testing.TB
	token string
	cmd   *exec.Cmd
	ended chan struct{} // closed when the process has ended
	log   *log
	out   *log
}

// Serve starts the daemon on f and waits until it is ready to sign. It is
// killed at the end of the test, if it still runs.
func Serve(t testing.TB, f Folder, extra ...string) *Daemon {
	t.Helper()
	return Start(t, f, Options{Flags: extra})
}

// Options say how a daemon is run, besides its folder.
type Options struct {
	Flags []string // of serve
	Race  bool     // built with the race detector, which writes to the log
	Files int      // file descriptors it may have; 0: as many as this process
	Build string   // another build of the daemon, by its path; empty: the usual one
	Under []string // a program that becomes the daemon, and its first arguments; none: it is started directly
}

func (o Options) command(f Folder) (*exec.Cmd, error) {
	b := plain
	if o.Race {
		b = raced
	}
	path, err := o.Build, error(nil)
	if path == "" {
		path, err = b.path()
	}
	if err != nil {
		return nil, err
	}
	args := f.ServeArgs(o.Flags...)
	if len(o.Under) > 0 {
		return exec.Command(o.Under[0], slices.Concat(o.Under[1:], []string{path}, args)...), nil
	}
	if o.Files > 0 {
		limited := []string{"-c", `ulimit -n "$1" && shift && exec "$@"`, "sh", strconv.Itoa(o.Files), path}
		return exec.Command("sh", append(limited, args...)...), nil
	}
	return exec.Command(path, args...), nil
}

// Start is Serve with options.
func Start(t testing.TB, f Folder, o Options) *Daemon {
	t.Helper()
	cmd, err := o.command(f)
	if err != nil {
		t.Fatal(err)
	}
	d := &Daemon{t: t, cmd: cmd, ended: make(chan struct{}), log: newLog(readyLine), out: newLog(metricsLine)}
	d.cmd.Stdout, d.cmd.Stderr = d.out, d.log
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		d.cmd.Wait() //nolint:errcheck // the exit code is read from ProcessState
		close(d.ended)
	}()
	t.Cleanup(d.Kill)

	select {
	case address := <-d.log.ready:
		d.URL = "http://" + address
	case <-d.ended:
		t.Fatalf("secure-signer serve ended with exit %d\n%s", d.cmd.ProcessState.ExitCode(), d.log)
	case <-time.After(startTime):
		t.Fatalf("secure-signer serve is not ready after %v\n%s", startTime, d.log)
	}
	select {
	case d.Metrics = <-d.out.ready:
	case <-time.After(startTime):
		t.Fatalf("secure-signer serve does not say where its metrics are\n%s", d.out)
	}
	token, err := os.ReadFile(filepath.Join(f.Path, "api-token.txt"))
	if err != nil {
		t.Fatal(err)
	}
	d.token = strings.TrimSpace(string(token))
	return d
}

// Log is what the daemon has written to its log so far.
func (d *Daemon) Log() string { return d.log.String() }

// Out is what the daemon has told a person so far.
func (d *Daemon) Out() string { return d.out.String() }

// PID is its process.
func (d *Daemon) PID() int { return d.cmd.Process.Pid }

// Ended is closed when the process has ended.
func (d *Daemon) Ended() <-chan struct{} { return d.ended }

// Stop sends SIGTERM and returns the exit code.
func (d *Daemon) Stop() int {
	d.t.Helper()
	d.Terminate()
	return d.Wait()
}

// Terminate sends SIGTERM and does not wait.
func (d *Daemon) Terminate() {
	d.cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it may have ended
}

// Wait waits for the daemon to end and returns the exit code.
func (d *Daemon) Wait() int {
	d.t.Helper()
	select {
	case <-d.ended:
	case <-time.After(startTime):
		d.t.Fatalf("secure-signer does not stop\n%s", d.log)
	}
	return d.cmd.ProcessState.ExitCode()
}

// Kill ends the process as a crash does: nothing is flushed or closed.
func (d *Daemon) Kill() {
	d.cmd.Process.Kill() //nolint:errcheck // it may have ended
	<-d.ended
}

// A log keeps what the daemon writes and finds the line that says where it is.
type log struct {
	line  *regexp.Regexp
	mu    sync.Mutex
	text  bytes.Buffer
	found bool
	ready chan string // the address, once
}

func newLog(line *regexp.Regexp) *log { return &log{line: line, ready: make(chan string, 1)} }

var (
	readyLine   = regexp.MustCompile(`msg="ready to sign".* address=(\S+)`)
	metricsLine = regexp.MustCompile(`metrics +(http\S+)`)
)

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	if l.found {
		return len(p), nil
	}
	if m := l.line.FindSubmatch(l.text.Bytes()); m != nil {
		l.found = true
		l.ready <- string(m[1])
	}
	return len(p), nil
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
