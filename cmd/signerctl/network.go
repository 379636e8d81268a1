package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/beacon"
	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/internal/config"
	"github.com/secure-signer/secure-signer/internal/datadir"
)

func (c *tool) networkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "network",
		Short: "Show the network that a data folder is pinned to, and add forks to it",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return fmt.Errorf("%w: network needs show or update", cli.ErrUsage)
		},
	}
	cmd.AddCommand(c.networkShowCommand(), c.networkUpdateCommand())
	return cmd
}

func (c *tool) networkShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show --data-dir D",
		Short: "Show the network of a data folder",
		Long:  "Show the network of a data folder, as it is on the disk: a daemon that runs may have been started before.",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := c.needDataDir(); err != nil {
				return err
			}
			d, err := datadir.Open(c.dataDir)
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(newNetworkInfo(d.Network))
			}
			return datadir.Describe(c.stdout, d.Network)
		},
	}
}

// needDataDir refuses a call without the folder: these commands work on it, not
// over HTTP.
func (c *tool) needDataDir() error {
	if c.dataDir == "" {
		return fmt.Errorf("%w: give --data-dir, the signer's data folder: this works on its files", cli.ErrUsage)
	}
	return nil
}

type networkUpdate struct {
	fromBeacon string
	file       string
	dryRun     bool
}

