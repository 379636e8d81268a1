package http_test

import (
	"bytes"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

func TestTwoDaemonsNeverServeOneFolder(t *testing.T) {
	t.Parallel()
	key := interop.New(0)
	f := initMainnet(t)
	d := serveKeys(t, f, []interop.Key{key}, unbound...)
	mustFailToServe(t, f, "stop the other one")
	mustSign(t, d, key, attestation(1, 2, 1))
	d.Kill()
	d = daemon.Serve(t, f, unbound...) // the lock ends with the process that held it
	mustRefuse(t, d, key, attestation(1, 2, 2), http.StatusPreconditionFailed, "double_vote")
}

func TestAWrongPassphraseOpensNothingAndHarmsNothing(t *testing.T) {
	t.Parallel()
	f := usedFolder(t)
	wrong := f
	wrong.Passphrase = filepath.Join(t.TempDir(), "wrong")
	write(t, wrong.Passphrase, []byte("a passphrase for tests onlY"))
	before := contents(t, f.Path)
	mustFailToServe(t, wrong, "passphrase")
	if diff := cmp.Diff(before, contents(t, f.Path)); diff != "" {
		t.Errorf("the data folder changed (-before +after):\n%s", diff)
	}
	stillRemembers(t, f)
}

// TestABrokenDataFolderIsAClearErrorAndNeverAFreshStart breaks every part of a
// folder that has keys and a history.
func TestABrokenDataFolderIsAClearErrorAndNeverAFreshStart(t *testing.T) {
	t.Parallel()
	whole := usedFolder(t)
	other := daemon.Init(t, mainnet)
	tests := []struct {
		name  string
		spoil func(t *testing.T, folder string)
		says  string
	}{
		{"missing", func(t *testing.T, d string) { remove(t, d) }, "no data folder"},
		{"empty, as where a disk is not mounted", func(t *testing.T, d string) { remove(t, d); mkdir(t, d) }, "empty"},
		{"another program's", func(t *testing.T, d string) {
			remove(t, d)
			mkdir(t, d)
			write(t, filepath.Join(d, "thesis.tex"), []byte("chapter 1"))
		}, "config.yaml is missing"},

		{"without config.yaml", func(t *testing.T, d string) { remove(t, filepath.Join(d, "config.yaml")) }, "config.yaml is missing"},
		{"empty config.yaml", func(t *testing.T, d string) { write(t, filepath.Join(d, "config.yaml"), nil) }, "config.yaml"},
		{"config.yaml cut in half", func(t *testing.T, d string) { cut(t, filepath.Join(d, "config.yaml")) }, "config.yaml"},
		{"config.yaml of another chain", func(t *testing.T, d string) {
			path := filepath.Join(d, "config.yaml")
			write(t, path, bytes.ReplaceAll(read(t, path), []byte("mainnet"), []byte("hoodi")))
		}, "config.yaml"},

		{"without a vault", func(t *testing.T, d string) { remove(t, filepath.Join(d, "vault")) }, "vault"},
		{"empty vault", func(t *testing.T, d string) { write(t, filepath.Join(d, "vault"), nil) }, "vault"},
		{"vault with a wrong start", func(t *testing.T, d string) { flip(t, filepath.Join(d, "vault"), 0) }, "vault"},
		{"vault with a flipped bit in its first half", func(t *testing.T, d string) { flip(t, filepath.Join(d, "vault"), 0.3) }, "vault"},
		{"vault of another folder", func(t *testing.T, d string) {
			write(t, filepath.Join(d, "vault"), read(t, filepath.Join(other.Path, "vault")))
		}, "journal"},

		{"without a journal", func(t *testing.T, d string) { remove(t, filepath.Join(d, "journal")) }, "journal"},
		{"empty journal", func(t *testing.T, d string) {
			remove(t, filepath.Join(d, "journal"))
			mkdir(t, filepath.Join(d, "journal"))
		}, "journal"},
		{"journal without its snapshot", func(t *testing.T, d string) { remove(t, filepath.Join(d, "journal", "snapshot")) }, "snapshot"},
		{"journal without its segments", func(t *testing.T, d string) {
			for _, path := range segments(t, d) {
				remove(t, path)
			}
		}, "journal"},
		{"journal with a flipped bit in its snapshot", func(t *testing.T, d string) {
			flip(t, filepath.Join(d, "journal", "snapshot"), 0.5)
		}, "snapshot"},
		{"journal with a flipped bit before its last record", func(t *testing.T, d string) { flip(t, usedSegment(t, d), 0.5) }, "segment"},
		{"journal of another folder", func(t *testing.T, d string) {
			remove(t, filepath.Join(d, "journal"))
			copyTree(t, filepath.Join(other.Path, "journal"), filepath.Join(d, "journal"))
		}, "journal"},

		{"without a token", func(t *testing.T, d string) { remove(t, filepath.Join(d, "api-token.txt")) }, "api-token.txt"},
		{"empty token", func(t *testing.T, d string) { write(t, filepath.Join(d, "api-token.txt"), nil) }, "api-token.txt"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := copyFolder(t, whole)
			test.spoil(t, f.Path)
			before := contents(t, f.Path)
			mustFailToServe(t, f, test.says)
			if diff := cmp.Diff(before, contents(t, f.Path)); diff != "" {
				t.Errorf("the data folder changed (-before +after):\n%s", diff)
			}
		})
	}
}

