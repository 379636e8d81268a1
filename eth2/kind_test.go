package eth2

import (
	"strings"
	"testing"
)

func TestKindsAreKnownByEverySpelling(t *testing.T) {
	names := map[string]Kind{"BLOCK": KindBlock, "AGGREGATE_AND_PROOF_V2": KindAggregateAndProof}
	for _, k := range Kinds() {
		names[k.String()] = k
	}
	if len(names) != 18 {
		t.Fatalf("%d spellings, want 18", len(names))
	}
	for name, want := range names {
		for _, spelling := range []string{name, strings.ToLower(name), strings.ToLower(name[:1]) + name[1:]} {
			if got, err := ParseKind(spelling); err != nil || got != want {
				t.Errorf("%s: %v, %v, want %v", spelling, got, err, want)
			}
		}
	}
}

func TestOtherNamesAreNoKind(t *testing.T) {
	for _, name := range []string{"", "BLOCK_V3", "ATTESTATION_V2", "BLS_TO_EXECUTION_CHANGE", " BLOCK", "KIND_0", "KIND_1"} {
		if k, err := ParseKind(name); err == nil {
			t.Errorf("%q: %v, want an error", name, k)
		}
	}
}

func TestForkNamesAreReadInAnyCase(t *testing.T) {
	for name, want := range map[string]ForkName{"phase0": Phase0, "PHASE0": Phase0, "Electra": Electra, "GLOAS": Gloas} {
		var got ForkName
		if err := got.UnmarshalText([]byte(name)); err != nil || got != want {
			t.Errorf("%s: %v, %v, want %v", name, got, err, want)
		}
		if text, err := got.MarshalText(); err != nil || string(text) != strings.ToUpper(name) {
			t.Errorf("%v is written %s, %v", got, text, err)
		}
	}
	for _, name := range []string{"", "merge", "heze", "fork 0", "phase 0"} {
		if f, err := ParseForkName(name); err == nil {
			t.Errorf("%q: %v, want an error", name, f)
		}
	}
}
