package bench

import (
	"strings"
	"testing"
)

func TestParseMix(t *testing.T) {
	tests := []struct {
		name, mix string
		want      string // as it is printed, or part of the error
	}{
		{"a kind alone", "block", "block=1"},
		{"weights", "attestation=90, block=10", "attestation=90,block=10"},
		{"a weight left out is one", "randao,block=2", "randao=1,block=2"},
		{"no kind", "", `"" is no kind`},
		{"an unknown kind", "block,exit", `"exit" is no kind`},
		{"a kind twice", "block,block=2", "twice"},
		{"no weight", "block=", "from 1"},
		{"nothing of a kind", "block=0", "from 1"},
		{"less than nothing", "block=-1", "from 1"},
		{"too much", "block=9999,randao=2", "10000"},
		{"far too much", "block=9223372036854775807,randao=2", "10000"},
		{"two votes in an epoch", "attestation,attestation-distinct", "twice in an epoch"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m, err := ParseMix(test.mix)
			if err != nil {
				if !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, want an error with %q", err, test.want)
				}
				return
			}
			if got := m.String(); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestAPatternSpreadsTheKinds(t *testing.T) {
	m, err := ParseMix("attestation=6,block=1,registration=3")
	if err != nil {
		t.Fatal(err)
	}
	var initials string
	for _, k := range m.pattern() {
		initials += string(k)[:1]
	}
	if initials != "araabraara" {
		t.Errorf("got %s", initials)
	}
}
