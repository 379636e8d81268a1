package beacon

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/secure-signer/secure-signer/eth2"
)

const (
	specPath     = "/eth/v1/config/spec"
	schedulePath = "/eth/v1/config/fork_schedule"
	genesisPath  = "/eth/v1/beacon/genesis"
)

// A Chain is what a beacon node says of its chain.
type Chain struct {
	Node        string // its address, without a password
	Network     *eth2.Network
	Unscheduled []eth2.ForkName // those that the node knows, and that have no epoch

	// Unknown are forks with an epoch that this release does not know. It cannot
	// sign for the chain once they have begun.
	Unknown []UnknownFork
}

// An UnknownFork is a fork of a later release.
type UnknownFork struct {
	Name  string // as the node spells it
	Epoch eth2.Epoch
}

func (u UnknownFork) String() string {
	return fmt.Sprintf("from epoch %d on the chain has a fork that this release does not know, %.32q: update Secure Signer before then", u.Epoch, u.Name)
}

// Ask returns the chain of the node at an address such as http://127.0.0.1:5052.
func Ask(ctx context.Context, address string) (*Chain, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	n, err := newNode(address)
	if err != nil {
		return nil, err
	}
	return n.chain(ctx)
}

func (n *node) chain(ctx context.Context) (*Chain, error) {
	var (
		spec    map[string]jsontext.Value
		forks   []fork
		genesis genesis
	)
	if err := n.get(ctx, specPath, &spec); err != nil {
		return nil, err
	}
	if err := n.get(ctx, genesisPath, &genesis); err != nil {
		return nil, err
	}
	if err := n.get(ctx, schedulePath, &forks); err != nil {
		return nil, err
	}
	c, err := newChain(plainValues(spec), genesis, forks)
	if err != nil {
		return nil, fmt.Errorf("the beacon node at %s: %w", n, err)
	}
	c.Node = n.String()
	return c, nil
}

type genesis struct {
	Time        eth2.Uint64  `json:"genesis_time"`
	Root        eth2.Root    `json:"genesis_validators_root"`
	ForkVersion eth2.Version `json:"genesis_fork_version"`
}

type fork struct {
	Version eth2.Version `json:"current_version"`
	Epoch   eth2.Epoch   `json:"epoch"`
}

// plainValues keeps what is a string or a number. The rest, such as the list
// BLOB_SCHEDULE, or null for a fork without an epoch, says nothing of what is
// signed.
func plainValues(spec map[string]jsontext.Value) map[string]string {
	kv := make(map[string]string, len(spec))
	for name, value := range spec {
		switch value.Kind() {
		case '"':
			if text, err := jsontext.AppendUnquote(nil, value); err == nil {
				kv[name] = string(text)
			}
		case '0':
			kv[name] = string(value)
		}
	}
	return kv
}

func newChain(spec map[string]string, g genesis, forks []fork) (*Chain, error) {
	if err := checkPresent(spec, g); err != nil {
		return nil, err
	}
	network, err := eth2.NetworkFromSpec(spec)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", specPath, err)
	}
	network.GenesisTime, network.GenesisValidatorsRoot = uint64(g.Time), g.Root
	c := &Chain{Network: network}
	if c.Unscheduled, err = eth2.UnscheduledForks(spec); err != nil {
		return nil, fmt.Errorf("%s: %w", specPath, err)
	}
	if c.Unknown, err = unknownForks(spec, network); err != nil {
		return nil, err
	}
	if network.Forks[0].Version != g.ForkVersion {
		return nil, fmt.Errorf("%s says that the chain began with version %v, %s says %v: ask another node", specPath, network.Forks[0].Version, genesisPath, g.ForkVersion)
	}
	return c, c.compare(forks)
}

// checkPresent refuses answers that lack what must not be filled in.
func checkPresent(spec map[string]string, g genesis) error {
	missing := func(path, key string) error {
		return fmt.Errorf("%s lacks %s: ask another node", path, key)
	}
	for _, key := range []string{"PRESET_BASE", "CONFIG_NAME", "GENESIS_FORK_VERSION"} {
		if spec[key] == "" {
			return missing(specPath, key)
		}
	}
	if spec["SECONDS_PER_SLOT"] == "" && spec["SLOT_DURATION_MS"] == "" {
		return missing(specPath, "SECONDS_PER_SLOT")
	}
	if g.Time == 0 {
		return missing(genesisPath, "genesis_time")
	}
	if g.Root == (eth2.Root{}) {
		return missing(genesisPath, "genesis_validators_root")
	}
	return nil
}

// unknownForks returns the forks with an epoch in spec that the network lacks
// because this release does not know them. All of them are still to come in the
// order of forks.
func unknownForks(spec map[string]string, network *eth2.Network) ([]UnknownFork, error) {
	last := network.Forks[len(network.Forks)-1]
	var unknown []UnknownFork
	for key, text := range spec {
		name, ok := strings.CutSuffix(key, "_FORK_EPOCH")
		if !ok || known(name) {
			continue
		}
		epoch, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %.32q is no epoch", specPath, key, text)
		}
		if eth2.Epoch(epoch) == eth2.FarFuture {
			continue
		}
		if eth2.Epoch(epoch) < last.Epoch {
			return nil, fmt.Errorf("it has a fork %.32q at epoch %d, before %v at %d, which this release does not know: it cannot sign for this chain", name, epoch, last.Fork, last.Epoch)
		}
		unknown = append(unknown, UnknownFork{name, eth2.Epoch(epoch)})
	}
	slices.SortFunc(unknown, func(a, b UnknownFork) int { return strings.Compare(a.Name, b.Name) })
	return unknown, nil
}

// known tells whether a name in capitals is a fork of this release. EIP4844 is
// what Deneb was called until 2023.
func known(name string) bool {
	_, err := eth2.ParseForkName(name)
	return err == nil || name == "EIP4844"
}

// compare refuses a schedule that is not that of the network. Clients differ in
// what they list: all forks or those with an epoch, and of several forks at one
// epoch all or the last alone.
func (c *Chain) compare(forks []fork) error {
	ours := c.Network.Forks
	listed := make([]bool, len(ours))
	for _, f := range forks {
		if f.Epoch == eth2.FarFuture {
			continue
		}
		i := slices.IndexFunc(ours, func(o eth2.ScheduledFork) bool { return o.Version == f.Version })
		switch {
		case i >= 0 && ours[i].Epoch == f.Epoch:
			listed[i] = true
		case i >= 0:
			return fmt.Errorf("%s says that %v is at epoch %d, %s says %d: ask another node", specPath, ours[i].Fork, ours[i].Epoch, schedulePath, f.Epoch)
		case !slices.ContainsFunc(c.Unknown, func(u UnknownFork) bool { return u.Epoch == f.Epoch }):
			return fmt.Errorf("%s has version %v at epoch %d, which %s does not have: ask another node", schedulePath, f.Version, f.Epoch, specPath)
		}
	}
	for i, f := range ours {
		superseded := i+1 < len(ours) && ours[i+1].Epoch == f.Epoch
		if !listed[i] && !superseded {
			return fmt.Errorf("%s has %v at epoch %d, which %s does not have: ask another node", specPath, f.Fork, f.Epoch, schedulePath)
		}
	}
	return nil
}
