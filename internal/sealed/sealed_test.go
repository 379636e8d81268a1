package sealed_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/secure-signer/secure-signer/internal/sealed"
)

func newFile(t *testing.T) sealed.File {
	t.Helper()
	return sealed.File{Path: filepath.Join(t.TempDir(), "file"), Magic: "SSTEST\n", Version: 1, Key: [32]byte{7}}
}

func TestWhatIsSealedIsReadAgain(t *testing.T) {
	f := newFile(t)
	if _, err := f.Read(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing there: %v", err)
	}
	for _, want := range []string{"first", "", "the last one"} {
		if err := f.Write([]byte(want)); err != nil {
			t.Fatal(err)
		}
		got, err := f.Read()
		if err != nil || string(got) != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	kept, err := os.ReadFile(f.Path)
	if err != nil || bytes.Contains(kept, []byte("the last")) {
		t.Errorf("the file shows what it keeps: %q, %v", kept, err)
	}
	info, err := os.Stat(f.Path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestNoByteCanBeChanged(t *testing.T) {
	f := newFile(t)
	if err := f.Write([]byte("secret")); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	put := func(b []byte) {
		if err := os.WriteFile(f.Path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		put(bad)
		want := sealed.ErrDamaged
		if i == len(f.Magic) {
			want = sealed.ErrVersion
		}
		if got, err := f.Read(); !errors.Is(err, want) {
			t.Errorf("byte %d changed: %q, %v, want %v", i, got, err, want)
		}
		put(good[:i])
		if got, err := f.Read(); !errors.Is(err, sealed.ErrDamaged) {
			t.Errorf("cut to %d bytes: %q, %v", i, got, err)
		}
	}
	put(good)
	for name, other := range map[string]sealed.File{
		"another key":  {Path: f.Path, Magic: f.Magic, Version: 1, Key: [32]byte{8}},
		"another kind": {Path: f.Path, Magic: "SSTOAST", Version: 1, Key: f.Key},
	} {
		if got, err := other.Read(); !errors.Is(err, sealed.ErrDamaged) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