func (c *tool) networkUpdateCommand() *cobra.Command {
	var u networkUpdate
	cmd := &cobra.Command{
		Use:   "update --data-dir D (--from-beacon URL | --network FILE)",
		Short: "Take forks over that have been scheduled since the folder was made",
		Long: `Take forks over that have been scheduled since the folder was made, from a
beacon node of the same chain or from its config.yaml.

Forks that have not begun may be added, moved or cancelled. The chain, its
genesis, its slots and the forks that have begun never change, and nothing that
a key has signed is forgotten. The daemon may run meanwhile; it uses the new
schedule when it is started again.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.updateNetwork(cmd.Context(), u) },
	}
	cmd.Flags().StringVar(&u.fromBeacon, "from-beacon", "", "`address` of a beacon node, such as http://127.0.0.1:5052")
	cmd.Flags().StringVar(&u.file, "network", "", "a config.yaml `file` of the chain")
	cmd.Flags().BoolVar(&u.dryRun, "dry-run", false, "only tell what would change")
	return cmd
}

// A networkChange is the result of an update, for scripts.
type networkChange struct {
	Changes []forkChange `json:"changes"`
	Written bool         `json:"written"`
}

type forkChange struct {
	Fork string    `json:"fork"`
	Was  *forkInfo `json:"was"` // null: not scheduled
	Is   *forkInfo `json:"is"`
}

func (c *tool) updateNetwork(ctx context.Context, u networkUpdate) error {
	if err := c.needDataDir(); err != nil {
		return err
	}
	if (u.fromBeacon == "") == (u.file == "") {
		return fmt.Errorf("%w: network update needs one of --from-beacon and --network", cli.ErrUsage)
	}
	var changes []datadir.Change
	err := datadir.Update(c.dataDir, func(pinned *eth2.Network) (*eth2.Network, error) {
		said, unscheduled, err := u.source(ctx, pinned, c.stderr)
		if err != nil {
			return nil, err
		}
		var next *eth2.Network
		if next, changes, err = datadir.Reschedule(pinned, said, unscheduled, begun(pinned, time.Now())); err != nil {
			return nil, fmt.Errorf("nothing was changed: the folder and %s do not agree: %w", u.from(), err)
		}
		if u.dryRun || len(changes) == 0 {
			return nil, nil
		}
		return next, nil
	})
	if err != nil {
		return err
	}
	return c.printChanges(changes, u.dryRun)
}

func (u networkUpdate) from() string {
	if u.file != "" {
		return u.file
	}
	return "the beacon node"
}

// source returns the network as the beacon node or the file has it, and the
// forks that it knows to have no epoch. What names the chain is the pinned one's
// genesis root where a node is asked, and its name where a file is read, which
// says nothing of genesis.
func (u networkUpdate) source(ctx context.Context, pinned *eth2.Network, stderr io.Writer) (*eth2.Network, []eth2.ForkName, error) {
	if u.fromBeacon != "" {
		chain, err := beacon.Ask(ctx, u.fromBeacon)
		if errors.Is(err, beacon.ErrAddress) {
			err = fmt.Errorf("%w: %w", cli.ErrUsage, err)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("--from-beacon: %w", err)
		}
		for _, fork := range chain.Unknown {
			fmt.Fprintf(stderr, "warning: %v\n", fork)
		}
		chain.Network.Name = pinned.Name
		return chain.Network, chain.Unscheduled, nil
	}
	values, err := config.ReadNetworkFile(u.file)
	if err != nil {
		return nil, nil, err
	}
	said, err := eth2.NetworkFromSpec(values)
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", u.file, err)
	}
	unscheduled, err := eth2.UnscheduledForks(values)
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", u.file, err)
	}
	said.GenesisTime, said.GenesisValidatorsRoot = pinned.GenesisTime, pinned.GenesisValidatorsRoot
	return said, unscheduled, nil
}

// begun is the epoch at the clock: forks up to it stay as they are. Where the
// time of genesis is unknown all that are scheduled do.
func begun(n *eth2.Network, now time.Time) eth2.Epoch {
	if n.GenesisTime == 0 {
		return eth2.FarFuture
	}
	slot, _ := n.SlotAt(now.Unix()) // 0 before genesis
	return n.EpochOf(slot)
}

func (c *tool) printChanges(changes []datadir.Change, dryRun bool) error {
	if c.json {
		result := networkChange{Changes: []forkChange{}, Written: len(changes) > 0 && !dryRun}
		for _, change := range changes {
			result.Changes = append(result.Changes, forkChange{change.Fork.String(), newForkInfo(change.Was), newForkInfo(change.Is)})
		}
		return c.printJSON(result)
	}
	var text strings.Builder
	for _, change := range changes {
		fmt.Fprintln(&text, change)
	}
	switch {
	case len(changes) == 0:
		fmt.Fprintln(&text, "Nothing has changed.")
	case dryRun:
		fmt.Fprintln(&text, "Nothing was written: this is what would change.")
	default:
		fmt.Fprintln(&text, "Written. Restart secure-signer to use it; until then it signs by the old schedule.")
	}
	_, err := io.WriteString(c.stdout, text.String())
	return err
}

// A networkInfo is a network, for scripts.
type networkInfo struct {
	Name                  string     `json:"name"`
	GenesisValidatorsRoot string     `json:"genesis_validators_root"`
	GenesisTime           uint64     `json:"genesis_time"` // 0: unknown
	Preset                string     `json:"preset"`
	SlotsPerEpoch         uint64     `json:"slots_per_epoch"`
	SecondsPerSlot        uint64     `json:"seconds_per_slot"`
	Forks                 []forkInfo `json:"forks"`
}

type forkInfo struct {
	Fork    string `json:"fork"`
	Version string `json:"version"`
	Epoch   uint64 `json:"epoch"`
}

func newForkInfo(f *eth2.ScheduledFork) *forkInfo {
	if f == nil {
		return nil
	}
	return &forkInfo{f.Fork.String(), f.Version.String(), uint64(f.Epoch)}
}

func newNetworkInfo(n *eth2.Network) networkInfo {
	info := networkInfo{
		Name: n.Name, GenesisValidatorsRoot: n.GenesisValidatorsRoot.String(), GenesisTime: n.GenesisTime,
		Preset: n.Preset.Name, SlotsPerEpoch: n.SlotsPerEpoch(), SecondsPerSlot: n.SecondsPerSlot,
	}
	for _, f := range n.Forks {
		info.Forks = append(info.Forks, *newForkInfo(&f))
	}
	return info
}
