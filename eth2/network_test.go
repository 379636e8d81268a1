package eth2

import (
	"math"
	"testing"
	"time"
)

// TestForksHappenedWhenTheyDid ties genesis time, slot length, epoch length and
// fork epochs of each network to dates that are public knowledge.
func TestForksHappenedWhenTheyDid(t *testing.T) {
	tests := []struct {
		network string
		fork    ForkName
		version string
		at      string
	}{
		{"mainnet", Phase0, "0x00000000", "2020-12-01T12:00:23Z"},
		{"mainnet", Altair, "0x01000000", "2021-10-27T10:56:23Z"},
		{"mainnet", Bellatrix, "0x02000000", "2022-09-06T11:34:47Z"},
		{"mainnet", Capella, "0x03000000", "2023-04-12T22:27:35Z"},
		{"mainnet", Deneb, "0x04000000", "2024-03-13T13:55:35Z"},
		{"mainnet", Electra, "0x05000000", "2025-05-07T10:05:11Z"},
		{"mainnet", Fulu, "0x06000000", "2025-12-03T21:49:11Z"},
		{"sepolia", Phase0, "0x90000069", "2022-06-20T14:00:00Z"},
		{"sepolia", Capella, "0x90000072", "2023-02-28T04:04:48Z"},
		{"sepolia", Deneb, "0x90000073", "2024-01-30T22:51:12Z"},
		{"sepolia", Electra, "0x90000074", "2025-03-05T07:29:36Z"},
		{"sepolia", Fulu, "0x90000075", "2025-10-14T07:36:00Z"},
		{"sepolia", Gloas, "0x90000076", "2026-10-06T13:53:36Z"},
		{"hoodi", Phase0, "0x10000910", "2025-03-17T12:10:00Z"},
		{"hoodi", Electra, "0x60000910", "2025-03-26T14:37:12Z"},
		{"hoodi", Fulu, "0x70000910", "2025-10-28T18:53:12Z"},
		{"gnosis", Phase0, "0x00000064", "2021-12-08T19:55:40Z"},
		{"gnosis", Bellatrix, "0x02000064", "2022-11-30T19:23:40Z"},
		{"gnosis", Capella, "0x03000064", "2023-08-01T11:34:20Z"},
		{"gnosis", Deneb, "0x04000064", "2024-03-11T18:30:20Z"},
		{"gnosis", Electra, "0x05000064", "2025-04-30T14:03:40Z"},
		{"gnosis", Fulu, "0x06000064", "2026-04-14T12:06:20Z"},
		{"chiado", Phase0, "0x0000006f", "2022-10-10T10:05:00Z"},
		{"chiado", Altair, "0x0100006f", "2022-10-10T12:05:00Z"},
		{"chiado", Capella, "0x0300006f", "2023-05-24T13:17:00Z"},
		{"chiado", Deneb, "0x0400006f", "2024-01-31T18:15:40Z"},
		{"chiado", Electra, "0x0500006f", "2025-03-06T09:43:40Z"},
		{"chiado", Fulu, "0x0600006f", "2026-03-16T09:33:00Z"},
	}
	seen := map[string]bool{}
	for _, tt := range tests {
		seen[tt.network] = true
		n, ok := Builtin(tt.network)
		if !ok {
			t.Fatalf("no %s", tt.network)
		}
		f := n.Forks[tt.fork-Phase0]
		if f.Fork != tt.fork || f.Version.String() != tt.version {
			t.Errorf("%s %v: %v %v, want %s", tt.network, tt.fork, f.Fork, f.Version, tt.version)
		}
		at, err := time.Parse(time.RFC3339, tt.at)
		if err != nil {
			t.Fatal(err)
		}
		got := time.Unix(int64(n.GenesisTime+uint64(n.FirstSlot(f.Epoch))*n.SecondsPerSlot), 0).UTC()
		if !got.Equal(at) {
			t.Errorf("%s %v: at %v, want %v", tt.network, tt.fork, got, at)
		}
		if slot, ok := n.SlotAt(at.Unix()); !ok || slot != n.FirstSlot(f.Epoch) || n.EpochOf(slot) != f.Epoch {
			t.Errorf("%s %v: slot %d at %v, want %d", tt.network, tt.fork, slot, at, n.FirstSlot(f.Epoch))
		}
	}
	for _, name := range BuiltinNames() {
		if !seen[name] {
			t.Errorf("no date for %s", name)
		}
		if n, ok := Builtin(name); !ok || n.Name != name || n.CheckSchedule() != nil || n.GenesisValidatorsRoot == (Root{}) {
			t.Errorf("%s: %+v, %t", name, n, ok)
		}
	}
	if n, ok := Builtin("minimal"); ok {
		t.Errorf("minimal is a preset, not a chain: %+v", n)
	}
}

func TestTheClockBeginsAtGenesis(t *testing.T) {
	n := &Network{Preset: GnosisPreset(), SecondsPerSlot: 5, GenesisTime: 1000}
	unknown := &Network{Preset: GnosisPreset(), SecondsPerSlot: 5}
	for _, tt := range []struct {
		name string
		n    *Network
		unix int64
		want Slot
		ok   bool
	}{
		{"before genesis", n, 999, 0, false},
		{"before 1970", n, -1, 0, false},
		{"at genesis", n, 1000, 0, true},
		{"the last second of a slot", n, 1004, 0, true},
		{"the first of the next", n, 1005, 1, true},
		{"the end of time", n, math.MaxInt64, (math.MaxInt64 - 1000) / 5, true},
		{"genesis unknown", unknown, 2000, 0, false},
	} {
		if got, ok := tt.n.SlotAt(tt.unix); got != tt.want || ok != tt.ok {
			t.Errorf("%s: %d, %t, want %d, %t", tt.name, got, ok, tt.want, tt.ok)
		}
	}
}

func TestTheFirstSlotOfAnEpochSaturates(t *testing.T) {
	n := &Network{Preset: GnosisPreset()}
	for epoch, want := range map[Epoch]Slot{
		0: 0, 1: 16, math.MaxUint64 / 16: math.MaxUint64 - 15,
		math.MaxUint64/16 + 1: math.MaxUint64, math.MaxUint64: math.MaxUint64,
	} {
		if got := n.FirstSlot(epoch); got != want {
			t.Errorf("epoch %d: slot %d, want %d", epoch, got, want)
		}
	}
	if got := n.EpochOf(math.MaxUint64); got != math.MaxUint64/16 {
		t.Errorf("epoch %d of the greatest slot", got)
	}
}

func TestTheLastForkOfAnEpochIsInForce(t *testing.T) {
	hoodi, _ := Builtin("hoodi")
	for epoch, want := range map[Epoch]ForkName{0: Deneb, 2047: Deneb, 2048: Electra, 50687: Electra, 50688: Fulu, math.MaxUint64: Fulu} {
		if got := hoodi.ForkAt(epoch); got != want {
			t.Errorf("epoch %d: %v, want %v", epoch, got, want)
		}
	}
}
