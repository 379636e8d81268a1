// Package tpmtest starts TPMs in software (swtpm) for tests, certified by a CA of
// their own, and wires to lay between a TPM and who uses it.
package tpmtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A TPM is one in software. It ends with its test.
type TPM struct {
	// Path is a socket that serves any number of connections. As the kernel does for
	// /dev/tpmrm0, it flushes what a connection leaves behind.
	Path string

	// Roots is a folder with the certificates of the CA that certified it.
	Roots string

	dir     string
	process *exec.Cmd
	manager manager
	wires   atomic.Int64 // how many there were
}

// Start makes a new TPM. Where swtpm is missing the test is skipped, or fails when
// CI is set: a skipped proof must never look like a passed one.
func Start(t testing.TB) *TPM {
	t.Helper()
	for _, tool := range []string{"swtpm", "swtpm_setup", "swtpm_localca"} {
		if _, err := exec.LookPath(tool); err == nil {
			continue
		}
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is missing: run scripts/setup-test.sh", tool)
		}
		t.Skipf("%s is missing: run scripts/setup-test.sh", tool)
	}
	dir, err := os.MkdirTemp("", "tpm") // as a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	m := &TPM{dir: dir, Roots: filepath.Join(dir, "roots")}
	m.manufacture(t)
	m.PowerOn(t)
	t.Cleanup(func() { m.PowerOff(t) })
	m.manager.socket = m.socket()
	m.Path = m.listen(t, m.manager.connect)
	return m
}

func (m *TPM) file(name string) string { return filepath.Join(m.dir, name) }

// manufacture makes the state of a TPM, with endorsement keys and certificates.
func (m *TPM) manufacture(t testing.TB) {
	t.Helper()
	for _, name := range []string{"state", "roots"} {
		if err := os.Mkdir(m.file(name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"ca.conf":    "statedir = DIR/ca\nsigningkey = DIR/ca/signkey.pem\nissuercert = DIR/ca/issuercert.pem\ncertserial = DIR/ca/certserial\n",
		"ca.options": "--platform-manufacturer Test\n--platform-version 1\n--platform-model Test\n",
		"setup.conf": "create_certs_tool = swtpm_localca\ncreate_certs_tool_config = DIR/ca.conf\n" +
			"create_certs_tool_options = DIR/ca.options\nactive_pcr_banks = sha256\n",
	} {
		if err := os.WriteFile(m.file(name), []byte(strings.ReplaceAll(text, "DIR", m.dir)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	setup := exec.Command("swtpm_setup", "--tpm2", "--tpm-state", m.file("state"), "--create-ek-cert", "--config", m.file("setup.conf"))
	if out, err := setup.CombinedOutput(); err != nil {
		t.Fatalf("swtpm_setup: %v\n%s", err, out)
	}
	for _, name := range []string{"issuercert.pem", "swtpm-localca-rootca-cert.pem"} {
		if err := os.Rename(filepath.Join(m.file("ca"), name), filepath.Join(m.Roots, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// PowerOn starts it, as a machine does: its registers are as after a reset.
func (m *TPM) PowerOn(t testing.TB) {
	t.Helper()
	_ = os.Remove(m.socket())
	var log strings.Builder
	m.process = exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+m.file("state"),
		"--server", "type=unixio,path="+m.socket(), "--ctrl", "type=unixio,path="+m.socket()+".ctrl",
		"--flags", "not-need-init,startup-clear", "--seccomp", "action=none")
	m.process.Stdout, m.process.Stderr = &log, &log
	if err := m.process.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := m.ping()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			m.PowerOff(t)
			t.Fatalf("swtpm does not answer: %v\n%s", err, log.String())
		}
	}
}

// PowerOff ends it as a power cut does. What is on its disk stays.
func (m *TPM) PowerOff(t testing.TB) {
	t.Helper()
	if m.process == nil {
		return
	}
	m.manager.hangUp()
	_ = m.process.Process.Kill()
	_ = m.process.Wait()
	m.process = nil
}

// SaveState returns a copy of all that it remembers, for RestoreState: what whoever
// owns a TPM in software can do.
func (m *TPM) SaveState(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile(m.stateFile())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// RestoreState takes it back to where it was. It must be off.
func (m *TPM) RestoreState(t testing.TB, saved []byte) {
	t.Helper()
	if m.process != nil {
		t.Fatal("tpmtest: it is running")
	}
	if err := os.WriteFile(m.stateFile(), saved, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (m *TPM) stateFile() string { return filepath.Join(m.file("state"), "tpm2-00.permall") }
func (m *TPM) socket() string    { return m.file("swtpm") }

func (m *TPM) ping() error {
	conn, err := dial(m.socket())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	answer, err := conn.command(message(codeGetRandom, []byte{0, 2}))
	if err != nil {
		return err
	}
	if code(answer) != 0 {
		return fmt.Errorf("TPM2_GetRandom: %#x", code(answer))
	}
	return nil
}
