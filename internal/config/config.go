// Package config merges the three places that a setting may come from: a flag,
// else the environment, else a YAML file. It reads passphrases and network
// files, too.
package config

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/spf13/pflag"
)

// FileFlag is the name of the flag that holds the path of the YAML file.
const FileFlag = "config"

// Merge sets every flag that was not given on the command line from the
// environment, where --http-port is PREFIX_HTTP_PORT, else from the YAML file
// that --config or PREFIX_CONFIG names, where it is http-port.
//
// A name in the file that is no flag is an error; a variable that is none is
// not, because the environment is shared. A name that only other commands have,
// whose flags are others, is passed over: one file serves all commands. An empty
// variable is as good as none.
func Merge(flags *pflag.FlagSet, prefix string, others ...*pflag.FlagSet) error {
	file, path, err := readFile(flags, prefix, others)
	if err != nil {
		return err
	}
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed || !isSetting(f) {
			return
		}
		from := variable(prefix, f.Name)
		var err error
		if text := os.Getenv(from); text != "" {
			err = flags.Set(f.Name, text)
		} else if v, ok := file[f.Name]; ok {
			from, err = path, v.set(flags, f)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s, from %s: %w", f.Name, from, err))
		}
	})
	return errors.Join(errs...)
}

// Misspelt describes each variable of the environment that begins with the
// prefix and is the name of no flag. It is no error: an orchestrator may set such
// variables, as Kubernetes does for a service of that name, which are left out.
// But who has misspelt one believes that it is set.
func Misspelt(prefix string, environ []string, known ...*pflag.FlagSet) []string {
	var found []string
	for _, assignment := range environ {
		name, _, _ := strings.Cut(assignment, "=")
		rest, ours := strings.CutPrefix(name, prefix+"_")
		if !ours || rest == "PORT" || strings.HasPrefix(rest, "PORT_") || strings.HasPrefix(rest, "SERVICE_") {
			continue
		}
		flag := strings.ToLower(strings.ReplaceAll(rest, "_", "-"))
		if !slices.ContainsFunc(known, func(s *pflag.FlagSet) bool { return s.Lookup(flag) != nil }) {
			found = append(found, fmt.Sprintf("the variable %s is no setting, and is not used%s", name, nearest(flag, known)))
		}
	}
	return found
}

// isSetting tells what may be set anywhere from what is of the command line only.
func isSetting(f *pflag.Flag) bool { return f.Name != FileFlag && f.Name != "help" }

// variable returns the name of a flag's environment variable.
func variable(prefix, flag string) string {
	return prefix + "_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// readFile reads the YAML file, if one is named.
func readFile(flags *pflag.FlagSet, prefix string, others []*pflag.FlagSet) (values map[string]value, path string, err error) {
	if f := flags.Lookup(FileFlag); f != nil {
		path = f.Value.String()
	}
	if path == "" {
		path = os.Getenv(variable(prefix, FileFlag))
	}
	if path == "" {
		return nil, "", nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, "", fmt.Errorf("read settings: %w", err)
	}
	values, err = parse(text, slices.Concat([]*pflag.FlagSet{flags}, others))
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", path, err)
	}
	return values, path, nil
}

// A value is one setting of the file: a plain value, or a list of such.
type value struct {
	plain string
	list  []string
}

func parse(text []byte, known []*pflag.FlagSet) (map[string]value, error) {
	values := make(map[string]value)
	all, err := members(text)
	if err != nil {
		return nil, err
	}
	for _, m := range all {
		name := m.Key.GetToken().Value
		if !slices.ContainsFunc(known, func(s *pflag.FlagSet) bool {
			f := s.Lookup(name)
			return f != nil && isSetting(f)
		}) {
			return nil, fmt.Errorf("unknown setting %q%s", name, nearest(name, known))
		}
		if values[name], err = read(m.Value); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return values, nil
}

func read(n ast.Node) (value, error) {
	sequence, ok := n.(*ast.SequenceNode)
	if !ok {
		text, err := plain(n)
		return value{plain: text}, err
	}
	list := make([]string, len(sequence.Values))
	for i, n := range sequence.Values {
		var err error
		if list[i], err = plain(n); err != nil {
			return value{}, fmt.Errorf("member %d of the list: %w", i+1, err)
		}
	}
	return value{list: list}, nil
}

// set gives the flag its value. The members of a list are not joined: they may
// hold commas.
func (v value) set(flags *pflag.FlagSet, f *pflag.Flag) error {
	if v.list == nil {
		return flags.Set(f.Name, v.plain)
	}
	slice, ok := f.Value.(pflag.SliceValue)
	if !ok {
		return errors.New("want one value, not a list")
	}
	f.Changed = true
	return slice.Replace(v.list)
}

// nearest returns a hint at the flag that name may have meant.
func nearest(name string, known []*pflag.FlagSet) string {
	best, at := "", 4 // more than three changes are another word
	for _, set := range known {
		set.VisitAll(func(f *pflag.Flag) {
			if d := distance(name, f.Name); d < at && isSetting(f) {
				best, at = f.Name, d
			}
		})
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(": did you mean %q?", best)
}

// distance is Levenshtein's: how many letters to insert, delete or change.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j]+1, row[j+1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
