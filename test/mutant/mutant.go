// Package mutant keeps mistakes that the product must never make, and shows that
// a test would notice each. The mistakes are edits beside the tests: nothing in
// the product can switch them on.
//
// The tests that build programs build them by this package or with its Args, so
// that they too can be given edited sources.
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

// Overlay is the environment variable with the overlay that Args names.
const Overlay = "SECURE_SIGNER_MUTANT"

// Args returns what the go command needs to build the product with the mistake
// that this process is to notice: nothing, unless Overlay is set.
func Args() []string {
	if overlay := os.Getenv(Overlay); overlay != "" {
		return []string{"-overlay", overlay}
	}
	return nil
}

// Build compiles a package with Args and returns the path of the program.
func Build(t testing.TB, pkg string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "program")
	build := exec.Command("go", append(append([]string{"build", "-o", program}, Args()...), pkg)...)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
	return program
}

// Root returns the folder of the product's module.
func Root() (string, error) {
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", product).Output()
	if err != nil {
		return "", fmt.Errorf("find the product: %w", err)
	}
	return strings.TrimSpace(string(root)), nil
}

// An Edit replaces the only occurrence of Old in a file of the product.
type Edit struct {
	File     string // from the root of the product
	Old, New string
}

// write writes the edited files, and the overlay that puts them in the place of
// the true ones, into dir. It fails the test if an edit does not fit the source
// any more.
func write(t testing.TB, dir, root string, edits []Edit) (overlay string) {
	t.Helper()
	replace := make(map[string]string)
	for i, e := range edits {
		path := filepath.Join(root, filepath.FromSlash(e.File))
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
	overlay = filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, list, 0o600); err != nil {
		t.Fatal(err)
	}
	return overlay
}
