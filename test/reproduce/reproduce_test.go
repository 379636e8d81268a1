// Package reproduce_test builds the programs as they are released, and holds the
// builds against each other: whoever builds a release again, anywhere, must get
// the bytes that the hardware measured.
package reproduce_test

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/test/mutant"
)

const version = "v0.0.0-reproduced"

// TestTwoFoldersGiveTheSameBytes builds a copy of the tree in a folder of another
// name, with nothing in its build cache, and the tree itself with the usual cache.
// The long form builds both programs, and both times from nothing.
func TestTwoFoldersGiveTheSameBytes(t *testing.T) {
	if testing.Short() {
		t.Skip("builds everything anew; the race detector would see nothing of it")
	}
	programs, cache := []string{"secure-signer"}, ""
	if os.Getenv("SECURE_SIGNER_LONG") != "" {
		programs, cache = []string{"secure-signer", "signerctl"}, t.TempDir()
	}
	root, err := mutant.Root()
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := filepath.Join(t.TempDir(), "a folder of another name and length")
	copyTree(t, root, elsewhere)

	here := release(t, root, cache, programs)
	there := release(t, elsewhere, t.TempDir(), programs)
	for _, program := range programs {
		a, b := read(t, filepath.Join(here, program)), read(t, filepath.Join(there, program))
		if sha256.Sum256(a) != sha256.Sum256(b) {
			t.Errorf("%s: %x here, %x there", program, sha256.Sum256(a), sha256.Sum256(b))
		}
		for _, folder := range []string{root, elsewhere} {
			if bytes.Contains(a, []byte(folder)) || bytes.Contains(b, []byte(folder)) {
				t.Errorf("%s names the folder %s", program, folder)
			}
		}
		isStatic(t, filepath.Join(here, program))
		knowsItsVersion(t, filepath.Join(here, program))
	}
}

// release builds programs from the tree at root and returns where they are. The
// cache is the usual one if it is empty.
func release(t *testing.T, root, cache string, programs []string) string {
	t.Helper()
	out := t.TempDir()
	cmd := exec.Command(filepath.Join(root, "scripts", "release.sh"), append([]string{out}, programs...)...)
	cmd.Env = append(os.Environ(), "VERSION="+version, "GOFLAGS=-p=2 -trimpath=false") // of which it must take no notice
	if cache != "" {
		cmd.Env = append(cmd.Env, "GOCACHE="+cache)
	}
	text, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("release: %v\n%s", err, text)
	}
	t.Logf("%s", text)
	return out
}

// copyTree copies what git knows of, and what it would be told of, as it lies in
// the folder now. The tests' module stays behind.
func copyTree(t *testing.T, root, to string) {
	t.Helper()
	list := exec.Command("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z")
	list.Dir = root
	names, err := list.Output()
	if err != nil {
		t.Fatalf("list the tree: %v", err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(names), "\x00"), "\x00") {
		from := filepath.Join(root, name)
		info, err := os.Stat(from)
		if strings.HasPrefix(name, "test/") || os.IsNotExist(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(to, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, name), read(t, from), info.Mode().Perm()); err != nil {
			t.Fatal(err)
		}
	}
}

// isStatic fails the test unless the kernel alone can start the program.
func isStatic(t *testing.T, path string) {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("%s has a segment %v: it is not static", path, p.Type)
		}
	}
	if len(f.Progs) == 0 {
		t.Errorf("%s has no segments", path)
	}
}

func knowsItsVersion(t *testing.T, path string) {
	t.Helper()
	out, err := exec.Command(path, "version").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), filepath.Base(path)+" "+version+"\n") {
		t.Errorf("version of %s: %v\n%s", path, err, out)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
