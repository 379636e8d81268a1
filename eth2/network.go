package eth2

import (
	"fmt"
	"math"
	"strings"
)

// A ForkName names a fork of the consensus layer. The zero ForkName is none.
type ForkName uint8

// The forks, in their order.
const (
	Phase0 ForkName = iota + 1
	Altair
	Bellatrix
	Capella
	Deneb
	Electra
	Fulu
	Gloas
)

var forkNames = [...]string{
	Phase0: "phase0", Altair: "altair", Bellatrix: "bellatrix", Capella: "capella",
	Deneb: "deneb", Electra: "electra", Fulu: "fulu", Gloas: "gloas",
}

func (f ForkName) String() string {
	if f == 0 || int(f) >= len(forkNames) {
		return fmt.Sprintf("fork %d", uint8(f))
	}
	return forkNames[f]
}

// ParseForkName returns the fork of that name, in any case.
func ParseForkName(name string) (ForkName, error) {
	for f := Phase0; int(f) < len(forkNames); f++ {
		if strings.EqualFold(name, forkNames[f]) {
			return f, nil
		}
	}
	return 0, fmt.Errorf("unknown fork %.32q", name)
}

// MarshalText writes the upper-case name that the Web3Signer API uses.
func (f ForkName) MarshalText() ([]byte, error) {
	return []byte(strings.ToUpper(f.String())), nil
}

// UnmarshalText reads a name in any case.
func (f *ForkName) UnmarshalText(text []byte) (err error) {
	*f, err = ParseForkName(string(text))
	return err
}

// A Network is one chain: its preset, genesis and fork schedule. It is not
// changed once it is in use.
type Network struct {
	Name                  string
	Preset                *Preset
	SecondsPerSlot        uint64
	GenesisTime           uint64 // unix seconds; 0 is unknown
	GenesisValidatorsRoot Root
	Forks                 []ScheduledFork // Phase0 first, in order of epoch
}

// A ScheduledFork is a fork that has or will have an epoch on a network.
type ScheduledFork struct {
	Fork    ForkName
	Version Version
	Epoch   Epoch
}

// SlotsPerEpoch returns the length of an epoch: never assume 32.
func (n *Network) SlotsPerEpoch() uint64 { return n.Preset.SlotsPerEpoch }

// EpochOf returns the epoch that holds s.
func (n *Network) EpochOf(s Slot) Epoch { return Epoch(uint64(s) / n.SlotsPerEpoch()) }

// FirstSlot returns the first slot of e, or the greatest slot if there is none.
func (n *Network) FirstSlot(e Epoch) Slot {
	if uint64(e) > math.MaxUint64/n.SlotsPerEpoch() {
		return math.MaxUint64
	}
	return Slot(uint64(e) * n.SlotsPerEpoch())
}

// SlotAt returns the slot at a time in unix seconds. It is false before
// genesis and where the time of genesis is unknown.
func (n *Network) SlotAt(unix int64) (Slot, bool) {
	if n.GenesisTime == 0 || n.SecondsPerSlot == 0 || unix < 0 || uint64(unix) < n.GenesisTime {
		return 0, false
	}
	return Slot((uint64(unix) - n.GenesisTime) / n.SecondsPerSlot), true
}

// ForkAt returns the fork that is in force in e.
func (n *Network) ForkAt(e Epoch) ForkName {
	var at ForkName
	for _, f := range n.Forks {
		if f.Epoch <= e {
			at = f.Fork
		}
	}
	return at
}

// position returns where v stands in the schedule, or -1.
func (n *Network) position(v Version) int {
	for i := range n.Forks {
		if n.Forks[i].Version == v {
			return i
		}
	}
	return -1
}
