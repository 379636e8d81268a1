package httpjson

import (
	"encoding"
	"fmt"
	"math/bits"
	"reflect"
	"strings"

	"github.com/go-json-experiment/json"
)

// A schema is how a Go type is read. It is built once for each decoder, and it
// is a tree of fewer than MaxDepth levels, so that a value that is read into a
// type never nests too deep; only values that are skipped need to be watched.
type schema struct {
	shape    shape
	elem     *schema        // of a pointer or slice
	fields   []field        // of an object
	index    map[string]int // of fields, by name
	required uint64         // bit i: fields[i] must be present
}

type field struct {
	name   string
	at     int // index in the struct
	schema *schema
}

type shape uint8

const (
	object  shape = iota // struct
	array                // slice
	pointer              // the same value, or absent
	asJSON               // json.Unmarshaler: a string or number
	asText               // encoding.TextUnmarshaler: a string
	text                 // string
	boolean              // bool
	integer              // int, uint, …
)

var (
	jsonType = reflect.TypeFor[json.Unmarshaler]()
	textType = reflect.TypeFor[encoding.TextUnmarshaler]()
)

func schemaOf[T any]() *schema {
	t := reflect.TypeFor[T]()
	if t.Kind() != reflect.Struct {
		panic(fmt.Sprintf("httpjson: internal error: %v is not a struct", t))
	}
	return build(t, 1)
}

func build(t reflect.Type, depth int) *schema {
	if depth > MaxDepth {
		panic(fmt.Sprintf("httpjson: internal error: %v nests too deep", t))
	}
	switch p := reflect.PointerTo(t); {
	case p.Implements(jsonType):
		return &schema{shape: asJSON}
	case p.Implements(textType):
		return &schema{shape: asText}
	}
	switch t.Kind() {
	case reflect.Struct:
		return buildObject(t, depth)
	case reflect.Slice:
		return &schema{shape: array, elem: build(t.Elem(), depth+1)}
	case reflect.Pointer:
		return &schema{shape: pointer, elem: build(t.Elem(), depth)}
	case reflect.String:
		return &schema{shape: text}
	case reflect.Bool:
		return &schema{shape: boolean}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return &schema{shape: integer}
	}
	panic(fmt.Sprintf("httpjson: internal error: no strict reading of %v", t))
}

func buildObject(t reflect.Type, depth int) *schema {
	s := &schema{shape: object, index: map[string]int{}}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		if name == "" || !f.IsExported() || len(s.fields) == 64 {
			panic(fmt.Sprintf("httpjson: internal error: %v.%s: each of at most 64 fields is exported and has a json tag", t, f.Name))
		}
		if f.Type.Kind() != reflect.Pointer && options != "omitzero" {
			s.required |= 1 << len(s.fields)
		}
		s.index[name] = len(s.fields)
		s.fields = append(s.fields, field{name: name, at: i, schema: build(f.Type, depth+1)})
	}
	return s
}

// firstOf names the first of some fields, in the order of the Go type.
func (s *schema) firstOf(fields uint64) string {
	return s.fields[bits.TrailingZeros64(fields)].name
}
