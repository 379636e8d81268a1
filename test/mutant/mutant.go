// Package mutant builds programs from sources with a planted mistake, so that a
// test can show that it would notice it. The mistakes are edits beside the test:
// nothing in the product can switch them on.
package mutant

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const product = "github.com/secure-signer/secure-signer"

// An Edit replaces the only occurrence of Old in a file of the product.
type Edit struct {
	File     string // from the root of the product
	Old, New string
}

// Build compiles a package with these edits, none for the product as it is, and
// returns the path of the program. It fails the test if an edit does not fit the
// source any more.
func Build(t testing.TB, pkg string, edits ...Edit) string {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	build := exec.Command("go", "build", "-o", program, "-overlay", overlay(t, dir, edits), pkg)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
	return program
}

// overlay writes the edited files and the list of them that the go command reads.
func overlay(t testing.TB, dir string, edits []Edit) string {
	t.Helper()
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", product).Output()
	if err != nil {
		t.Fatalf("find the product: %v", err)
	}
	replace := make(map[string]string)
	for i, e := range edits {
		path := filepath.Join(strings.TrimSpace(string(root)), filepath.FromSlash(e.File))
		from := path
		if earlier, ok := replace[path]; ok {
			from = earlier
		}
		source, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(source), e.Old); n != 1 {
			t.Fatalf("the edit of %s fits %d times, want once:\n%s", e.File, n, e.Old)
		}
		edited := filepath.Join(dir, fmt.Sprint(i, ".go"))
		if err := os.WriteFile(edited, []byte(strings.Replace(string(source), e.Old, e.New, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[path] = edited
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(path, list, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
