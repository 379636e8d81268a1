// Package hardware_test keeps the recipes of this folder as strict as they are. What
// they build runs on hardware that no test machine has; what they say is checked here.
package hardware_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// render does what gramine-manifest does to a template that has only variables and
// one condition, and refuses any other.
func render(t *testing.T, template string, values map[string]string) string {
	t.Helper()
	condition := regexp.MustCompile(`(?s)\{% if (\w+) %\}(.*?)\{% endif %\}`)
	text := condition.ReplaceAllStringFunc(template, func(s string) string {
		m := condition.FindStringSubmatch(s)
		if values[m[1]] == "" {
			return ""
		}
		return m[2]
	})
	for name, value := range values {
		text = strings.ReplaceAll(text, "{{ "+name+" }}", value)
	}
	if strings.Contains(text, "{{") || strings.Contains(text, "{%") {
		t.Fatalf("the template has more than the test knows:\n%s", text)
	}
	return text
}

// settings reads `name = value` from TOML that is written as the template is: every
// setting begins at the margin, and an array ends with a line of its own.
func settings(t *testing.T, text string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		line := uncomment(lines[i])
		if line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, " = ")
		if !ok || strings.HasPrefix(line, "[") {
			t.Fatalf("line %d is no setting: %q", i+1, lines[i])
		}
		if value == "[" {
			for i++; i < len(lines) && uncomment(lines[i]) != "]"; i++ {
				value += uncomment(lines[i])
			}
			value += "]"
		}
		if _, twice := all[name]; twice {
			t.Fatalf("%s is set twice", name)
		}
		all[name] = value
	}
	return all
}

func uncomment(line string) string {
	line, _, _ = strings.Cut(line, "#")
	return strings.TrimSpace(line)
}

// pinned is the whole manifest of the enclave. A setting more is a door more.
func pinned() map[string]string {
	return map[string]string{
		"loader.log_level":               `"error"`,
		"libos.entrypoint":               `"/secure-signer"`,
		"loader.argv":                    `["secure-signer", "start", "--data-dir", "/data/signer", "--config", "/etc/secure-signer.yaml"]`,
		"loader.env.GOMAXPROCS":          `"4"`,
		"fs.root.type":                   `"tmpfs"`,
		"fs.mounts":                      `[{ path = "/secure-signer", uri = "file:secure-signer" },{ path = "/etc", uri = "file:etc" },{ path = "/data", uri = "file:/srv/data" },]`,
		"sgx.max_threads":                `64`,
		"sgx.enclave_size":               `"2G"`,
		"sgx.trusted_files":              `["file:secure-signer","file:etc/",]`,
		"sgx.allowed_files":              `["file:/srv/data/",]`,
		"sgx.file_check_policy":          `"strict"`,
		"sgx.debug":                      `false`,
		"sgx.remote_attestation":         `"dcap"`,
		"sgx.isvprodid":                  `0`,
		"sgx.isvsvn":                     `3`,
		"sys.enable_sigterm_injection":   `true`,
		"sys.disallow_subprocesses":      `true`,
		"sys.experimental__enable_flock": `true`,
	}
}

// differences says what a manifest has that it must not have, or lacks.
func differences(got map[string]string) (all []string) {
	want := pinned()
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if value, ok := want[name]; !ok || got[name] != value {
			all = append(all, fmt.Sprintf("%s is %s, want %q", name, got[name], value))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if _, ok := got[name]; !ok {
			all = append(all, name+" is missing")
		}
	}
	return all
}

func values() map[string]string {
	return map[string]string{"data": "/srv/data", "svn": "3", "processors": "4", "tpm": ""}
}

func TestManifestKeepsTheHostOut(t *testing.T) {
	template := read(t, "sgx/secure-signer.manifest.template")
	for _, d := range differences(settings(t, render(t, template, values()))) {
		t.Error(d)
	}
	with := values()
	with["tpm"] = "/dev/tpmrm0"
	got := settings(t, render(t, template, with))
	const device = `{ path = "/dev/tpmrm0", uri = "dev:/dev/tpmrm0" },`
	if !strings.Contains(got["fs.mounts"], device) {
		t.Errorf("no TPM: %s", got["fs.mounts"])
	}
	got["fs.mounts"] = strings.Replace(got["fs.mounts"], device, "", 1)
	for _, d := range differences(got) {
		t.Errorf("with a TPM: %s", d)
	}
}

