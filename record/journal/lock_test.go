package journal

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestNothingThatIsRemovedFromTheFolderUnlocksIt: two signers once ran on one
// folder, and signed a double vote, after the lock file of the first had been
// removed as a stale one.
func TestNothingThatIsRemovedFromTheFolderUnlocksIt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	if err := Create(dir, testKey); err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir, testKey)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() == snapshotName || isSegmentName(e.Name()) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	if second, err := Open(dir, testKey); !errors.Is(err, ErrLocked) {
		t.Errorf("second open: %v, %v, want %v", second, err, ErrLocked)
	}
}
