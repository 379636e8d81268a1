package platform

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestAFolderOpensOnlyWhereItWasSealed: by the same program, on the same hardware,
// under the same settings.
func TestAFolderOpensOnlyWhereItWasSealed(t *testing.T) {
	program := daemon.Program(t)
	f := newFolder(t, "--release-threshold", "1", "--release-key", strings.Repeat("ab", 32))
	d := f.serve(t, "")
	d.Import(t, interop.Keys(1), "")
	signs(t, d, 100)
	kind, lacks := platformOf(t, d)
	if kind != "dev" || !strings.Contains(strings.Join(lacks, "\n"), "no hardware") || !strings.Contains(strings.Join(lacks, "\n"), "no rollback protection") {
		t.Errorf("it says that it is %s and lacks %q", kind, lacks)
	}
	if !strings.Contains(d.Out(), "lacks: it is no hardware") {
		t.Errorf("the start says nothing of what the platform lacks:\n%s", d.Out())
	}
	if code := d.Stop(); code != 0 {
		t.Fatalf("exit %d\n%s", code, d.Log())
	}

	other := filepath.Join(t.TempDir(), "root")
	passphrase := write(t, filepath.Join(t.TempDir(), "passphrase"), "correct horse")
	refuses(t, "other hardware, another program", program, "serve", "--data-dir", f.path, "--dev-root", other)
	refuses(t, "other hardware, another program", next.program(t), f.flags("serve")...)
	refuses(t, "needs --dev-root", program, "serve", "--data-dir", f.path)
	refuses(t, "reseal", program, f.flags("serve", "--platform", "none")...)
	refuses(t, "reseal", program, f.flags("serve", "--platform", "tpm")...)
	refuses(t, "use one of none, auto", program, f.flags("serve", "--platform", "sgx")...)
	refuses(t, "has no passphrase", program, f.flags("serve", "--passphrase-file", passphrase)...)
	refuses(t, "has no passphrase", program, "passphrase", "change", "--data-dir", f.path)

	config := filepath.Join(f.path, "config.yaml")
	whole := read(t, config)
	write(t, config, strings.Replace(whole, "0xab", "0xcd", 1))
	refuses(t, "under other settings", program, f.flags("serve")...)
	write(t, config, whole)

	again := f.serve(t, "")
	remembers(t, again, 100)
	signs(t, again, 101)
}

func TestABackupOpensOnlyWhereItWasSealed(t *testing.T) {
	program := daemon.Program(t)
	f := newFolder(t)
	d := f.serve(t, "")
	d.Import(t, interop.Keys(1), "")
	signs(t, d, 100)
	backup := filepath.Join(t.TempDir(), "backup")
	must(t, daemon.Signerctl(t), "backup", backup, "--url", d.URL, "--data-dir", f.path)
	d.Stop()

	restored := folder{filepath.Join(t.TempDir(), "data"), f.root}
	stranger := folder{filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "root")}
	refuses(t, "other hardware, another program", program, stranger.flags("restore", backup)...)
	if _, err := os.Stat(stranger.path); err == nil {
		t.Error("there is a folder")
	}
	must(t, program, restored.flags("restore", backup)...)
	remembers(t, restored.serve(t, ""), 100)
	must(t, program, f.flags("restore")...)
}

// TestASealMoves from a passphrase to a platform and back, with keys and history, and
// goes on where it was cut off.
func TestASealMoves(t *testing.T) {
	program := daemon.Program(t)
	plain := daemon.Init(t, daemon.Network{Name: "hoodi"})
	d := daemon.Serve(t, plain, "--new-key-floor", "none")
	kind, lacks := platformOf(t, d)
	if kind != "none" || len(lacks) != 3 {
		t.Errorf("a plain host is %s and lacks %q", kind, lacks)
	}
	d.Import(t, interop.Keys(1), "")
	signs(t, d, 100)
	d.Stop()

	f := folder{plain.Path, filepath.Join(t.TempDir(), "root")}
	config := filepath.Join(f.path, "config.yaml")
	before := read(t, config)
	toPlatform := f.flags("reseal", "--platform", "dev", "--passphrase-file", plain.Passphrase)
	must(t, program, toPlatform...)
	write(t, config, before) // as if it was cut off before config.yaml was written
	refuses(t, "if a reseal was cut off, run it again", program, "serve", "--data-dir", f.path, "--passphrase-file", plain.Passphrase)
	must(t, program, toPlatform...)
	refuses(t, "already", program, toPlatform...)
	d = f.serve(t, "")
	remembers(t, d, 100)
	signs(t, d, 101)
	d.Stop()

	before = read(t, config)
	fromPlatform := f.flags("reseal", "--platform", "none", "--passphrase-file", plain.Passphrase)
	must(t, program, fromPlatform...)
	write(t, config, before)
	refuses(t, "if a reseal was cut off, run it again", program, f.flags("serve")...)
	must(t, program, fromPlatform...)
	d = daemon.Serve(t, plain)
	remembers(t, d, 101)
	signs(t, d, 102)
	d.Stop()

	wrong := write(t, filepath.Join(t.TempDir(), "passphrase"), "wrong")
	refuses(t, "wrong passphrase", program, f.flags("reseal", "--platform", "dev", "--passphrase-file", wrong)...)
	if got := read(t, config); strings.Contains(got, "platform") {
		t.Errorf("a reseal that failed has changed config.yaml:\n%s", got)
	}
}

// TestAReleaseStartsOnNoPlatformForTrials: whoever relies on a release must not be
// deceived by one that was started for a trial.
func TestAReleaseStartsOnNoPlatformForTrials(t *testing.T) {
	program := release.program(t)
	if out := must(t, program, "version"); !strings.Contains(out, "v1.2.3") {
		t.Fatalf("this is no release build: %s", out)
	}
	path := filepath.Join(t.TempDir(), "data")
	refuses(t, "a release does not start with it", program, "init", "--data-dir", path, "--network", "hoodi", "--platform", "dev", "--dev-root", path+"-root")
	if _, err := os.Stat(path); err == nil {
		t.Error("there is a folder")
	}
	f := newFolder(t)
	refuses(t, "a release does not start with it", program, f.flags("serve")...)
	refuses(t, "a release does not start with it", program, f.flags("restore")...)
	refuses(t, "a release does not start with it", program, f.flags("reseal", "--platform", "none")...)
}
