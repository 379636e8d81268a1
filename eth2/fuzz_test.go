package eth2

import (
	"encoding"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
)

// FuzzLeaves feeds text to every leaf type: none panics, and what one accepts
// it writes back as it was, but for the case of hex.
func FuzzLeaves(f *testing.F) {
	for _, seed := range []string{
		"", "0", "0x", "0X", "0x0", "0xff", "0x01000000", "18446744073709551615", "18446744073709551616", "-1", "1e3", "00",
		"0x" + strings.Repeat("Ab", 20), "0x" + strings.Repeat("00", 32), "0x" + strings.Repeat("ff", 48), "0x" + strings.Repeat("7e", 96),
		strings.Repeat("9", 78), strings.Repeat("9", 79), "GLOAS", "phase0", "\xff", "\"1\"",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, leaf := range []encoding.TextUnmarshaler{
			new(Root), new(Version), new(PublicKey), new(Signature), new(KZGCommitment), new(Address), new(LogsBloom),
			new(Bytes), new(Bitlist), new(Bitvector), new(ForkName),
		} {
			if leaf.UnmarshalText([]byte(text)) == nil {
				checkWritten(t, leaf, text)
			}
		}
		for _, number := range []json.Unmarshaler{new(Slot), new(Epoch), new(ValidatorIndex), new(Gwei), new(Uint64), new(Uint256)} {
			if number.UnmarshalJSON([]byte(text)) == nil {
				checkWritten(t, number, strings.Trim(text, `"`))
			}
		}
	})
}

func checkWritten(t *testing.T, leaf any, text string) {
	t.Helper()
	got, err := leaf.(encoding.TextMarshaler).MarshalText()
	if err != nil || !strings.EqualFold(string(got), text) {
		t.Errorf("%T: %q is written %q, %v", leaf, text, got, err)
	}
}

// FuzzSigningRoot asks for the root of messages of every kind with lists and
// bit fields of any length: no panic, the same answer twice, and only the
// errors that callers know.
func FuzzSigningRoot(f *testing.F) {
	n := gloasNetwork()
	messages := everyMessage(ForkInfo{})
	for i := range messages {
		f.Add(uint8(i), []byte{})
		f.Add(uint8(i), []byte{8, 1, 2, 5, 2, 2, 1, 9, 3, 1, 0xff, 4, 2, 2, 2, 2})
		f.Add(uint8(i), []byte(strings.Repeat("\x02\x01\x05", 40)))
		f.Add(uint8(i), []byte(strings.Repeat("\x22", 300)))
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		message := reflect.New(reflect.TypeOf(messages[int(which)%len(messages)]).Elem())
		(&source{data}).fill(message.Elem())
		m := message.Interface().(Message)
		if f := m.forkInfo(); f != nil && len(data)%8 > 0 {
			*f = forkInfo(n, Gloas)
		}
		root, err := m.SigningRoot(n)
		again, errAgain := m.SigningRoot(n)
		if root != again || (err == nil) != (errAgain == nil) {
			t.Errorf("%v: %v, %v, then %v, %v", m.Kind(), root, err, again, errAgain)
		}
		known := errors.Is(err, ErrForeignChain) || errors.Is(err, ErrUnknownFork) || errors.Is(err, ErrInvalidMessage)
		if (err != nil) != known || (err != nil && root != Root{}) {
			t.Errorf("%v: %v, %v", m.Kind(), root, err)
		}
	})
}

// A source turns fuzzed bytes into values: the length of each slice, whether a
// pointer is nil, and what arrays and numbers are filled with.
type source struct{ data []byte }

func (s *source) next() byte {
	if len(s.data) == 0 {
		return 0
	}
	b := s.data[0]
	s.data = s.data[1:]
	return b
}

func (s *source) fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			s.fill(v.Field(i))
		}
	case reflect.Pointer:
		if s.next()%2 == 1 {
			v.Set(reflect.New(v.Type().Elem()))
			s.fill(v.Elem())
		}
	case reflect.Slice:
		if n := int(s.next()); n > 0 { // else it stays nil
			v.Set(reflect.MakeSlice(v.Type(), n-1, n-1))
			for i := range min(n-1, len(s.data)) {
				s.fill(v.Index(i))
			}
		}
	case reflect.Array:
		s.fill(v.Index(0))
	case reflect.Bool:
		v.SetBool(s.next()%2 == 1)
	default:
		v.SetUint(uint64(s.next()) * (math.MaxUint64 / 255) >> (64 - v.Type().Bits()))
	}
}
