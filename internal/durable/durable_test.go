package durable_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/secure-signer/secure-signer/internal/durable"
)

func TestWriteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, want := range []string{"first", "a second, longer one", ""} {
		if err := durable.WriteFile(path, []byte(want), 0o640); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want {
			t.Errorf("read back %q, %v, want %q", got, err, want)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o640 {
		t.Errorf("mode is %v, %v, want 0640 whatever the umask", info.Mode(), err)
	}
	assertAlone(t, path)
}

func TestWriteFileThatFailsLeavesNothingBehind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "directory")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := durable.WriteFile(path, []byte("x"), 0o600); err == nil {
		t.Fatal("a file replaced a directory")
	}
	assertAlone(t, path)

	missing := filepath.Join(t.TempDir(), "missing", "file")
	if err := durable.WriteFile(missing, nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("write into a missing directory: %v, want %v", err, fs.ErrNotExist)
	}
}

func assertAlone(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 || entries[0].Name() != filepath.Base(path) {
		t.Errorf("directory holds %v, %v, want %s alone", entries, err, path)
	}
}

func TestAppend(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for range 3 {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if err := durable.Append(f, []byte("line\n")); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if err := durable.Append(f, []byte("line\n")); err == nil {
			t.Error("append to a closed file succeeded")
		}
	}
	got, err := os.ReadFile(path)
	if want := bytes.Repeat([]byte("line\n"), 3); err != nil || !bytes.Equal(got, want) {
		t.Errorf("read back %q, %v, want %q", got, err, want)
	}
}

func TestSyncDirReportsAMissingDirectory(t *testing.T) {
	err := durable.SyncDir(filepath.Join(t.TempDir(), "missing"))
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want %v", err, fs.ErrNotExist)
	}
}

func TestLockExcludesAHolderInTheSameProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	held := mustLock(t, path)
	if _, err := durable.TryLock(path); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("second lock: %v, want %v", err, durable.ErrLocked)
	}
	if err := held.Unlock(); err != nil {
		t.Fatal(err)
	}
	if err := mustLock(t, path).Unlock(); err != nil {
		t.Error(err)
	}
}

// TestALockedDirectoryStaysLockedWhateverIsRemovedFromIt: a lock file that is
// removed as a stale one lets a second holder in.
func TestALockedDirectoryStaysLockedWhateverIsRemovedFromIt(t *testing.T) {
	dir := t.TempDir()
	held, err := durable.TryLockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 0 {
		t.Errorf("the lock is a file that can be removed: %v, %v", entries, err)
	}
	if _, err := durable.TryLockDir(dir); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("second lock: %v, want %v", err, durable.ErrLocked)
	}
	if err := held.Unlock(); err != nil {
		t.Fatal(err)
	}
	again, err := durable.TryLockDir(dir)
	if err != nil {
		t.Fatalf("lock after unlock: %v", err)
	}
	if err := again.Unlock(); err != nil {
		t.Error(err)
	}
	if _, err := durable.TryLockDir(filepath.Join(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing directory: %v, want %v", err, fs.ErrNotExist)
	}
}

func TestALockKnowsWhetherItsDirectoryWasMoved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "locked")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := durable.TryLockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	moved := dir + ".moved"
	holds := func(when, path string, want bool) {
		t.Helper()
		if got := l.Holds(path); got != want {
			t.Errorf("%s: %t, want %t", when, got, want)
		}
	}
	holds("at first", dir, true)
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	holds("its name after it was moved", dir, false)
	holds("where it is now", moved, true)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	holds("another of its name", dir, false)
	if err := l.Unlock(); err != nil {
		t.Fatal(err)
	}
	holds("after Unlock", moved, false)
}

// TestLockExcludesAnotherProcess runs this test binary again as the other
// process: it holds the lock until it is killed.
func TestLockExcludesAnotherProcess(t *testing.T) {
	if path := os.Getenv("DURABLE_TEST_HOLD"); path != "" {
		mustLock(t, path)
		os.Stdout.WriteString("held\n")
		select {}
	}
	path := filepath.Join(t.TempDir(), "lock")
	holder := exec.Command(os.Args[0], "-test.run=^TestLockExcludesAnotherProcess$")
	holder.Env = append(os.Environ(), "DURABLE_TEST_HOLD="+path)
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	if _, err := durable.TryLock(path); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("lock held by another process: %v, want %v", err, durable.ErrLocked)
	}
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = holder.Wait() // killed: its error says so
	again, err := durable.TryLock(path)
	if err != nil {
		t.Fatalf("lock after its holder was killed: %v", err)
	}
	if err := again.Unlock(); err != nil {
		t.Error(err)
	}
}

func mustLock(t *testing.T, path string) *durable.FileLock {
	t.Helper()
	l, err := durable.TryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	return l
}
