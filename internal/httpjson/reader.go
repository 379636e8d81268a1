package httpjson

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A reader reads one document in one pass over its tokens. The tokenizer sees
// to the grammar, UTF-8 and duplicates; the schema to what must be there.
type reader struct {
	tokens jsontext.Decoder
	buffer bytes.Buffer
	values int // read so far
}

func (r *reader) document(s *schema, data []byte, out reflect.Value) *Malformed {
	r.open(data)
	defer r.open(nil) // the pool must not hold on to the caller's data
	if len(bytes.TrimLeft(data, whitespace)) == 0 {
		return &Malformed{Problem: "the body is empty"}
	}
	if err := r.object(s, out); err != nil {
		return err
	}
	if len(bytes.TrimLeft(r.tokens.UnreadBuffer(), whitespace)) > 0 {
		return &Malformed{Problem: fmt.Sprintf("trailing data after byte %d", r.tokens.InputOffset())}
	}
	return nil
}

const whitespace = " \t\r\n"

func (r *reader) open(data []byte) {
	r.values = 0
	r.buffer = *bytes.NewBuffer(data)
	r.tokens.Reset(&r.buffer)
}

func (r *reader) value(s *schema, out reflect.Value) *Malformed {
	if err := r.count(); err != nil {
		return err
	}
	for s.shape == pointer {
		out.Set(reflect.New(out.Type().Elem()))
		s, out = s.elem, out.Elem()
	}
	switch s.shape {
	case object:
		return r.object(s, out)
	case array:
		return r.array(s, out)
	}
	return r.scalar(s.shape, out)
}

// count is called for each value before it is kept.
func (r *reader) count() *Malformed {
	if r.values++; r.values > MaxValues {
		return &Malformed{Problem: fmt.Sprintf("more than %d values in one document", MaxValues)}
	}
	return nil
}

func (r *reader) object(s *schema, out reflect.Value) *Malformed {
	if err := r.expect(object); err != nil {
		return err
	}
	if _, err := r.tokens.ReadToken(); err != nil {
		return r.malformed(err)
	}
	var present uint64
	for r.tokens.PeekKind() != '}' {
		name, err := r.tokens.ReadValue()
		if err != nil {
			return r.malformed(err)
		}
		i, known := s.lookup(name)
		if !known {
			if err := r.skip(); err != nil {
				return err
			}
			continue
		}
		f := &s.fields[i]
		// null is how some encoders write a member that they leave out.
		if r.tokens.PeekKind() == 'n' && s.required&(1<<i) == 0 {
			if err := r.skip(); err != nil {
				return err
			}
			continue
		}
		if err := r.value(f.schema, out.Field(f.at)); err != nil {
			return under(f.name, err)
		}
		present |= 1 << i
	}
	if _, err := r.tokens.ReadToken(); err != nil {
		return r.malformed(err)
	}
	if absent := s.required &^ present; absent != 0 {
		return &Malformed{Path: s.firstOf(absent), Problem: "missing"}
	}
	return nil
}

func (r *reader) array(s *schema, out reflect.Value) *Malformed {
	if err := r.expect(array); err != nil {
		return err
	}
	if _, err := r.tokens.ReadToken(); err != nil {
		return r.malformed(err)
	}
	out.Set(reflect.MakeSlice(out.Type(), 0, 0))
	for i := 0; r.tokens.PeekKind() != ']'; i++ {
		out.Grow(1)
		out.SetLen(i + 1)
		if err := r.value(s.elem, out.Index(i)); err != nil {
			return under("["+strconv.Itoa(i)+"]", err)
		}
	}
	if _, err := r.tokens.ReadToken(); err != nil {
		return r.malformed(err)
	}
	return nil
}

func (r *reader) scalar(s shape, out reflect.Value) *Malformed {
	if err := r.expect(s); err != nil {
		return err
	}
	quoted, err := r.tokens.ReadValue()
	if err != nil {
		return r.malformed(err)
	}
	switch s {
	case asJSON:
		err = out.Addr().Interface().(json.Unmarshaler).UnmarshalJSON(quoted)
	case asText:
		err = out.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText(unquote(quoted))
	case text:
		out.SetString(string(unquote(quoted)))
	case boolean:
		out.SetBool(quoted.Kind() == 't')
	case integer:
		err = setInteger(out, quoted)
	}
	if err != nil {
		return &Malformed{Problem: fmt.Sprintf("%.128s", err)}
	}
	return nil
}

