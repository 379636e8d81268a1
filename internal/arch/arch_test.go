package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/secure-signer/secure-signer"

// A source is one non-test Go file of the product.
type source struct {
	pkg  string // the folder, below the module's root
	path string
	file *ast.File
	fset *token.FileSet
}

// sources parses every non-test file of the product's module.
func sources(t *testing.T) []source {
	t.Helper()
	root := filepath.Join("..", "..")
	var all []source
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil && path != root {
				return filepath.SkipDir // another module
			}
			if strings.HasPrefix(d.Name(), ".") && d.Name() != ".." || d.Name() == "testdata" && path != filepath.Join(root, "internal", "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		all = append(all, source{pkg: filepath.ToSlash(rel), path: path, file: file, fset: fset})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 30 {
		t.Fatalf("found %d source files: looking in the wrong place", len(all))
	}
	return all
}

func TestPackagesImportOnlyWhatTheTableAllows(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range sources(t) {
		seen[s.pkg] = true
		r, isWiring := wiring[s.pkg]
		if !isWiring {
			var ok bool
			if r, ok = table[s.pkg]; !ok {
				t.Errorf("%s: package %q is not in the table: say in one line what it is for and what it may import", s.path, s.pkg)
				continue
			}
		}
		for _, spec := range s.file.Imports {
			path := strings.Trim(spec.Path.Value, `"`)
			if why := forbidden(path, r, isWiring); why != "" {
				t.Errorf("%s imports %s: %s", s.path, path, why)
			}
		}
	}
	for _, pkg := range slices.Concat(slices.Collect(maps.Keys(table)), slices.Collect(maps.Keys(wiring))) {
		if !seen[pkg] {
			t.Errorf("the table names package %q, which does not exist", pkg)
		}
	}
}

func TestTheTableAllowsNothingThatIsNotUsed(t *testing.T) {
	used := map[string]map[string]bool{}
	for _, s := range sources(t) {
		if used[s.pkg] == nil {
			used[s.pkg] = map[string]bool{}
		}
		for _, spec := range s.file.Imports {
			used[s.pkg][strings.Trim(spec.Path.Value, `"`)] = true
		}
	}
	for pkg, r := range table {
		for _, ours := range r.ours {
			if !used[pkg][module+"/"+ours] {
				t.Errorf("%s may import %s, and does not", pkg, ours)
			}
		}
		for _, mod := range r.outside {
			anyOf := func(path string) bool { return path == mod || strings.HasPrefix(path, mod+"/") }
			if !slices.ContainsFunc(slices.Collect(maps.Keys(used[pkg])), anyOf) {
				t.Errorf("%s may import %s, and does not", pkg, mod)
			}
		}
	}
}

// forbidden says why path may not be imported under r, or "".
func forbidden(path string, r rule, isWiring bool) string {
	if ours, ok := strings.CutPrefix(path, module+"/"); ok {
		switch {
		case isWiring || slices.Contains(r.ours, ours):
			return ""
		default:
			return "not in this package's row of the table"
		}
	}
	first, _, _ := strings.Cut(path, "/")
	if !strings.Contains(first, ".") {
		return "" // the standard library
	}
	for _, mod := range r.outside {
		if path == mod || strings.HasPrefix(path, mod+"/") {
			return ""
		}
	}
	return "this module is not allowed here"
}

func TestTheRuleRefusesWhatItShould(t *testing.T) {
	leaf := table["record"]
	for _, path := range []string{module + "/slashing", "github.com/spf13/cobra"} {
		if forbidden(path, leaf, false) == "" {
			t.Errorf("a leaf may import %s", path)
		}
	}
	if forbidden(module+"/record/journal", table["slashing"], false) == "" {
		t.Error("a rule may import a room")
	}
}

func TestFilesAndFunctionsStayReadable(t *testing.T) {
	for _, s := range sources(t) {
		if n := s.fset.Position(s.file.FileEnd).Line; n > maxFileLines {
			t.Errorf("%s has %d lines, more than %d", s.path, n, maxFileLines)
		}
		_, isWiring := wiring[s.pkg]
		for _, decl := range s.file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s has an init function: nothing may happen before run is called", s.path)
			}
			lines := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1
			if lines > maxFunctionLines && !isWiring {
				t.Errorf("%s: %s has %d lines, more than %d", s.path, f.Name.Name, lines, maxFunctionLines)
			}
		}
	}
}

// TestGoldenDeps compares what each binary links with the deps.txt beside it.
// A change of the trusted base is thereby a line in a diff that someone reads.
// SECURE_SIGNER_UPDATE=1 rewrites the files.
func TestGoldenDeps(t *testing.T) {
	sources(t) // opened files are inputs of the test cache: what go list sees below is not
	for _, name := range []string{"go.mod", "go.sum"} {
		if _, err := os.ReadFile(filepath.Join("..", "..", name)); err != nil {
			t.Fatal(err)
		}
	}
	for pkg := range wiring {
		t.Run(filepath.Base(pkg), func(t *testing.T) {
			golden := filepath.Join("..", "..", pkg, "deps.txt")
			got := linked(t, pkg)
			if os.Getenv("SECURE_SIGNER_UPDATE") != "" {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s links other packages than deps.txt says; if that is meant, run\n\tSECURE_SIGNER_UPDATE=1 go test ./internal/arch\nand give the reason in the commit.\ngot:\n%s", pkg, got)
			}
		})
	}
}

// linked lists the packages outside the standard library that pkg links, each
// with the version of its module.
func linked(t *testing.T, pkg string) string {
	t.Helper()
	const format = `{{if not .Standard}}{{.ImportPath}}{{with .Module}}{{if not .Main}} {{.Version}}{{end}}{{end}}{{end}}`
	cmd := exec.Command("go", "list", "-deps", "-f", format, "./"+pkg)
	cmd.Dir = filepath.Join("..", "..")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	lines := strings.Fields(strings.ReplaceAll(string(out), " ", "@"))
	slices.Sort(lines)
	return fmt.Sprintf("# What %s links besides the standard library.\n%s\n", pkg, strings.ReplaceAll(strings.Join(lines, "\n"), "@", " "))
}
