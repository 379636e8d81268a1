package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/beacon"
	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/internal/config"
	"github.com/secure-signer/secure-signer/internal/datadir"
)

// choose returns the network of a new folder: the one that the flags name, or
// that a beacon node follows, or both if they agree.
func (f initFlags) choose(ctx context.Context, haveTime bool, stderr io.Writer) (*eth2.Network, error) {
	if f.fromBeacon == "" {
		return f.named(haveTime)
	}
	chain, err := beacon.Ask(ctx, f.fromBeacon)
	if errors.Is(err, beacon.ErrAddress) {
		err = fmt.Errorf("%w: %w", cli.ErrUsage, err)
	}
	if err != nil {
		return nil, fmt.Errorf("--from-beacon: %w", err)
	}
	for _, u := range chain.Unknown {
		fmt.Fprintf(stderr, "warning: %v\n", u)
	}
	said := chain.Network
	if f.genesisRoot != "" && !strings.EqualFold(f.genesisRoot, said.GenesisValidatorsRoot.String()) || haveTime && f.genesisTime != said.GenesisTime {
		return nil, fmt.Errorf("the beacon node at %s follows the chain with genesis validators root %v and time %d, not the one of your flags: ask another node, or correct them",
			chain.Node, said.GenesisValidatorsRoot, said.GenesisTime)
	}
	if f.network == "" {
		f.network = builtinOf(said)
	}
	if f.network == "" {
		return said, nil
	}
	f.genesisRoot, f.genesisTime = said.GenesisValidatorsRoot.String(), said.GenesisTime
	return f.agreed(chain, stderr)
}

// builtinOf returns the built-in network that has the genesis of said, else the
// one that said is named like, else none.
func builtinOf(said *eth2.Network) string {
	var like string
	for _, name := range eth2.BuiltinNames() {
		n, _ := eth2.Builtin(name)
		if n.GenesisValidatorsRoot == said.GenesisValidatorsRoot {
			return name
		}
		if strings.EqualFold(name, said.Name) {
			like = name
		}
	}
	return like
}

// agreed returns the network that the flags name and a beacon node follows. What
// both schedule must be the same; a built-in network may lack a fork that the
// node has, and have one that the node has not heard of.
func (f initFlags) agreed(chain *beacon.Chain, stderr io.Writer) (*eth2.Network, error) {
	ours, builtin := eth2.Builtin(f.network)
	unscheduled := chain.Unscheduled
	if builtin {
		unscheduled = nil
	} else {
		var err error
		if ours, err = f.named(true); err != nil {
			return nil, err
		}
	}
	said := *chain.Network
	said.Name = ours.Name
	network, added, err := datadir.Reschedule(ours, &said, unscheduled, eth2.FarFuture)
	if err == nil && !builtin && len(added) > 0 {
		err = fmt.Errorf("%w: the node has %v", datadir.ErrOtherChain, added[0])
	}
	if err != nil {
		return nil, fmt.Errorf("network %s and what the beacon node at %s follows do not agree: %w: check both; if the node is right, give a config.yaml of its chain, with a name of its own, by --network, or update Secure Signer",
			f.network, chain.Node, err)
	}
	for _, c := range added {
		fmt.Fprintf(stderr, "the beacon node knows a fork more than this release: %v\n", c)
	}
	return network, nil
}

// named returns the network that the flags name. A name with a slash, a dot or a
// file behind it is a path.
func (f initFlags) named(haveTime bool) (*eth2.Network, error) {
	if n, ok := eth2.Builtin(f.network); ok {
		if f.genesisRoot != "" && !strings.EqualFold(f.genesisRoot, n.GenesisValidatorsRoot.String()) || haveTime && f.genesisTime != n.GenesisTime {
			return nil, fmt.Errorf("%w: network %s is built in with genesis validators root %v and time %d: another chain needs its own config.yaml",
				cli.ErrUsage, f.network, n.GenesisValidatorsRoot, n.GenesisTime)
		}
		return n, nil
	}
	if !strings.ContainsAny(f.network, "./"+string(filepath.Separator)) {
		if _, err := os.Stat(f.network); err != nil {
			return nil, fmt.Errorf("%w: unknown network %q: use one of %s, or the path of a config.yaml", cli.ErrUsage, f.network, strings.Join(eth2.BuiltinNames(), ", "))
		}
	}
	if f.genesisRoot == "" || !haveTime {
		return nil, fmt.Errorf("%w: a network from a file needs --genesis-validators-root and --genesis-time: a beacon node tells both at /eth/v1/beacon/genesis, or give its address with --from-beacon", cli.ErrUsage)
	}
	values, err := config.ReadNetworkFile(f.network)
	if err != nil {
		return nil, err
	}
	n, err := eth2.NetworkFromConfig(values)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.network, err)
	}
	if err := n.GenesisValidatorsRoot.UnmarshalText([]byte(f.genesisRoot)); err != nil {
		return nil, fmt.Errorf("%w: --genesis-validators-root: %w", cli.ErrUsage, err)
	}
	n.GenesisTime = f.genesisTime
	return n, nil
}
