package packaging_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
)

var services = []string{"secure-signer.service", "secure-signer-witness.service"}

// mostExposed is the highest figure of `systemd-analyze security` that a service of
// ours may have, on its scale from 0 to 10.
const mostExposed = 2.0

// TestTheServicesAreSound has systemd read them, and judge what a service that was
// taken over could do.
func TestTheServicesAreSound(t *testing.T) {
	need(t, "systemd-analyze")
	for _, service := range services {
		t.Run(service, func(t *testing.T) {
			text := string(read(t, filepath.Join(root(t), "packaging", "systemd", service)))
			unit := filepath.Join(t.TempDir(), service)
			text = strings.Replace(text, "ExecStart=/usr/bin/secure-signer ", "ExecStart="+daemon.Program(t)+" ", 1)
			if err := os.WriteFile(unit, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command("systemd-analyze", "verify", "--man=no", unit).CombinedOutput()
			if err != nil || strings.Contains(string(out), unit+":") {
				t.Errorf("verify: %v\n%s", err, out)
			}
			out, err = exec.Command("systemd-analyze", "security", "--offline=true", "--no-pager", unit).CombinedOutput()
			level := regexp.MustCompile(`exposure level for \S+: ([0-9.]+)`).FindSubmatch(out)
			if err != nil || level == nil {
				t.Fatalf("security: %v\n%s", err, out)
			}
			if exposed, err := strconv.ParseFloat(string(level[1]), 64); err != nil || exposed > mostExposed {
				t.Errorf("exposed by %s, more than %.1f:\n%s", level[1], mostExposed, out)
			}
		})
	}
}

// TestTheServiceMayDoWhatTheSignerDoes watches a signer that starts, makes a key,
// signs, reloads and stops: the service's filter allows every call, those included by
// which it hardens itself and hides its keys.
func TestTheServiceMayDoWhatTheSignerDoes(t *testing.T) {
	if testing.Short() {
		t.Skip("counts system calls; the race detector makes others")
	}
	need(t, "systemd-analyze")
	need(t, "strace")
	counted := filepath.Join(t.TempDir(), "calls")
	f := daemon.Init(t, daemon.Network{Name: "hoodi"})
	d := daemon.Start(t, f, daemon.Options{Under: []string{"strace", "-D", "-f", "-qq", "-o", counted}})
	if out, err := exec.Command(daemon.Signerctl(t), "--data-dir", f.Path, "--url", d.URL, "keys", "generate").CombinedOutput(); err != nil {
		t.Fatalf("keys generate: %v\n%s", err, out)
	}
	if code := d.Stop(); code != 0 {
		t.Fatalf("exit %d\n%s", code, d.Log())
	}

	allowed := allowedCalls(t)
	used := map[string]bool{}
	for _, call := range regexp.MustCompile(`(?m)^\d+ +(?:<\.\.\. )?([a-z0-9_]+)(?:\(| resumed)`).FindAllStringSubmatch(string(read(t, counted)), -1) {
		used[call[1]] = true
	}
	for _, expected := range []string{"memfd_secret", "landlock_restrict_self", "seccomp"} {
		if !used[expected] {
			t.Errorf("the signer made no call of %s: this test sees nothing", expected)
		}
	}
	for call := range used {
		if !slices.Contains(allowed, call) {
			t.Errorf("the signer calls %s, which the service's SystemCallFilter denies", call)
		}
	}
}

// allowedCalls are those of the service's filter, with systemd's groups opened.
func allowedCalls(t *testing.T) []string {
	t.Helper()
	groups := map[string][]string{}
	out, err := exec.Command("systemd-analyze", "syscall-filter", "--no-pager").Output()
	if err != nil {
		t.Fatal(err)
	}
	var group string
	for line := range strings.Lines(string(out)) {
		switch name := strings.TrimSpace(line); {
		case strings.HasPrefix(line, "@"):
			group = name
		case strings.HasPrefix(line, "    ") && !strings.HasPrefix(name, "#"):
			groups[group] = append(groups[group], name)
		}
	}
	var allowed []string
	var open func(string)
	open = func(name string) {
		if !strings.HasPrefix(name, "@") {
			allowed = append(allowed, name)
		}
		for _, member := range groups[name] {
			open(member)
		}
	}
	text := read(t, filepath.Join(root(t), "packaging", "systemd", "secure-signer.service"))
	for _, filter := range regexp.MustCompile(`(?m)^SystemCallFilter=(.*)$`).FindAllSubmatch(text, -1) {
		for name := range strings.FieldsSeq(string(filter[1])) {
			open(name)
		}
	}
	return allowed
}

// need skips a test without a tool that scripts/setup-test.sh installs, but not in CI.
func need(t *testing.T, tool string) {
	t.Helper()
	if _, err := exec.LookPath(tool); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}
