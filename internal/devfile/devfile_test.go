package devfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAMissingFileIsNotMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "value")
	if err := Write(path, []byte("x")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is there: %v", err)
	}
	if _, err := Read(path, 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestAFileIsReadToItsLimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "value")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Write(path, []byte("four")); err != nil {
		t.Fatal(err)
	}
	if got, err := Read(path, 4); string(got) != "four" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	for _, path := range []string{path, "/dev/zero"} {
		if _, err := Read(path, 3); err == nil || !strings.Contains(err.Error(), "more than 3 bytes") {
			t.Errorf("%s: got %v", path, err)
		}
	}
}
