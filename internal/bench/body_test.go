package bench

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/eth2"
)

func TestEveryKindAsksForSomethingNewEachRound(t *testing.T) {
	for _, kind := range Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			w := newWriter(load(t, string(kind), 2))
			seen := map[string]bool{}
			for round := range uint64(3) {
				first, second := w.body(kind, 0, round), w.body(kind, 1, round)
				if (first == second) != kind.Shared() {
					t.Errorf("round %d: two keys ask for\n%s\n%s", round, first, second)
				}
				if seen[first] || seen[second] {
					t.Errorf("round %d asks for what an earlier one did:\n%s\n%s", round, first, second)
				}
				seen[first], seen[second] = true, true
				if !json.Valid([]byte(first)) {
					t.Errorf("not JSON: %s", first)
				}
			}
		})
	}
}

func TestBodiesAreOfTheForkInForce(t *testing.T) {
	mainnet, ok := eth2.Builtin("mainnet")
	if !ok {
		t.Fatal("no mainnet")
	}
	version := func(f eth2.ForkName) string {
		for _, s := range mainnet.Forks {
			if s.Fork == f {
				return `"current_version":"` + s.Version.String() + `"`
			}
		}
		t.Fatalf("mainnet has no %v", f)
		return ""
	}
	tests := []struct {
		name  string
		epoch eth2.Epoch
		kind  Kind
		has   []string
		lacks string
	}{
		{"before Bellatrix a header is sent all the same", 10, Block, []string{version(eth2.Phase0), `"version":"BELLATRIX"`}, ""},
		{"Capella", 200_000, Block, []string{version(eth2.Capella), `"version":"CAPELLA"`}, ""},
		{"an aggregate before Electra names no committees", 300_000, Aggregate, []string{version(eth2.Deneb), `"version":"DENEB"`}, "committee_bits"},
		{"an aggregate of Electra does", 370_000, Aggregate, []string{version(eth2.Electra), `"version":"ELECTRA"`, `"committee_bits":"0x0100000000000000"`}, ""},
		{"a registration is of no fork", 370_000, Registration, []string{`"timestamp":"`}, "fork_info"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := load(t, string(test.kind), 1)
			l.Network, l.FromEpoch = mainnet, test.epoch
			body := newWriter(l).body(test.kind, 0, 0)
			for _, part := range test.has {
				if !strings.Contains(body, part) {
					t.Errorf("lacks %s: %s", part, body)
				}
			}
			if test.lacks != "" && strings.Contains(body, test.lacks) {
				t.Errorf("has %s: %s", test.lacks, body)
			}
		})
	}
}
