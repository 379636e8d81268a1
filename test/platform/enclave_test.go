package platform

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/internal/forge"
	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

// enclave returns the folder in which Gramine would show a program its hardware: a
// pipe that takes the report data, one that gives the quote, and the sealing key.
// Programs differ in measurement and key.
func enclave(t *testing.T, program byte) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "attestation")
	if err := os.MkdirAll(filepath.Join(dir, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	asked, given := filepath.Join(dir, "user_report_data"), filepath.Join(dir, "quote")
	if err := errors.Join(
		syscall.Mkfifo(asked, 0o600), syscall.Mkfifo(given, 0o600),
		os.WriteFile(filepath.Join(dir, "keys", "_sgx_mrenclave"), bytes.Repeat([]byte{program}, 16), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	in, err := os.OpenFile(asked, os.O_RDWR, 0) // so that it opens with nobody at the other end
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() {
		in.Close()
		<-ended
	})
	go func() {
		defer close(ended)
		for answer(in, given, program) {
		}
	}()
	return dir
}

// answer makes one quote.
func answer(in io.Reader, path string, program byte) bool {
	var rd attest.ReportData
	if _, err := io.ReadFull(in, rd[:]); err != nil {
		return false
	}
	f := forge.NewQuote(attest.KindSGX, 3, 0)
	copy(f.Body[64:], bytes.Repeat([]byte{program}, 32))
	copy(f.Body[320:], rd[:])
	ev, _ := f.Make()
	out, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return false
	}
	_, _ = out.Write(ev.Value)
	return out.Close() == nil
}

// TestTheDaemonInAnEnclave runs the real program on what looks to it like Gramine.
func TestTheDaemonInAnEnclave(t *testing.T) {
	program := daemon.Program(t)
	here, other := enclave(t, 7), enclave(t, 8)
	path := filepath.Join(t.TempDir(), "data")
	out := must(t, program, "init", "--data-dir", path, "--network", "hoodi", "--platform", "auto", "--attestation-dir", here)
	if !strings.Contains(out, "sealed by platform gramine") {
		t.Errorf("init says:\n%s", out)
	}
	serve := func(dir string) *daemon.Daemon {
		return daemon.Start(t, daemon.Folder{Path: path}, daemon.Options{Flags: []string{"--attestation-dir", dir, "--new-key-floor", "none"}})
	}
	d := serve(here)
	d.Import(t, interop.Keys(1), "")
	signs(t, d, 100)
	if kind, lacks := platformOf(t, d); kind != "sgx" || len(lacks) == 0 {
		t.Errorf("it says that it is %s and lacks %q", kind, lacks)
	}
	if !strings.Contains(d.Out(), "mrenclave "+strings.Repeat("07", 32)) {
		t.Errorf("the start does not say what is measured:\n%s", d.Out())
	}
	d.Stop()

	refuses(t, "another program", program, "serve", "--data-dir", path, "--attestation-dir", other)
	refuses(t, "gramine", program, "serve", "--data-dir", path, "--attestation-dir", filepath.Join(here, "none"))
	passphrase := write(t, filepath.Join(t.TempDir(), "passphrase"), "correct horse")
	refuses(t, "keep the keys from whoever owns the machine", program, "reseal", "--data-dir", path, "--attestation-dir", here, "--platform", "none", "--passphrase-file", passphrase)
	plain := daemon.Init(t, daemon.Network{Name: "hoodi"})
	refuses(t, "import the keys", program, "reseal", "--data-dir", plain.Path, "--attestation-dir", here, "--platform", "gramine", "--passphrase-file", plain.Passphrase)
	remembers(t, serve(here), 100)
}