// TestATornLastRecordHoldsEveryKeyBack damages the last record, as a power cut
// may: what it held is unknown, so nothing is signed that it could forbid.
func TestATornLastRecordHoldsEveryKeyBack(t *testing.T) {
	t.Parallel()
	f, key := usedFolder(t), interop.New(0)
	flip(t, usedSegment(t, f.Path), 0.999)
	for _, start := range []string{"the first start", "a restart"} {
		d := daemon.Serve(t, f, unbound...)
		if warned := strings.Contains(d.Log(), "torn"); warned != (start == "the first start") {
			t.Errorf("%s warns of a torn record: %t\n%s", start, warned, ending(d))
		}
		mustRefuse(t, d, key, attestation(usedVotes, usedVotes+1, 2), http.StatusPreconditionFailed, "below_floor")
		mustRefuse(t, d, key, block(usedVotes, 2), http.StatusPreconditionFailed, "below_floor")
		if code := d.Stop(); code != 0 {
			t.Errorf("exit %d\n%s", code, ending(d))
		}
	}
	d := daemon.Serve(t, f, unbound...)
	mustSign(t, d, key, attestation(clockEpoch(), clockEpoch()+2, 2))
}

// usedVotes is how many epochs the key of a used folder has voted in.
const usedVotes = 12

// usedFolder is a folder with a key and a history.
func usedFolder(t *testing.T) daemon.Folder {
	t.Helper()
	key := interop.New(0)
	f := initMainnet(t)
	d := serveKeys(t, f, []interop.Key{key}, unbound...)
	for epoch := uint64(1); epoch <= usedVotes; epoch++ {
		mustSign(t, d, key, attestation(epoch-1, epoch, 1))
	}
	if code := d.Stop(); code != 0 {
		t.Fatalf("exit %d\n%s", code, ending(d))
	}
	return f
}

// stillRemembers checks that a used folder is as usedFolder left it.
func stillRemembers(t *testing.T, f daemon.Folder) {
	t.Helper()
	d, key := daemon.Serve(t, f, unbound...), interop.New(0)
	mustRefuse(t, d, key, attestation(usedVotes-1, usedVotes, 2), http.StatusPreconditionFailed, "double_vote")
	mustSign(t, d, key, attestation(usedVotes-1, usedVotes, 1))
}

// mustFailToServe checks that serve ends by itself with exit 1 and says why.
func mustFailToServe(t *testing.T, f daemon.Folder, says string) {
	t.Helper()
	code, stdout, stderr := daemon.Run(t, f.ServeArgs(unbound...)...)
	if code != 1 || !strings.Contains(stderr, says) || stdout != "" {
		t.Errorf("exit %d, want 1 and the word %q\n%s%s", code, says, stdout, stderr)
	}
	if strings.Contains(stderr, "panic") || strings.Contains(stderr, "goroutine") {
		t.Errorf("a panic:\n%s", stderr)
	}
}

// contents is what the files of a folder hold, without those that only lock.
func contents(t *testing.T, folder string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasSuffix(path, "lock") {
			return err
		}
		text, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, folder)] = string(text)
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return files
}

func segments(t *testing.T, folder string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "journal", "segment*"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no segments in %s: %v", folder, err)
	}
	return paths
}

// usedSegment is the one with the most records in it.
func usedSegment(t *testing.T, folder string) string {
	t.Helper()
	used := map[int]string{}
	for _, path := range segments(t, folder) {
		used[len(bytes.TrimRight(read(t, path), "\x00"))] = path
	}
	most := 0
	for n := range maps.Keys(used) {
		most = max(most, n)
	}
	return used[most]
}

// flip changes one bit, that far into what is not zero.
func flip(t *testing.T, path string, at float64) {
	t.Helper()
	text := read(t, path)
	text[int(at*float64(len(bytes.TrimRight(text, "\x00"))))] ^= 0x10
	write(t, path, text)
}

func cut(t *testing.T, path string) {
	t.Helper()
	text := read(t, path)
	write(t, path, text[:len(text)/2])
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// remove removes what is there: a test that would spoil nothing fails.
func remove(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}
