package datadir

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/durable"
)

// ErrOtherChain says that two descriptions are not of one chain.
var ErrOtherChain = errors.New("not the same chain")

// A Change is a fork whose place in a schedule changes. Was or Is is nil where
// the fork has no epoch.
type Change struct {
	Fork    eth2.ForkName
	Was, Is *eth2.ScheduledFork
}

func (c Change) String() string {
	switch {
	case c.Was == nil:
		return fmt.Sprintf("%v: at epoch %d, version %v; was not scheduled", c.Fork, c.Is.Epoch, c.Is.Version)
	case c.Is == nil:
		return fmt.Sprintf("%v: no more scheduled; was at epoch %d, version %v", c.Fork, c.Was.Epoch, c.Was.Version)
	}
	return fmt.Sprintf("%v: at epoch %d, version %v; was at epoch %d, version %v", c.Fork, c.Is.Epoch, c.Is.Version, c.Was.Epoch, c.Was.Version)
}

// Reschedule returns the pinned network with the forks that said has, and what
// that changes. Nothing else can change: not the chain, its genesis, preset or
// slots, and no fork that has begun by the epoch now. A fork that said lacks
// stays, because its source may be too old to know it, unless it is among those
// that are said to be unscheduled.
func Reschedule(pinned, said *eth2.Network, unscheduled []eth2.ForkName, now eth2.Epoch) (*eth2.Network, []Change, error) {
	if err := sameChain(pinned, said); err != nil {
		return nil, nil, err
	}
	next := *pinned
	next.Forks = nil
	var changes []Change
	for name := eth2.Phase0; name <= eth2.Gloas; name++ {
		was, is := find(pinned, name), find(said, name)
		if is == nil && !slices.Contains(unscheduled, name) {
			is = was
		}
		if is != nil {
			next.Forks = append(next.Forks, *is)
		}
		if was == is || was != nil && is != nil && *was == *is {
			continue
		}
		c := Change{name, was, is}
		if was != nil && was.Epoch <= now {
			return nil, nil, fmt.Errorf("%w: what is fixed would change: %v", ErrOtherChain, c)
		}
		changes = append(changes, c)
	}
	if err := next.CheckSchedule(); err != nil {
		return nil, nil, err
	}
	return &next, changes, nil
}

func find(n *eth2.Network, name eth2.ForkName) *eth2.ScheduledFork {
	for _, f := range n.Forks {
		if f.Fork == name {
			return &f
		}
	}
	return nil
}

// sameChain compares what never changes in the life of a chain.
func sameChain(pinned, said *eth2.Network) error {
	var differ []string
	compare := func(what string, a, b any) {
		if a != b {
			differ = append(differ, fmt.Sprintf("%s %v against %v", what, a, b))
		}
	}
	compare("name", pinned.Name, said.Name)
	compare("genesis validators root", pinned.GenesisValidatorsRoot, said.GenesisValidatorsRoot)
	compare("genesis time", pinned.GenesisTime, said.GenesisTime)
	compare("preset", pinned.Preset.Name, said.Preset.Name)
	compare("seconds a slot", pinned.SecondsPerSlot, said.SecondsPerSlot)
	if len(differ) > 0 {
		return fmt.Errorf("%w: %s", ErrOtherChain, strings.Join(differ, ", "))
	}
	return nil
}

// Update changes the network of the folder at path: change gets the one that is
// pinned and returns the next, or nil to leave the file as it is. A crash leaves
// the old file or the new one. Nothing else in the folder is touched.
func Update(path string, change func(*eth2.Network) (*eth2.Network, error)) error {
	return update(path, func(f Folder) (*Settings, error) {
		next, err := change(f.Network)
		if next == nil || err != nil {
			return nil, err
		}
		return &Settings{next, f.Binding}, nil
	})
}

// Rebind changes what the folder at path is bound to, as Update changes its network.
// Change may do what must be done before the file says so.
func Rebind(path string, change func(Folder) (Binding, error)) error {
	return update(path, func(f Folder) (*Settings, error) {
		next, err := change(f)
		if err != nil {
			return nil, err
		}
		return &Settings{f.Network, next}, nil
	})
}

func update(path string, change func(Folder) (*Settings, error)) error {
	f, err := Open(path) // says what to do where there is no folder
	if err != nil {
		return err
	}
	if err := f.CheckOwner(); err != nil {
		return err
	}
	lock, err := durable.TryLockDir(path)
	if err != nil {
		return fmt.Errorf("lock %s: %w: is it being updated already?", path, err)
	}
	defer lock.Unlock()
	if f, err = Open(path); err != nil {
		return err
	}
	next, err := change(f)
	if next == nil || err != nil {
		return err
	}
	text, err := encode(*next)
	if err != nil {
		return err
	}
	return durable.WriteFile(f.Config(), text, 0o600)
}
