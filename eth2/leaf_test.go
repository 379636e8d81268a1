package eth2

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestHexHasAPrefixAndItsLength(t *testing.T) {
	full := "0x" + strings.Repeat("aB", 32)
	tests := []struct {
		name string
		text string
		ok   bool
	}{
		{"mixed case", full, true},
		{"an upper-case prefix", "0X" + full[2:], true},
		{"no prefix", full[2:] + "00", false},
		{"a prefix alone", "0x", false},
		{"nothing", "", false},
		{"half a prefix", "0", false},
		{"one byte short", full[:64], false},
		{"one digit long", full + "a", false},
		{"one byte long", full + "aa", false},
		{"not a digit", full[:65] + "g", false},
		{"a space", full[:65] + " ", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var root Root
			if err := root.UnmarshalText([]byte(tt.text)); (err == nil) != tt.ok {
				t.Fatalf("%q: %v, want ok %t", tt.text, err, tt.ok)
			}
			if want := strings.ToLower(tt.text); tt.ok && root.String() != want {
				t.Errorf("%v, want %v", root, want)
			}
		})
	}
}

func TestBytesOfAnyLengthAreNeverNil(t *testing.T) {
	for text, want := range map[string][]byte{"0x": {}, "0x00": {0}, "0xFf01": {0xff, 1}} {
		var b Bytes
		if err := b.UnmarshalText([]byte(text)); err != nil || b == nil || !bytes.Equal(b, want) {
			t.Errorf("%q: %#v, %v, want %#v", text, b, err, want)
		}
	}
	for _, text := range []string{"", "00", "0x0", "0x0g", "0x 0"} {
		var b Bitlist
		if err := b.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: %v, want an error", text, b)
		}
	}
}

func TestNumbersUseTheWholeUint64(t *testing.T) {
	tests := []struct {
		json string
		want Slot
		ok   bool
	}{
		{`0`, 0, true},
		{`"0"`, 0, true},
		{`1`, 1, true},
		{`"9007199254740993"`, 1<<53 + 1, true},
		{`9007199254740993`, 1<<53 + 1, true},
		{`18446744073709551615`, 1<<64 - 1, true},
		{`"18446744073709551615"`, 1<<64 - 1, true},
		{`18446744073709551616`, 0, false},
		{`"18446744073709551616"`, 0, false},
		{`99999999999999999999999999`, 0, false},
		{`-1`, 0, false},
		{`"-1"`, 0, false},
		{`"+1"`, 0, false},
		{`"01"`, 0, false},
		{`"00"`, 0, false},
		{`""`, 0, false},
		{`" 1"`, 0, false},
		{`1.0`, 0, false},
		{`1e3`, 0, false},
		{`"1e3"`, 0, false},
		{`"0x10"`, 0, false},
		{`"1_000"`, 0, false},
		{`true`, 0, false},
		{`[1]`, 0, false},
		{`{}`, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.json, func(t *testing.T) {
			var got Slot
			err := json.Unmarshal([]byte(tt.json), &got)
			if (err == nil) != tt.ok || got != tt.want {
				t.Errorf("%d, %v, want %d, ok %t", got, err, tt.want, tt.ok)
			}
		})
	}
}

func TestUint256IsLittleEndian(t *testing.T) {
	const greatest = "115792089237316195423570985008687907853269984665640564039457584007913129639935"
	for text, want := range map[string]Uint256{
		`"0"`:                  {},
		`7`:                    {7},
		`"256"`:                {0, 1},
		`"` + greatest + `"`:   Uint256(bytes.Repeat([]byte{0xff}, 32)),
		`18446744073709551616`: {8: 1},
	} {
		var got Uint256
		if err := json.Unmarshal([]byte(text), &got); err != nil || got != want {
			t.Errorf("%s: %x, %v, want %x", text, got[:], err, want[:])
		}
		if got.String() != strings.Trim(text, `"`) {
			t.Errorf("%s is written %v", text, got)
		}
	}
	for _, text := range []string{`"` + greatest[:77] + `6"`, `"` + greatest + `0"`, `"` + strings.Repeat("9", 1e6) + `"`, `"-1"`, `""`, `"0x1"`, `1e3`} {
		var got Uint256
		if err := json.Unmarshal([]byte(text), &got); err == nil {
			t.Errorf("%.90s: %v, want an error", text, got)
		}
	}
}

// TestMessagesSurviveTheWire encodes every message and decodes it again, as a
// client and a server of the API do.
func TestMessagesSurviveTheWire(t *testing.T) {
	n := gloasNetwork()
	for _, m := range everyMessage(forkInfo(n, Gloas)) {
		body, err := encodeRequest(m)
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodeRequest(body)
		if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		want, err := m.SigningRoot(n)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := again.SigningRoot(n); err != nil || got != want {
			t.Errorf("%v: root %v, %v, want %v", m.Kind(), got, err, want)
		}
	}
}
