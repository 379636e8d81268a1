package eth2

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAConfigDescribesItsNetwork(t *testing.T) {
	got, err := NetworkFromConfig(map[string]string{
		"PRESET_BASE":               "mainnet",
		"CONFIG_NAME":               "devnet-7",
		"SECONDS_PER_SLOT":          "6",
		"SLOT_DURATION_MS":          "6000",
		"GENESIS_FORK_VERSION":      "0x10000038",
		"ALTAIR_FORK_VERSION":       "0x20000038",
		"ALTAIR_FORK_EPOCH":         "0",
		"BELLATRIX_FORK_VERSION":    "0x30000038",
		"BELLATRIX_FORK_EPOCH":      "0",
		"CAPELLA_FORK_VERSION":      "0x40000038",
		"CAPELLA_FORK_EPOCH":        "0",
		"DENEB_FORK_VERSION":        "0x50000038",
		"DENEB_FORK_EPOCH":          "7",
		"ELECTRA_FORK_VERSION":      "0x60000038",
		"ELECTRA_FORK_EPOCH":        "18446744073709551615",
		"FULU_FORK_EPOCH":           "18446744073709551615",
		"GLOAS_FORK_VERSION":        "0x80000038",
		"HEZE_FORK_EPOCH":           "nobody knows yet",
		"TERMINAL_TOTAL_DIFFICULTY": "0",
	})
	want := &Network{
		Name:           "devnet-7",
		Preset:         MainnetPreset(),
		SecondsPerSlot: 6,
		Forks: []ScheduledFork{
			{Phase0, Version{0x10, 0, 0, 0x38}, 0},
			{Altair, Version{0x20, 0, 0, 0x38}, 0},
			{Bellatrix, Version{0x30, 0, 0, 0x38}, 0},
			{Capella, Version{0x40, 0, 0, 0x38}, 0},
			{Deneb, Version{0x50, 0, 0, 0x38}, 7},
		},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestAConfigThatLeavesThingsOutHasItsPresetsValues(t *testing.T) {
	for preset, want := range map[string]*Network{"mainnet": mainnet(), "minimal": minimal(), "gnosis": gnosis()} {
		want.Forks = scheduled(want.Forks)
		want.GenesisTime, want.GenesisValidatorsRoot = 0, Root{}
		got, err := NetworkFromConfig(map[string]string{"PRESET_BASE": preset})
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", preset, err, diff)
		}
	}
}

func TestDenebIsAlsoReadByItsOldName(t *testing.T) {
	n, err := NetworkFromConfig(map[string]string{
		"PRESET_BASE":          "minimal",
		"ALTAIR_FORK_EPOCH":    "1",
		"BELLATRIX_FORK_EPOCH": "2",
		"CAPELLA_FORK_EPOCH":   "3",
		"EIP4844_FORK_EPOCH":   "4",
		"EIP4844_FORK_VERSION": "0x44000001",
	})
	want := ScheduledFork{Deneb, Version{0x44, 0, 0, 1}, 4}
	if err != nil || len(n.Forks) != 5 || n.Forks[4] != want {
		t.Errorf("%+v, %v, want %v last", n, err, want)
	}
}

func TestAConfigThatMakesNoSenseIsRefused(t *testing.T) {
	tests := []struct {
		name string
		kv   map[string]string
		want string // part of the error
	}{
		{"no preset", map[string]string{"PRESET_BASE": ""}, "PRESET_BASE"},
		{"an unknown preset", map[string]string{"PRESET_BASE": "medium"}, "PRESET_BASE"},
		{"epochs of another length than the preset's", map[string]string{"SLOTS_PER_EPOCH": "6"}, "cannot sign for such a chain"},
		{"a version of three bytes", map[string]string{"ALTAIR_FORK_VERSION": "0x010000"}, "ALTAIR_FORK_VERSION"},
		{"a version that YAML made a number", map[string]string{"GENESIS_FORK_VERSION": "16777216"}, "GENESIS_FORK_VERSION"},
		{"a negative epoch", map[string]string{"DENEB_FORK_EPOCH": "-1"}, "DENEB_FORK_EPOCH"},
		{"an epoch beyond uint64", map[string]string{"FULU_FORK_EPOCH": "18446744073709551616"}, "FULU_FORK_EPOCH"},
		{"no time between slots", map[string]string{"SECONDS_PER_SLOT": "0"}, "SECONDS_PER_SLOT"},
		{"a slot in words", map[string]string{"SECONDS_PER_SLOT": "twelve"}, "SECONDS_PER_SLOT"},
		{"half seconds", map[string]string{"SLOT_DURATION_MS": "1500"}, "SLOT_DURATION_MS"},
		{"a duration in words", map[string]string{"SLOT_DURATION_MS": "12s"}, "SLOT_DURATION_MS"},
		{"two lengths of a slot", map[string]string{"SECONDS_PER_SLOT": "12", "SLOT_DURATION_MS": "6000"}, "SLOT_DURATION_MS"},
		{"forks out of order", map[string]string{"ALTAIR_FORK_EPOCH": "144897"}, "bellatrix at epoch 144896"},
		{"two forks of one version", map[string]string{"FULU_FORK_VERSION": "0x05000000"}, "fulu has the version 0x05000000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, ok := tt.kv["PRESET_BASE"]; !ok {
				tt.kv["PRESET_BASE"] = "mainnet"
			}
			n, err := NetworkFromConfig(tt.kv)
			if n != nil || err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%+v, %v, want an error with %q", n, err, tt.want)
			}
		})
	}
}

