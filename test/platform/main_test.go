// Package platform drives the real daemon on the dev platform through what decides
// who can open a data folder: another program, another machine, another setting, a
// seal that moves, a release, and the hand-over to the next version.
package platform

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
	"github.com/secure-signer/secure-signer/test/mutant"
)

func TestMain(m *testing.M) {
	code := daemon.Main(m)
	for _, b := range []*build{next, release} {
		if b.path != "" {
			os.RemoveAll(filepath.Dir(b.path))
		}
	}
	os.Exit(code)
}

// A build is another daemon than the usual one, made once.
type build struct {
	flags string // of the linker
	once  sync.Once
	path  string
	err   error
}

var (
	// next is the next version: the same program in other bytes, which is all that a
	// measurement sees.
	next    = &build{flags: "-s -w"}
	release = &build{flags: "-s -w -X github.com/secure-signer/secure-signer/internal/cli.release=v1.2.3"}
)

func (b *build) program(t *testing.T) string {
	t.Helper()
	b.once.Do(func() {
		root, err := mutant.Root()
		if err != nil {
			b.err = err
			return
		}
		dir, err := os.MkdirTemp("", "secure-signer-test-")
		if err != nil {
			b.err = err
			return
		}
		b.path = filepath.Join(dir, "secure-signer")
		cmd := exec.Command("go", slices.Concat([]string{"build", "-o", b.path, "-ldflags", b.flags}, mutant.Args(), []string{"./cmd/secure-signer"})...)
		cmd.Dir = root
		if text, err := cmd.CombinedOutput(); err != nil {
			b.err = fmt.Errorf("%w\n%s", err, text)
		}
	})
	if b.err != nil {
		t.Fatal(b.err)
	}
	return b.path
}

// run calls a program and returns its exit code and all that it says.
func run(t *testing.T, program string, args ...string) (int, string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("run %q: %v", args, err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// must is run of what must succeed.
func must(t *testing.T, program string, args ...string) string {
	t.Helper()
	code, out := run(t, program, args...)
	if code != 0 {
		t.Fatalf("%s %q: exit %d\n%s", filepath.Base(program), args, code, out)
	}
	return out
}

// refuses is run of what must fail and say why.
func refuses(t *testing.T, says, program string, args ...string) {
	t.Helper()
	if code, out := run(t, program, args...); code == 0 || !strings.Contains(out, says) {
		t.Errorf("%s %q: exit %d, want a refusal that says %q\n%s", filepath.Base(program), args, code, says, out)
	}
}

// A folder is one that the dev platform seals.
type folder struct {
	path, root string
}

// newFolder makes one by the usual build, for hoodi.
func newFolder(t *testing.T, flags ...string) folder {
	t.Helper()
	dir := t.TempDir()
	f := folder{filepath.Join(dir, "data"), filepath.Join(dir, "root")}
	args := append([]string{"init", "--data-dir", f.path, "--network", "hoodi", "--platform", "dev", "--dev-root", f.root}, flags...)
	must(t, daemon.Program(t), args...)
	return f
}

// flags name the folder and its platform.
func (f folder) flags(command string, more ...string) []string {
	return append([]string{command, "--data-dir", f.path, "--dev-root", f.root}, more...)
}

// serve starts a build on the folder; an empty path is the usual one.
func (f folder) serve(t *testing.T, build string) *daemon.Daemon {
	t.Helper()
	return daemon.Start(t, daemon.Folder{Path: f.path}, daemon.Options{Build: build, Flags: []string{"--dev-root", f.root, "--new-key-floor", "none"}})
}

// vote asks for a vote of key 0. Variants of one target conflict.
func vote(t *testing.T, d *daemon.Daemon, target uint64, variant byte) (status int, reason string) {
	t.Helper()
	root := "0x" + strings.Repeat(fmt.Sprintf("%02x", variant), 32)
	body := fmt.Sprintf(`{"type":"ATTESTATION","fork_info":{"fork":{"previous_version":"0x60000910","current_version":"0x70000910","epoch":"50688"},"genesis_validators_root":"0x212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f"},`+
		`"attestation":{"slot":"%d","index":"0","beacon_block_root":%q,"source":{"epoch":"%d","root":%q},"target":{"epoch":"%d","root":%q}}}`,
		target*32, root, target-1, root, target, root)
	answer, err := d.Sign(interop.New(0).Public, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status, answer.Reason()
}

// signs holds that a vote is signed.
func signs(t *testing.T, d *daemon.Daemon, target uint64) {
	t.Helper()
	if status, reason := vote(t, d, target, 1); status != 200 {
		t.Errorf("a vote for epoch %d: %d %s, want a signature", target, status, reason)
	}
}

// remembers holds that what conflicts with a vote that was signed is refused.
func remembers(t *testing.T, d *daemon.Daemon, target uint64) {
	t.Helper()
	if status, reason := vote(t, d, target, 2); status != 412 {
		t.Errorf("a conflicting vote for epoch %d: %d %s, want 412", target, status, reason)
	}
}

// lacks returns what /healthcheck says of the platform.
func platformOf(t *testing.T, d *daemon.Daemon) (kind string, lacks []string) {
	t.Helper()
	var health struct {
		Checks []struct {
			ID     string
			Status string
			Data   struct {
				Kind        string
				Measurement map[string]string
				Lacks       []string
			}
		}
	}
	if err := json.Unmarshal(d.Get(t, "/healthcheck"), &health); err != nil {
		t.Fatal(err)
	}
	for _, c := range health.Checks {
		if c.ID == "platform" && c.Status == "UP" {
			return c.Data.Kind, c.Data.Lacks
		}
	}
	t.Fatalf("/healthcheck shows no platform: %+v", health)
	return "", nil
}