func setInteger(out reflect.Value, digits []byte) error {
	if out.CanUint() {
		n, err := strconv.ParseUint(string(digits), 10, out.Type().Bits())
		if err != nil {
			return fmt.Errorf("want a whole number of %d bits, got %s", out.Type().Bits(), quote(string(digits)))
		}
		out.SetUint(n)
		return nil
	}
	n, err := strconv.ParseInt(string(digits), 10, out.Type().Bits())
	if err != nil {
		return fmt.Errorf("want a whole number of %d bits with a sign, got %s", out.Type().Bits(), quote(string(digits)))
	}
	out.SetInt(n)
	return nil
}

// unquote returns the text of a JSON string that the tokenizer let pass. It
// shares memory with quoted where nothing is escaped.
func unquote(quoted []byte) []byte {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1]
	}
	plain, err := jsontext.AppendUnquote(nil, quoted)
	if err != nil {
		panic(fmt.Sprintf("httpjson: internal error: unquote a valid string: %v", err))
	}
	return plain
}

// lookup finds the field that a member's name belongs to.
func (s *schema) lookup(quoted []byte) (int, bool) {
	i, known := s.index[string(unquote(quoted))]
	return i, known
}

// expect looks at the kind of the next value. What is no value at all is left
// to the read that follows.
func (r *reader) expect(s shape) *Malformed {
	got := r.tokens.PeekKind()
	if strings.IndexByte(shapes[s].kinds, byte(got)) >= 0 {
		return nil
	}
	switch got {
	case 'n', 't', 'f': // only the first letter has been looked at
		if err := r.skip(); err != nil {
			return err
		}
		if got == 'n' {
			return &Malformed{Problem: "must not be null"}
		}
	case '{', '[', '"', '0':
	default:
		return nil
	}
	return &Malformed{Problem: fmt.Sprintf("want %s, got %s", shapes[s].want, kindName(got))}
}

// shapes holds, by shape, the kinds of JSON value that it is read from.
var shapes = [...]struct{ kinds, want string }{
	object:  {"{", "an object"},
	array:   {"[", "an array"},
	asJSON:  {`"0`, "a string or a number"},
	asText:  {`"`, "a string"},
	text:    {`"`, "a string"},
	boolean: {"tf", "true or false"},
	integer: {"0", "a number"},
}

func kindName(k jsontext.Kind) string {
	switch k {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case '0':
		return "a number"
	}
	return k.String()
}

// skip reads past one value, which may nest as deep as its sender liked.
func (r *reader) skip() *Malformed {
	depth := r.tokens.StackDepth()
	for {
		if _, err := r.tokens.ReadToken(); err != nil {
			return r.malformed(err)
		}
		if err := r.count(); err != nil {
			return err
		}
		switch d := r.tokens.StackDepth(); {
		case d > MaxDepth:
			return &Malformed{Problem: fmt.Sprintf("more than %d objects and arrays inside one another", MaxDepth)}
		case d == depth:
			return nil
		}
	}
}

// malformed describes an error of the tokenizer in our own words: its own
// repeat names of any length that the sender chose.
func (r *reader) malformed(err error) *Malformed {
	var syntax *jsontext.SyntacticError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &Malformed{Problem: fmt.Sprintf("the JSON ends early, after byte %d", r.tokens.InputOffset())}
	case !errors.As(err, &syntax):
		return &Malformed{Problem: "malformed JSON"}
	case errors.Is(err, jsontext.ErrDuplicateName):
		return &Malformed{Problem: "duplicate member " + quote(syntax.JSONPointer.LastToken())}
	}
	return &Malformed{Problem: fmt.Sprintf("malformed JSON at byte %d: %.96v", syntax.ByteOffset, syntax.Err)}
}

// under says at which member err happened.
func under(member string, err *Malformed) *Malformed {
	switch {
	case err.Path == "":
		err.Path = member
	case err.Path[0] == '[':
		err.Path = member + err.Path
	default:
		err.Path = member + "." + err.Path
	}
	return err
}

// quote repeats what was sent, but bounded and escaped: it ends up in logs and
// on terminals.
func quote(sent string) string { return fmt.Sprintf("%.32q", sent) }
