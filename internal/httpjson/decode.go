// Package httpjson is how every HTTP edge of this project reads a JSON body
// and writes a JSON answer.
//
// Reading is strict, because two parties that read one text differently is how
// a signer gets tricked: one value and nothing after it, no duplicate member,
// no nesting beyond MaxDepth, no more than MaxValues values, every member that
// the Go type requires. Unknown
// members are ignored, as clients of a newer API send them. An error names the
// member by its path ("fork_info.fork.epoch: missing") and repeats no more
// than a few escaped characters of what was sent. Work and memory are bounded
// by the length of the body, which is limited before it is read. No input
// makes it panic.
//
// Source: RFC 8259; RFC 7493 (I-JSON) for duplicates and UTF-8.
package httpjson

import (
	"fmt"
	"io"
	"reflect"
	"sync"
)

// MaxDepth is how many objects and arrays may lie inside one another.
const MaxDepth = 32

// MaxValues is how many members and elements a document may have in all; what is
// skipped counts token by token. Nobody sends more: the longest lists are the
// keys of a keymanager's request and the transactions of a block. A body of
// digits and commas, however, takes sixteen times its length in memory, and a
// second for each megabyte.
const MaxValues = 1 << 18

// A Limit is the error for a body of more than that many bytes.
type Limit int64

func (l Limit) Error() string { return fmt.Sprintf("the body has more than %d bytes", int64(l)) }

// A Malformed error says what is wrong with a body, and at which member.
type Malformed struct {
	Path    string // "fork_info.fork.epoch"; empty for the body itself
	Problem string // "missing"
}

func (m *Malformed) Error() string {
	if m.Path == "" {
		return m.Problem
	}
	return m.Path + ": " + m.Problem
}

// Decode reads one JSON value of at most limit bytes from r. The error is a
// Limit, a *Malformed or that of r; out is then undefined. T is as for
// NewDecoder, which is cheaper where many values are read.
func Decode[T any](r io.Reader, limit int64, out *T) error {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return fmt.Errorf("read body: %w", err)
	}
	if int64(len(data)) > limit {
		return Limit(limit)
	}
	return NewDecoder[T]().Decode(data, out)
}

// A Decoder decodes values of type T. It is safe for concurrent use.
type Decoder[T any] struct {
	schema *schema
	idle   sync.Pool // of *reader
}

// NewDecoder returns a decoder for T: a struct of exported fields that each
// have a json tag. A field is required unless it is a pointer or its tag says
// omitzero. Fields are structs, slices, pointers, bools, strings and integers,
// or read a JSON string or number as json.Unmarshaler, or a JSON string as
// encoding.TextUnmarshaler. NewDecoder panics for any other T.
func NewDecoder[T any]() *Decoder[T] {
	return &Decoder[T]{schema: schemaOf[T]()}
}

// Decode reads the one JSON value in data into out, which is zero before. The
// error is a *Malformed; out is then undefined.
func (d *Decoder[T]) Decode(data []byte, out *T) error {
	r, ok := d.idle.Get().(*reader)
	if !ok {
		r = new(reader)
	}
	err := r.document(d.schema, data, reflect.ValueOf(out).Elem())
	d.idle.Put(r)
	if err != nil {
		return err
	}
	return nil
}
