package config

import (
	"errors"
	"fmt"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// members parses text, one YAML mapping or nothing, whose names are plain words;
// the parser refuses a name that is given twice. Values are read from the syntax
// tree, because a decoder turns 0x00000001 into 1 and rounds 256 bits.
func members(text []byte) ([]*ast.MappingValueNode, error) {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, fmt.Errorf("not YAML: %s", yaml.FormatError(err, false, false))
	}
	if len(file.Docs) > 1 {
		return nil, errors.New("more than one document: what follows the line --- would be ignored")
	}
	var values []*ast.MappingValueNode
	for _, doc := range file.Docs {
		switch body := doc.Body.(type) {
		case *ast.MappingNode:
			values = body.Values
		case *ast.MappingValueNode:
			values = []*ast.MappingValueNode{body}
		case nil, *ast.CommentGroupNode:
		default:
			return nil, fmt.Errorf("want lines of the form name: value, not a %v", body.Type())
		}
	}
	for _, v := range values {
		if _, ok := v.Key.(*ast.StringNode); !ok {
			return nil, fmt.Errorf("line %d: the name is not a plain word", v.Key.GetToken().Position.Line)
		}
	}
	return values, nil
}

// plain returns a value as it is written, without quotes. Whatever YAML would
// make of it, an alias or a tag, is refused.
func plain(n ast.Node) (string, error) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, nil
	case *ast.LiteralNode:
		return n.Value.Value, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, nil
	case *ast.NullNode:
		return "", errors.New("it has no value")
	}
	return "", fmt.Errorf("want a plain value, not a %v", n.Type())
}