// The test above can fail: each of these would let the host in.
func TestManifestsThatLetTheHostIn(t *testing.T) {
	template := read(t, "sgx/secure-signer.manifest.template")
	for _, tt := range []struct{ name, old, new string }{
		{"a debug enclave", "sgx.debug = false", "sgx.debug = true"},
		{"arguments of the host", "sgx.debug = false", "sgx.debug = false\nloader.insecure__use_cmdline_argv = true"},
		{"its environment", "sgx.debug = false", "sgx.debug = false\nloader.insecure__use_host_env = true"},
		{"one of its variables", "sgx.debug = false", "sgx.debug = false\nloader.env.GODEBUG = { passthrough = true }"},
		{"settings that are not measured", `  "file:{{ data }}/",`, `  "file:{{ data }}/", "file:etc/",`},
		{"unknown files", `"strict"`, `"allow_all_but_log"`},
		{"another disk", `  { path = "/etc"`, `  { path = "/x", uri = "file:/" },` + "\n" + `  { path = "/etc"`},
		{"no attestation", `"dcap"`, `"none"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if strings.Count(template, tt.old) != 1 {
				t.Fatalf("%q is not there once", tt.old)
			}
			if differences(settings(t, render(t, strings.Replace(template, tt.old, tt.new, 1), values()))) == nil {
				t.Error("not noticed")
			}
		})
	}
}

func TestTheVMRunsNothingElse(t *testing.T) {
	script := read(t, "vm/build.sh")
	m := regexp.MustCompile(`(?m)^cmdline="(.*)"$`).FindStringSubmatch(script)
	const want = "console=ttyS0 rdinit=/boot panic=-1 module.sig_enforce=1 lockdown=confidentiality init_on_alloc=1 init_on_free=1 -- vm"
	if m == nil || m[1] != want {
		t.Errorf("command line %q, want %q", m, want)
	}
	m = regexp.MustCompile(`(?m)^needed="(.*)"$`).FindStringSubmatch(script)
	const modules = "failover net_failover virtio_net virtio_blk configfs tsm tdx-guest sev-guest evdev button"
	if m == nil || m[1] != modules {
		t.Errorf("modules %q, want %q", m, modules)
	}
	var programs []string
	for _, line := range strings.Split(script, "\n") {
		if strings.Contains(line, `"$root/`) && !strings.HasPrefix(line, "mkdir") && !strings.Contains(line, "etc/") && !strings.Contains(line, "modules/") {
			programs = append(programs, line)
		}
	}
	if len(programs) != 2 || !strings.Contains(programs[0], `"$root/boot"`) || !strings.Contains(programs[1], `"$root/secure-signer"`) {
		t.Errorf("programs of the image: %q", programs)
	}
}

func TestTheEnclaveImageHoldsNothingElse(t *testing.T) {
	var got []string
	for line := range strings.Lines(read(t, "nitro/Dockerfile")) {
		if line = uncomment(line); line != "" {
			got = append(got, line)
		}
	}
	want := []string{"FROM scratch", "COPY boot secure-signer /", "COPY etc /etc", `ENTRYPOINT ["/boot", "enclave"]`}
	if !slices.Equal(got, want) {
		t.Errorf("Dockerfile %q, want %q", got, want)
	}
}

// Where the makers' tools are missing, each recipe says what to install.
func TestRecipesSayWhatTheyNeed(t *testing.T) {
	empty := t.TempDir()
	for _, name := range []string{"bash", "dirname", "realpath"} { // and nothing else
		path, err := exec.LookPath(name)
		if err != nil {
			t.Skipf("no %s", name)
		}
		if err := os.Symlink(path, filepath.Join(empty, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		script string
		args   []string
		want   string
	}{
		{"sgx/build.sh", []string{"etc", "key", "out"}, "Gramine is in neither Debian nor npm"},
		{"vm/build.sh", []string{"etc", "out"}, "apt-get install"},
		{"nitro/build.sh", []string{"etc", "out"}, "aws-nitro-enclaves-cli"},
		{"sgx/build.sh", nil, "usage: hardware/sgx/build.sh ETC KEY FOLDER"},
		{"vm/build.sh", nil, "usage: hardware/vm/build.sh ETC FOLDER"},
		{"nitro/build.sh", nil, "usage: hardware/nitro/build.sh ETC FOLDER"},
	} {
		cmd := exec.Command(filepath.Join(empty, "bash"), append([]string{tt.script}, tt.args...)...)
		cmd.Env = []string{"PATH=" + empty}
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), tt.want) {
			t.Errorf("%s %q: %v, said %q, want %q", tt.script, tt.args, err, out, tt.want)
		}
	}
}

// Gramine's tools are stood in for: what they sign is a SIGSTRUCT whose key is public.
// The recipe must say so, and leave nothing that could be started.
func TestTheSGXRecipeRefusesAPublicKey(t *testing.T) {
	tools, programs, etc, out := t.TempDir(), t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "out")
	if text, err := exec.Command("go", "build", "-o", programs+"/", "../cmd/signerctl").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	signed, err := filepath.Abs("../measure/testdata/occlum.sig")
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{
		filepath.Join(tools, "gramine-manifest"):   "#!/bin/sh\nfor last; do :; done\n: >\"$last\"\n",
		filepath.Join(tools, "gramine-sgx-sign"):   "#!/bin/sh\ncp '" + signed + "' secure-signer.sig\n: >secure-signer.manifest.sgx\n",
		filepath.Join(programs, "secure-signer"):   "",
		filepath.Join(etc, "secure-signer.yaml"):   "",
		filepath.Join(programs, "enclave-key.pem"): "",
	} {
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("sgx/build.sh", etc, filepath.Join(programs, "enclave-key.pem"), out)
	cmd.Env = append(os.Environ(), "PATH="+tools+":"+os.Getenv("PATH"), "SIGNER="+filepath.Join(programs, "secure-signer"))
	text, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(text), "private half of its signing key is public") {
		t.Errorf("%v\n%s", err, text)
	}
	for _, name := range []string{"secure-signer.sig", "secure-signer.manifest.sgx"} {
		if _, err := os.Stat(filepath.Join(out, name)); err == nil {
			t.Errorf("%s is left", name)
		}
	}
}
