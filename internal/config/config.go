// Package config merges the three places that a setting may come from: a flag,
// else the environment, else a YAML file. It reads passphrases and network
// files, too.
package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/pflag"
)

// FileFlag is the name of the flag that holds the path of the YAML file.
const FileFlag = "config"

// Merge sets every flag that was not given on the command line from the
// environment, where --http-port is PREFIX_HTTP_PORT, else from the YAML file
// that --config or PREFIX_CONFIG names, where it is http-port. A name in the
// file that is no flag is an error; a variable that is none is not, because
// the environment is shared.
func Merge(flags *pflag.FlagSet, prefix string) error {
	fromFile, path, err := fileValues(flags, prefix)
	if err != nil {
		return err
	}
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed || f.Name == FileFlag || f.Name == "help" {
			return
		}
		value, from := os.Getenv(variable(prefix, f.Name)), variable(prefix, f.Name)
		if value == "" {
			var ok bool
			if value, ok = fromFile[f.Name]; !ok {
				return
			}
			from = path
		}
		if err := flags.Set(f.Name, value); err != nil {
			errs = append(errs, fmt.Errorf("%s, from %s: %w", f.Name, from, err))
		}
	})
	return errors.Join(errs...)
}

// variable returns the name of a flag's environment variable.
func variable(prefix, flag string) string {
	return prefix + "_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// fileValues reads the YAML file, if one is named, into flags' own notation.
func fileValues(flags *pflag.FlagSet, prefix string) (values map[string]string, path string, err error) {
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
		return nil, path, err
	}
	values, err = parse(text, flags)
	if err != nil {
		return nil, path, fmt.Errorf("%s: %w", path, err)
	}
	return values, path, nil
}

func parse(text []byte, flags *pflag.FlagSet) (map[string]string, error) {
	var file map[string]any
	if err := yaml.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("not YAML: %s", yaml.FormatError(err, false, false))
	}
	values := make(map[string]string, len(file))
	for _, name := range slices.Sorted(maps.Keys(file)) {
		if name == FileFlag || flags.Lookup(name) == nil {
			return nil, fmt.Errorf("unknown setting %q%s", name, nearest(name, flags))
		}
		value, err := scalar(file[name])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		values[name] = value
	}
	return values, nil
}

// scalar writes a YAML value as a flag would be given: a list becomes its
// members, separated by commas.
func scalar(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case int, int64, uint64, float64:
		return fmt.Sprint(v), nil
	case []any:
		members := make([]string, len(v))
		for i, m := range v {
			s, err := scalar(m)
			if err != nil || strings.Contains(s, ",") {
				return "", fmt.Errorf("member %d of the list is not a plain value", i)
			}
			members[i] = s
		}
		return strings.Join(members, ","), nil
	}
	return "", fmt.Errorf("want a plain value or a list of such, not %T", v)
}

// nearest returns a hint at the flag that name may have meant.
func nearest(name string, flags *pflag.FlagSet) string {
	best, at := "", 4 // more than three changes are another word
	flags.VisitAll(func(f *pflag.Flag) {
		if d := distance(name, f.Name); d < at {
			best, at = f.Name, d
		}
	})
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
