package slashing_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/slashing"
)

// disabledState returns a state that only a guard can make.
func disabledState(t testing.TB) slashing.State {
	t.Helper()
	var s slashing.State
	if err := s.UnmarshalBinary([]byte("slsh\x01\x20")); err != nil {
		t.Fatal(err)
	}
	return s
}

// everyPresence returns a state for each combination of what may be present.
func everyPresence(t testing.TB) []slashing.State {
	t.Helper()
	var all []slashing.State
	for bits := range 64 {
		has := func(bit int) bool { return bits&(1<<bit) != 0 }
		var s slashing.State
		if has(0) {
			s, _ = s.Propose(0x0102030405060708, root(1))
		}
		if has(1) {
			s, _ = s.Attest(0x1112131415161718, 0x2122232425262728, root(2))
		}
		s = s.Raise(slashing.Floors{HasSlot: has(2), Slot: 3, HasSource: has(3), Source: 0, HasTarget: has(4), Target: maxUint64})
		if has(5) {
			b, _ := s.MarshalBinary()
			b[5] |= 0x20
			if err := s.UnmarshalBinary(b); err != nil {
				t.Fatal(err)
			}
		}
		all = append(all, s)
	}
	return all
}

func TestEncodingKeepsEveryState(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range everyPresence(t) {
		b, err := s.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > 200 {
			t.Errorf("%d bytes for %+v", len(b), s)
		}
		var got slashing.State
		if err := got.UnmarshalBinary(b); err != nil {
			t.Fatalf("%x: %v", b, err)
		}
		if got != s {
			t.Errorf("decoded %+v, want %+v", got, s)
		}
		seen[string(b)] = true
	}
	if len(seen) != 64 {
		t.Errorf("%d different records for 64 states", len(seen))
	}
}

// Released formats must be readable for ever.
func TestEncodingOfFormat1IsFixed(t *testing.T) {
	const want = "736c7368" + "01" + "1f" +
		"0000000000000009" + "0000000000000000000000000000000000000000000000000000000000000001" +
		"0000000000000003" + "0000000000000005" + "0000000000000000000000000000000000000000000000000000000000000002" +
		"0000000000000007" + "0000000000000002" + "0000000000000004"
	var s slashing.State
	s, _ = s.Propose(9, root(1))
	s, _ = s.Attest(3, 5, root(2))
	s = s.Raise(slashing.Floors{HasSlot: true, Slot: 7, HasSource: true, Source: 2, HasTarget: true, Target: 4})
	b, _ := s.MarshalBinary()
	if got := hex.EncodeToString(b); got != want {
		t.Errorf("record\n%s, want\n%s", got, want)
	}
}

func TestDecodingIsStrict(t *testing.T) {
	valid, _ := everyPresence(t)[63].MarshalBinary()
	edit := func(i int, to byte) []byte {
		b := bytes.Clone(valid)
		b[i] = to
		return b
	}
	noVote := bytes.Clone(valid)
	copy(noVote[len("slsh\x01\x3f")+8+32:], bytes.Repeat([]byte{0xff}, 8))
	for _, tt := range []struct {
		name   string
		record []byte
		want   string
	}{
		{"nothing", nil, "not a slashing record"},
		{"another magic", edit(0, 'S'), "not a slashing record"},
		{"a format of the future", edit(4, 2), "format 2"},
		{"an unknown flag", edit(5, 0x7f), "unknown flags"},
		{"the highest flag", edit(5, 0x80), "unknown flags"},
		{"a flag without its field", edit(5, 0x3f&^0x01), "length"},
		{"a byte too many", append(bytes.Clone(valid), 0), "length"},
		{"a vote that cannot exist", noVote, "a vote from epoch"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := disabledState(t)
			err := s.UnmarshalBinary(tt.record)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one that tells %q", err, tt.want)
			}
			if s != disabledState(t) {
				t.Error("an error changed the state")
			}
		})
	}
	t.Run("every length but the right one", func(t *testing.T) {
		for n := range valid {
			var s slashing.State
			if err := s.UnmarshalBinary(valid[:n]); err == nil {
				t.Errorf("accepted the first %d bytes of %d", n, len(valid))
			}
		}
	})
}

// FuzzState checks that a record is read without a panic, and that only what
// would be written is accepted.
func FuzzState(f *testing.F) {
	for _, s := range everyPresence(f) {
		b, _ := s.MarshalBinary()
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var s slashing.State
		if err := s.UnmarshalBinary(b); err != nil {
			if s != (slashing.State{}) {
				t.Errorf("an error (%v) left %+v", err, s)
			}
			return
		}
		again, err := s.MarshalBinary()
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("read %x, would write %x (%v)", b, again, err)
		}
	})
}
