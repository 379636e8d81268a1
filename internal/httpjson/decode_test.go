package httpjson

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// A decimal is a number as the beacon APIs write it.
type decimal uint64

func (d *decimal) UnmarshalJSON(text []byte) error {
	_, err := fmt.Sscan(strings.Trim(string(text), `"`), (*uint64)(d))
	return err
}

// A hash is a text of four characters.
type hash string

func (h *hash) UnmarshalText(text []byte) error {
	if len(text) != 4 {
		return fmt.Errorf("%d characters, want 4", len(text))
	}
	*h = hash(text)
	return nil
}

type vote struct {
	Epoch decimal `json:"epoch"`
	Root  hash    `json:"root"`
}

type body struct {
	Type   string  `json:"type"`
	Vote   vote    `json:"vote"`
	Votes  []vote  `json:"votes"`
	Old    *vote   `json:"old"`
	Bits   hash    `json:"bits,omitzero"`
	Final  bool    `json:"final"`
	Count  uint8   `json:"count"`
	Offset int16   `json:"offset"`
	Names  []*hash `json:"names,omitzero"`
	Ours   string  `json:"-"`
}

// valid is a body; tests change it member by member.
func valid() map[string]string {
	return map[string]string{
		"type": `"A"`, "vote": `{"epoch":"1","root":"abcd"}`, "votes": `[]`,
		"final": `true`, "count": `7`, "offset": `-7`,
	}
}

func encode(members map[string]string) string {
	var b strings.Builder
	for _, name := range []string{"type", "vote", "votes", "old", "bits", "final", "count", "offset", "names", "extra"} {
		if v, ok := members[name]; ok {
			fmt.Fprintf(&b, ",%q:%s", name, v)
		}
	}
	return "{" + strings.TrimPrefix(b.String(), ",") + "}"
}

