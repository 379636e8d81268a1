package measure

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// The test's own program is not built as a release is, and each difference is said.
func TestBinaryThatIsNoRelease(t *testing.T) {
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Binary(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Facts["sha256"]) != 64 || !strings.HasPrefix(r.Facts["go"], "go1.") || r.Accept != nil {
		t.Errorf("got %+v", r)
	}
	problems := strings.Join(r.Problems, "\n")
	for _, want := range []string{"-trimpath", "-tags", "build ID", "static"} {
		if !strings.Contains(problems, want) {
			t.Errorf("no word of %s:\n%s", want, problems)
		}
	}
}

func TestBinaryThatIsNone(t *testing.T) {
	for _, text := range []string{"", "#!/bin/sh\n", "\x7fELF"} {
		if _, err := Binary(strings.NewReader(text), int64(len(text))); err == nil {
			t.Errorf("%q is taken for a program", text)
		}
	}
}