func TestAConfigHasTheClockOfItsMilliseconds(t *testing.T) {
	n, err := NetworkFromConfig(map[string]string{"PRESET_BASE": "gnosis", "SLOT_DURATION_MS": "4000"})
	if err != nil || n.SecondsPerSlot != 4 {
		t.Errorf("%+v, %v, want slots of 4 seconds", n, err)
	}
}

// TestASpecSchedulesOnlyWhatItNames: a node that is older than a fork says
// nothing of it, and its chain must not get mainnet's epoch for it.
func TestASpecSchedulesOnlyWhatItNames(t *testing.T) {
	kv := map[string]string{
		"PRESET_BASE": "mainnet", "CONFIG_NAME": "devnet-9", "SECONDS_PER_SLOT": "12", "GENESIS_FORK_VERSION": "0x10000099",
		"ALTAIR_FORK_VERSION": "0x20000099", "ALTAIR_FORK_EPOCH": "3",
		"BELLATRIX_FORK_VERSION": "0x30000099", "BELLATRIX_FORK_EPOCH": "18446744073709551615",
		"SLOTS_PER_EPOCH": "32", "SYNC_COMMITTEE_SIZE": "512",
	}
	got, err := NetworkFromSpec(kv)
	want := []ScheduledFork{{Phase0, Version{0x10, 0, 0, 0x99}, 0}, {Altair, Version{0x20, 0, 0, 0x99}, 3}}
	if err != nil || !slices.Equal(got.Forks, want) {
		t.Errorf("%+v, %v, want %v", got, err, want)
	}
	if unscheduled, err := UnscheduledForks(kv); err != nil || !slices.Equal(unscheduled, []ForkName{Bellatrix}) {
		t.Errorf("unscheduled: %v, %v, want bellatrix alone", unscheduled, err)
	}
	for key, value := range map[string]string{
		"SLOTS_PER_EPOCH": "6", "SYNC_COMMITTEE_SIZE": "32", "MAX_ATTESTATIONS": "127", "MAX_VALIDATORS_PER_COMMITTEE": "2k",
	} {
		other := maps.Clone(kv)
		other[key] = value
		if n, err := NetworkFromSpec(other); n != nil || err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s %s: %v, %v, want an error that names it", key, value, n, err)
		}
	}
}