func TestDecodeReadsEveryShape(t *testing.T) {
	members := valid()
	members["votes"] = `[{"epoch":2,"root":"efgh"},{"epoch":"3","root":"ijkl"}]`
	members["old"] = `{"epoch":18446744073709551615,"root":"\u006dnop"}`
	members["bits"] = `"qrst"`
	members["names"] = `["uvwx"]`
	members["extra"] = `{"deep":[[{"er":null}],1e9,true,"x"]}`
	text := strings.Replace(encode(members), `"type":"A"`, ` "ty\u0070e" : "\u0041\n" `, 1)

	got := body{Ours: "kept"}
	if err := Decode(strings.NewReader("\r\n\t "+text+" \n"), 4096, &got); err != nil {
		t.Fatal(err)
	}
	name := hash("uvwx")
	want := body{
		Type: "A\n", Vote: vote{1, "abcd"}, Votes: []vote{{2, "efgh"}, {3, "ijkl"}}, Old: &vote{1<<64 - 1, "mnop"},
		Bits: "qrst", Final: true, Count: 7, Offset: -7, Names: []*hash{&name}, Ours: "kept",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNullLeavesOutWhatIsNotRequired(t *testing.T) {
	members := valid()
	for _, name := range []string{"old", "bits", "names"} {
		members[name] = "null"
	}
	var got body
	if err := NewDecoder[body]().Decode([]byte(encode(members)), &got); err != nil {
		t.Fatal(err)
	}
	if got.Old != nil || got.Bits != "" || got.Names != nil {
		t.Errorf("null was read as a value: %+v", got)
	}
}

func TestErrorsNameTheMember(t *testing.T) {
	for name, tt := range map[string]struct{ member, value, want string }{
		"a missing member of the body":           {"type", "", "type: missing"},
		"a missing member of a member":           {"vote", `{"epoch":"1"}`, "vote.root: missing"},
		"a missing member of an element":         {"votes", `[{"epoch":"1","root":"abcd"},{"root":"abcd"}]`, "votes[1].epoch: missing"},
		"a missing member of what is optional":   {"old", `{}`, "old.epoch: missing"},
		"null for what is required":              {"vote", `null`, "vote: must not be null"},
		"null for a number":                      {"vote", `{"epoch":null,"root":"abcd"}`, "vote.epoch: must not be null"},
		"null for an element":                    {"votes", `[null]`, "votes[0]: must not be null"},
		"null for an element behind a pointer":   {"names", `[null]`, "names[0]: must not be null"},
		"a string for an object":                 {"vote", `"x"`, "vote: want an object, got a string"},
		"an object for an array":                 {"votes", `{}`, "votes: want an array, got an object"},
		"an array for a string":                  {"type", `[]`, "type: want a string, got an array"},
		"a number for text":                      {"vote", `{"root":1}`, "vote.root: want a string, got a number"},
		"a number for a string":                  {"type", `1`, "type: want a string, got a number"},
		"true for a number":                      {"vote", `{"epoch":true}`, "vote.epoch: want a string or a number, got true"},
		"an object for a number":                 {"vote", `{"epoch":{}}`, "vote.epoch: want a string or a number, got an object"},
		"a string for true or false":             {"final", `"true"`, "final: want true or false, got a string"},
		"a number too large":                     {"count", `256`, `count: want a whole number of 8 bits, got "256"`},
		"a negative number":                      {"count", `-1`, `count: want a whole number of 8 bits, got "-1"`},
		"a fraction":                             {"offset", `1.5`, `offset: want a whole number of 16 bits with a sign, got "1.5"`},
		"a number of any length":                 {"count", strings.Repeat("9", 500), `count: want a whole number of 8 bits, got "` + strings.Repeat("9", 32) + `"`},
		"what the value itself refuses":          {"bits", `"abc"`, "bits: 3 characters, want 4"},
		"a duplicate member":                     {"vote", `{"epoch":"1","epoch":"1"}`, `vote: duplicate member "epoch"`},
		"a duplicate in escapes":                 {"vote", `{"epoch":"1","\u0065poch":"1"}`, `vote: duplicate member "epoch"`},
		"a duplicate of an unknown member":       {"vote", `{"x":1,"x":1}`, `vote: duplicate member "x"`},
		"a duplicate within what is unknown":     {"extra", `[{"x":1,"x":1}]`, `duplicate member "x"`},
		"a duplicate of any length":              {"vote", `{"` + strings.Repeat("é", 99) + `":1,"` + strings.Repeat("é", 99) + `":1}`, `vote: duplicate member "` + strings.Repeat("é", 32) + `"`},
		"a duplicate with control characters":    {"vote", `{"\u001b[2J":1,"\u001b[2J":1}`, `vote: duplicate member "\x1b[2J"`},
		"nesting too deep in what is unknown":    {"extra", strings.Repeat("[", 40) + strings.Repeat("]", 40), "more than 32 objects and arrays inside one another"},
		"nesting too deep below what is known":   {"vote", `{"x":` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + `}`, "vote: more than 32 objects and arrays inside one another"},
		"a million open brackets":                {"extra", strings.Repeat("[", 1<<20), "more than 32 objects and arrays inside one another"},
		"a literal that is none":                 {"final", `truth`, "final: malformed JSON at byte 69: …"},
		"NaN":                                    {"count", `NaN`, "count: malformed JSON at byte 79: …"},
		"a leading zero":                         {"count", `01`, "malformed JSON at byte 80: …"},
		"a raw control character":                {"type", "\"\x00\"", "type: malformed JSON at byte 9: …"},
		"invalid UTF-8":                          {"type", "\"\xff\"", "type: malformed JSON at byte 9: …"},
		"half a surrogate pair":                  {"type", `"\ud800"`, "type: malformed JSON at byte 9: …"},
		"a comma before the end":                 {"vote", `{"epoch":"1",}`, "vote: malformed JSON at byte 31: …"},
		"a name that is no string":               {"vote", `{1:2}`, "vote: malformed JSON at byte 20: …"},
		"a comment":                              {"vote", `{/**/}`, "vote: malformed JSON at byte 20: …"},
		"a bracket of the other kind":            {"votes", `[}`, "votes[0]: malformed JSON at byte 56: …"},
		"an array that never ends, and no brace": {"votes", `[`, "votes[0]: malformed JSON at byte 56: …"},
	} {
		t.Run(name, func(t *testing.T) {
			members := valid()
			members[tt.member] = tt.value
			if tt.value == "" {
				delete(members, tt.member)
			}
			err := NewDecoder[body]().Decode([]byte(encode(members)), new(body))
			var malformed *Malformed
			if !errors.As(err, &malformed) || !matches(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

// matches compares two errors. Below "…" lie the tokenizer's words, which are
// free to change.
func matches(got, want string) bool {
	prefix, open := strings.CutSuffix(want, "…")
	return got == want || open && strings.HasPrefix(got, prefix) && len(got) < 256
}

func TestDocumentsThatAreNotOneObject(t *testing.T) {
	whole := encode(valid())
	for name, tt := range map[string]struct{ sent, want string }{
		"nothing":                     {"", "the body is empty"},
		"white space":                 {" \r\n", "the body is empty"},
		"null":                        {"null", "must not be null"},
		"a form":                      {"type=A", "malformed JSON at byte 1: …"},
		"nothing with an n":           {"nothing", "malformed JSON at byte 1: …"},
		"an array":                    {"[" + whole + "]", "want an object, got an array"},
		"a number":                    {"1", "want an object, got a number"},
		"a byte order mark":           {"\ufeff" + whole, "malformed JSON at byte 0: …"},
		"UTF-16":                      {"{\x00\"\x00", "malformed JSON at byte 1: …"},
		"a NUL before":                {"\x00" + whole, "malformed JSON at byte 0: …"},
		"a NUL after":                 {whole + "\x00", fmt.Sprintf("trailing data after byte %d", len(whole))},
		"another value after":         {whole + "{}", fmt.Sprintf("trailing data after byte %d", len(whole))},
		"a brace after":               {whole + " }", fmt.Sprintf("trailing data after byte %d", len(whole))},
		"the deepest that is allowed": {strings.Replace(whole, "{", `{"x":`+strings.Repeat("[", 31)+strings.Repeat("]", 31)+",", 1), ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if err := NewDecoder[body]().Decode([]byte(tt.sent), new(body)); err != nil {
				got = err.Error()
			}
			if !matches(got, tt.want) {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestEveryTruncationIsAnError(t *testing.T) {
	members := valid()
	members["votes"] = `[{"epoch":"1","root":"abcd"}]`
	members["extra"] = `[{"x":"é"}]`
	whole, d := encode(members), NewDecoder[body]()
	for n := range len(whole) {
		var malformed *Malformed
		if err := d.Decode([]byte(whole[:n]), new(body)); !errors.As(err, &malformed) {
			t.Errorf("%s: got %v", whole[:n], err)
		}
	}
}

// TestABodyOfNothingButCommasIsCutShort: two requests of 32 MiB took 1.2 GB and
// kept both processors busy for half a minute.
func TestABodyOfNothingButCommasIsCutShort(t *testing.T) {
	if testing.Short() {
		t.Skip("many values take long under the race detector")
	}
	names := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"%x":0`, i)
		}
		return "{" + b.String()[1:] + "}"
	}
	for name, value := range map[string]func(n int) [2]string{
		"a list that is read":    func(n int) [2]string { return [2]string{"names", "[" + strings.Repeat(`"abcd",`, n-1) + `"abcd"]`} },
		"a list that is skipped": func(n int) [2]string { return [2]string{"extra", "[" + strings.Repeat("0,", n-1) + "0]"} },
		"names that are skipped": func(n int) [2]string { return [2]string{"extra", names(n / 2)} },
		"objects that are read": func(n int) [2]string {
			return [2]string{"votes", "[" + strings.Repeat(`{"epoch":1,"root":"abcd"},`, n/3) + `{"epoch":1,"root":"abcd"}]`}
		},
		"objects that are skipped": func(n int) [2]string { return [2]string{"extra", "[" + strings.Repeat("{},", n/2) + "{}]"} },
	} {
		t.Run(name, func(t *testing.T) {
			for n, want := range map[int]bool{MaxValues - 16: true, MaxValues + 16: false} {
				members, v := valid(), value(n)
				members[v[0]] = v[1]
				err := Decode(strings.NewReader(encode(members)), 1<<30, new(body))
				if want != (err == nil) {
					t.Errorf("%d values: %v", n, err)
				}
				if err != nil && !strings.Contains(err.Error(), "values in one document") {
					t.Errorf("%d values: %v", n, err)
				}
			}
		})
	}
}

func TestDecodeReadsNoFurtherThanItsLimit(t *testing.T) {
	whole := encode(valid())
	if err := Decode(strings.NewReader(whole), int64(len(whole)), new(body)); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	endless := &counter{Reader: io.MultiReader(strings.NewReader(whole), zeros{})}
	err := Decode(endless, int64(len(whole)), new(body))
	if limit := Limit(0); !errors.As(err, &limit) || int(limit) != len(whole) {
		t.Errorf("over the limit: got %v", err)
	}
	if endless.read > len(whole)+1 {
		t.Errorf("read %d bytes of at most %d", endless.read, len(whole)+1)
	}
	broken := errors.New("connection reset")
	if err := Decode(iotest.ErrReader(broken), 10, new(body)); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
}

type counter struct {
	io.Reader
	read int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.read += n
	return n, err
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestNewDecoderRefusesWhatItCannotReadStrictly(t *testing.T) {
	type hidden struct{}
	type recursive struct {
		Next *recursive `json:"next"`
	}
	for name, build := range map[string]func(){
		"no struct":           func() { NewDecoder[int]() },
		"a field without tag": func() { NewDecoder[struct{ A int }]() },
		"a hidden field":      func() { NewDecoder[struct{ hidden }]() },
		"any": func() {
			NewDecoder[struct {
				A any `json:"a"`
			}]()
		},
		"a map": func() {
			NewDecoder[struct {
				A map[string]int `json:"a"`
			}]()
		},
		"a loop": func() { NewDecoder[recursive]() },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			build()
		})
	}
}

// FuzzDecode holds what the package promises: no panic, a short error, and
// what is accepted is one object without a duplicate and not too deep.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(encode(valid())))
	f.Add([]byte(`{"type":"A","type":"A"}`))
	d := NewDecoder[body]()
	f.Fuzz(func(t *testing.T, data []byte) {
		var first, again body
		err := d.Decode(data, &first)
		if err != nil {
			if len(err.Error()) > 512 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		if err := Decode(strings.NewReader(string(data)), int64(len(data)), &again); err != nil {
			t.Fatalf("read once, then: %v", err)
		}
		if diff := cmp.Diff(first, again); diff != "" {
			t.Error(diff)
		}
	})
}
