package config

import (
	"fmt"
	"os"

	"github.com/goccy/go-yaml/ast"
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
	values := map[string]string{}
	all, err := members(text)
	if err != nil {
		return nil, err
	}
	for _, m := range all {
		switch m.Value.(type) {
		case *ast.SequenceNode, *ast.MappingNode, *ast.MappingValueNode:
			continue
		}
		name := m.Key.GetToken().Value
		if values[name], err = plain(m.Value); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return values, nil
}
