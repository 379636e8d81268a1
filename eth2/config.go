package eth2

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// NetworkFromConfig reads the keys of a network's config.yaml, as the
// consensus specs define it. PRESET_BASE is required, because a wrong preset
// gives wrong roots. So would other constants than the preset's: they are
// refused. A fork's version or epoch and the length of a slot that are missing
// are those of the config that gave the preset its name. A fork at FarFuture is
// not scheduled. Other keys are ignored.
//
// A config.yaml names neither the genesis validators root nor the time of
// genesis: both are zero until the caller sets them.
func NetworkFromConfig(kv map[string]string) (*Network, error) {
	return networkFrom(kv, func(ScheduledFork) bool { return true })
}

// NetworkFromSpec is NetworkFromConfig for what names every fork that its chain
// has scheduled, as the answer of a beacon node does: a fork without an epoch is
// not scheduled.
//
// Source: beacon-APIs apis/config/spec.yaml.
func NetworkFromSpec(kv map[string]string) (*Network, error) {
	return networkFrom(kv, func(f ScheduledFork) bool { return f.Fork == Phase0 || f.hasEpoch(kv) })
}

// UnscheduledForks returns the forks that kv names and does not schedule. Whoever
// wrote kv does not know those that it does not name.
func UnscheduledForks(kv map[string]string) ([]ForkName, error) {
	n, err := presetDefaults(kv["PRESET_BASE"])
	if err != nil {
		return nil, err
	}
	var names []ForkName
	for _, f := range n.Forks {
		if err := f.configure(kv); err != nil {
			return nil, err
		}
		if f.hasEpoch(kv) && f.Epoch == FarFuture {
			names = append(names, f.Fork)
		}
	}
	return names, nil
}

// networkFrom reads a network with the forks that may be in its schedule.
func networkFrom(kv map[string]string, known func(ScheduledFork) bool) (*Network, error) {
	n, err := presetDefaults(kv["PRESET_BASE"])
	if err != nil {
		return nil, err
	}
	if err := n.Preset.check(kv); err != nil {
		return nil, err
	}
	n.Name = cmp.Or(kv["CONFIG_NAME"], n.Name)
	n.GenesisTime, n.GenesisValidatorsRoot = 0, Root{}
	if n.SecondsPerSlot, err = slotSeconds(kv, n.SecondsPerSlot); err != nil {
		return nil, err
	}
	n.Forks = slices.DeleteFunc(n.Forks, func(f ScheduledFork) bool { return !known(f) })
	for i := range n.Forks {
		if err := n.Forks[i].configure(kv); err != nil {
			return nil, err
		}
	}
	n.Forks = scheduled(n.Forks)
	if err := n.CheckSchedule(); err != nil {
		return nil, err
	}
	return n, nil
}

// check refuses constants in kv that are not the preset's.
func (p *Preset) check(kv map[string]string) error {
	for key, want := range map[string]uint64{
		"SLOTS_PER_EPOCH":              p.SlotsPerEpoch,
		"MAX_PROPOSER_SLASHINGS":       p.MaxProposerSlashings,
		"MAX_ATTESTER_SLASHINGS":       p.MaxAttesterSlashings,
		"MAX_ATTESTATIONS":             p.MaxAttestations,
		"MAX_DEPOSITS":                 p.MaxDeposits,
		"MAX_VOLUNTARY_EXITS":          p.MaxVoluntaryExits,
		"MAX_VALIDATORS_PER_COMMITTEE": p.MaxValidatorsPerCommittee,
		"MAX_COMMITTEES_PER_SLOT":      p.MaxCommitteesPerSlot,
		"SYNC_COMMITTEE_SIZE":          p.SyncCommitteeSize,
	} {
		if text, ok := kv[key]; ok && text != strconv.FormatUint(want, 10) {
			return fmt.Errorf("%s: %.32q is not the %s preset's %d: this release cannot sign for such a chain", key, text, p.Name, want)
		}
	}
	return nil
}

func presetDefaults(preset string) (*Network, error) {
	switch preset {
	case "mainnet":
		return mainnet(), nil
	case "minimal":
		return minimal(), nil
	case "gnosis":
		return gnosis(), nil
	}
	return nil, fmt.Errorf("PRESET_BASE: %.32q is none of mainnet, minimal, gnosis", preset)
}

// slotSeconds reads SECONDS_PER_SLOT and its successor SLOT_DURATION_MS, which
// must agree.
func slotSeconds(kv map[string]string, seconds uint64) (uint64, error) {
	s, hasSeconds := kv["SECONDS_PER_SLOT"]
	if hasSeconds {
		if err := decodeNumber(&seconds, []byte(s)); err != nil {
			return 0, fmt.Errorf("SECONDS_PER_SLOT: %w", err)
		}
	}
	if s, ok := kv["SLOT_DURATION_MS"]; ok {
		var ms uint64
		if err := decodeNumber(&ms, []byte(s)); err != nil {
			return 0, fmt.Errorf("SLOT_DURATION_MS: %w", err)
		}
		if ms%1000 != 0 || (hasSeconds && ms/1000 != seconds) {
			return 0, fmt.Errorf("SLOT_DURATION_MS: %d is not a number of seconds, or not that of SECONDS_PER_SLOT", ms)
		}
		seconds = ms / 1000
	}
	if seconds == 0 {
		return 0, errors.New("SECONDS_PER_SLOT: 0")
	}
	return seconds, nil
}

// configure takes the fork's version and epoch from kv where they are given.
func (f *ScheduledFork) configure(kv map[string]string) error {
	for _, name := range f.configNames() {
		key := name + "_FORK_VERSION"
		if s, ok := kv[key]; ok {
			if err := f.Version.UnmarshalText([]byte(s)); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
		}
		key = name + "_FORK_EPOCH"
		if s, ok := kv[key]; ok && f.Fork != Phase0 {
			if err := decodeNumber(&f.Epoch, []byte(s)); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
		}
	}
	return nil
}

// hasEpoch tells whether kv gives the fork an epoch.
func (f *ScheduledFork) hasEpoch(kv map[string]string) bool {
	return slices.ContainsFunc(f.configNames(), func(name string) bool {
		_, ok := kv[name+"_FORK_EPOCH"]
		return ok
	})
}

func (f *ScheduledFork) configNames() []string {
	switch f.Fork {
	case Phase0:
		return []string{"GENESIS"}
	case Deneb:
		return []string{"EIP4844", "DENEB"} // its name until 2023, and since
	}
	return []string{strings.ToUpper(f.Fork.String())}
}

// CheckSchedule refuses what would make a version ambiguous.
func (n *Network) CheckSchedule() error {
	for i, f := range n.Forks {
		if i > 0 && f.Epoch < n.Forks[i-1].Epoch {
			return fmt.Errorf("%v at epoch %d is before %v at %d", f.Fork, f.Epoch, n.Forks[i-1].Fork, n.Forks[i-1].Epoch)
		}
		if n.position(f.Version) != i {
			return fmt.Errorf("%v has the version %v of an earlier fork", f.Fork, f.Version)
		}
	}
	return nil
}
