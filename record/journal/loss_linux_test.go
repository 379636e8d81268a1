package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// TestEveryCut cuts each file of a journal at places all over it. A crash cannot
// do that: no file is used before it has its size.
func TestEveryCut(t *testing.T) {
	y, first, second := newTwoSegments(t)
	const stride = 61 // through all offsets in a block, in time
	cuts := 0
	for _, file := range []string{snapshotName, first, second} {
		whole := y.bytes(file)
		for size := 0; size < len(whole); size += stride {
			y.disk.put(file, whole[:size])
			_, err := y.read()
			wantDamaged(t, fmt.Sprintf("%s cut to %d bytes of %d", file, size, len(whole)), err, file)
			cuts++
		}
		y.disk.put(file, whole)
	}
	if s, err := y.read(); err != nil || s.at != y.s.at {
		t.Errorf("whole again: %v", err)
	}
	t.Logf("%d cuts refused", cuts)
}

// TestLostPermissions takes some of it, or the folder, from the user who runs this.
func TestLostPermissions(t *testing.T) {
	for _, lost := range []string{"", snapshotName, segmentPrefix + "*"} {
		t.Run("of journal/"+lost, func(t *testing.T) {
			parent := t.TempDir()
			dir := filepath.Join(parent, "journal")
			if err := Create(dir, testKey); err != nil {
				t.Fatal(err)
			}
			s, err := Open(dir, testKey)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(s.Create(t.Context(), "a", nil), s.Close()); err != nil {
				t.Fatal(err)
			}
			mode(t, filepath.Dir(parent), 0o755)
			mode(t, dir, 0o777)
			mode(t, filepath.Join(dir, "*"), 0o666)
			mode(t, filepath.Join(dir, lost), 0)
			defer mode(t, dir, 0o700)
			as(t, nobody, func() { _, err = Open(dir, testKey) })
			says := filepath.Join(dir, strings.TrimSuffix(lost, "*"))
			if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "give") {
				t.Errorf("got %v, want %v that names %s and what to do", err, fs.ErrPermission, says)
			}
		})
	}
}

func mode(t *testing.T, pattern string, m fs.FileMode) {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: %v", pattern, err)
	}
	for _, path := range paths {
		if err := os.Chmod(path, m); err != nil {
			t.Fatal(err)
		}
	}
}

const nobody = 65534

// as does something as another user, where this is root, whom nothing stops.
func as(t *testing.T, user int, do func()) {
	t.Helper()
	if os.Getuid() != 0 {
		do()
		return
	}
	runtime.LockOSThread() // which alone becomes the other user
	defer runtime.UnlockOSThread()
	if err := syscall.Setfsuid(user); err != nil {
		t.Fatal(err)
	}
	do()
	if err := syscall.Setfsuid(0); err != nil {
		t.Fatal(err)
	}
}
