// Package testdata finds the shared test data: the official interchange suite,
// signing-root vectors and requests recorded from real clients. They belong to
// other projects and are not part of this one.
package testdata

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Path returns the path of name below SECURE_SIGNER_TESTDATA, which defaults
// to ../shared/testdata seen from the root of the product's module. Where it
// is absent the test is skipped, or fails when CI is set: a skipped proof must
// never look like a passed one.
func Path(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("SECURE_SIGNER_TESTDATA")
	if dir == "" {
		dir = filepath.Join("..", "shared", "testdata")
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(moduleRoot(t), dir)
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("shared test data missing: %v", err)
		}
		t.Skipf("shared test data missing (set SECURE_SIGNER_TESTDATA): %v", err)
	}
	return path
}

// ReadJSON reads a file into v, or fails the test.
func ReadJSON(t testing.TB, path string, v any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// moduleRoot walks up to the go.mod of the product, also from the test module
// below it.
func moduleRoot(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for d := dir; ; d = filepath.Dir(d) {
		mod, err := os.ReadFile(filepath.Join(d, "go.mod"))
		if err == nil && strings.HasPrefix(string(mod), "module github.com/secure-signer/secure-signer\n") {
			return d
		}
		if d == filepath.Dir(d) {
			t.Fatalf("no go.mod of the product above %s", dir)
		}
	}
}
