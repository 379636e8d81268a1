package config

import (
	"fmt"
	"os"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// ReadNetworkFile reads the plain values of a consensus-specs config.yaml as
// they are written: 0x00000001 stays that text, and a total difficulty of 256
// bits keeps every digit. Lists and maps, such as the blob schedule, are left
// out.
func ReadNetworkFile(path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read network: %w", err)
	}
	values, err := networkValues(text)
	if err != nil {
		return nil, fmt.Errorf("read network from %s: %w", path, err)
	}
	return values, nil
}

func networkValues(text []byte) (map[string]string, error) {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, fmt.Errorf("not YAML: %s", yaml.FormatError(err, false, false))
	}
	values := map[string]string{}
	for _, doc := range file.Docs {
		var members []*ast.MappingValueNode
		switch body := doc.Body.(type) {
		case *ast.MappingNode:
			members = body.Values
		case *ast.MappingValueNode:
			members = []*ast.MappingValueNode{body}
		case nil:
			continue
		default:
			return nil, fmt.Errorf("want KEY: value lines, not a %v", body.Type())
		}
		for _, m := range members {
			key := m.Key.GetToken().Value
			if _, twice := values[key]; twice {
				return nil, fmt.Errorf("%s is given twice", key)
			}
			if v, ok := m.Value.(ast.ScalarNode); ok {
				values[key] = v.GetToken().Value
			}
		}
	}
	return values, nil
}
