package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/internal/durable"
)

const aboutExits = "A signed exit ends a validator's service for good as soon as anybody sends it to a beacon node, from its epoch on and for ever after (EIP-7044): " +
	"keep it as you would keep the key. It is in the form that beacon nodes take at /eth/v1/beacon/pool/voluntary_exits, and verified before it is kept.\n\n" +
	"The signer must run with --allow VOLUNTARY_EXIT: run it without again afterwards."

func (c *tool) exitCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "exit",
		Short: "Sign exits, to be sent now or kept",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return fmt.Errorf("%w: exit needs sign or presign", cli.ErrUsage)
		},
	}
	cmd.AddCommand(c.exitSignCommand(), c.exitPresignCommand())
	return cmd
}

// An exiting validator is a key and the number that the chain gave it.
type exiting struct {
	key   bls.PublicKey
	index eth2.ValidatorIndex
}

func (c *tool) exitSignCommand() *cobra.Command {
	var key, out string
	var index, epoch uint64
	cmd := &cobra.Command{
		Use:   "sign --key PUBKEY --validator-index N",
		Short: "Sign the exit of a validator",
		Long:  "Sign the exit of a validator. " + aboutExits,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if key == "" || !cmd.Flags().Changed("validator-index") {
				return fmt.Errorf("%w: exit sign needs --key and --validator-index", cli.ErrUsage)
			}
			pub, err := bls.ParsePublicKey(key)
			if err != nil {
				return fmt.Errorf("%w: --key: %w", cli.ErrUsage, err)
			}
			return c.exitSign(cmd.Context(), exiting{pub, eth2.ValidatorIndex(index)}, chosen(cmd, &epoch), out)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&key, "key", "", "public `key` of the validator")
	flags.Uint64Var(&index, "validator-index", 0, "its `number` on the chain")
	flags.Uint64Var(&epoch, "epoch", 0, "first `epoch` in which the exit counts; the present one if left out")
	flags.StringVar(&out, "out", "", "new `file`, instead of standard output")
	return cmd
}

func (c *tool) exitPresignCommand() *cobra.Command {
	var list, out string
	var epoch uint64
	cmd := &cobra.Command{
		Use:   "presign --validators FILE --out DIR",
		Short: "Sign the exits of many validators, to be kept",
		Long:  "Sign the exits of many validators, into a file for each: signed_exit_transaction-<index>.json. " + aboutExits,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if list == "" || out == "" {
				return fmt.Errorf("%w: exit presign needs --validators and --out", cli.ErrUsage)
			}
			return c.exitPresign(cmd.Context(), list, chosen(cmd, &epoch), out)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&list, "validators", "", "`file` with a validator on each line: public key, space, number on the chain")
	flags.Uint64Var(&epoch, "epoch", 0, "first `epoch` in which the exits count; the present one if left out")
	flags.StringVar(&out, "out", "", "new `folder` for the exits")
	return cmd
}

// chosen is the epoch that was given, or nil.
func chosen(cmd *cobra.Command, epoch *uint64) *eth2.Epoch {
	if !cmd.Flags().Changed("epoch") {
		return nil
	}
	return (*eth2.Epoch)(epoch)
}

func (c *tool) exitSign(ctx context.Context, v exiting, epoch *eth2.Epoch, out string) error {
	s, err := c.exitSigner(ctx, epoch)
	if err != nil {
		return fmt.Errorf("nothing was signed: %w", err)
	}
	if out != "" {
		err = s.keep(ctx, v, out)
	} else {
		var exit *eth2.SignedVoluntaryExit
		if exit, err = s.sign(ctx, v); err == nil {
			err = c.printJSON(exit)
		}
	}
	if err == nil {
		fmt.Fprintf(c.stderr, "Whoever has this exit can end the service of validator %d, from epoch %d on: restart the signer without --allow VOLUNTARY_EXIT.\n", v.index, s.epoch)
	}
	return err
}

func (c *tool) exitPresign(ctx context.Context, list string, epoch *eth2.Epoch, out string) error {
	validators, err := readValidators(list)
	if err != nil {
		return fmt.Errorf("nothing was signed: --validators: %w", err)
	}
	s, err := c.exitSigner(ctx, epoch)
	if err != nil {
		return fmt.Errorf("nothing was signed: %w", err)
	}
	if err := os.Mkdir(out, 0o700); err != nil {
		return fmt.Errorf("nothing was signed: --out: %w", err)
	}
	if err := c.keepExits(ctx, s, validators, out); err != nil {
		return err
	}
	if err := durable.SyncDir(filepath.Dir(out)); err != nil {
		return err
	}
	fmt.Fprintf(c.stderr, "Exits for epoch %d are in %s, %d of them. Whoever has one can end that validator's service: keep them apart, and restart the signer without --allow VOLUNTARY_EXIT.\n", s.epoch, out, len(validators))
	return nil
}

// keepExits signs into a file for each validator. Those that are there when an error
// comes are good, and stay.
func (c *tool) keepExits(ctx context.Context, s *exitSigner, validators []exiting, out string) error {
	progress := c.progress("signed")
	defer progress.end()
	for i, v := range validators {
		// The name is the deposit tool's, but for the time.
		err := s.keep(ctx, v, filepath.Join(out, fmt.Sprintf("signed_exit_transaction-%d.json", v.index)))
		switch {
		case err != nil && i == 0:
			return errors.Join(err, os.Remove(out))
		case err != nil:
			return fmt.Errorf("%d of %d exits are in %s: %w", i, len(validators), out, err)
		}
		progress.report(i+1, len(validators))
	}
	return nil
}

// readValidators reads keys and numbers. That a key comes twice, or a number does,
// is a mistake in one of the lines.
func readValidators(path string) ([]exiting, error) {
	text, err := readFile(path, maxInterchange)
	if err != nil {
		return nil, err
	}
	var validators []exiting
	keys, indices := map[bls.PublicKey]bool{}, map[eth2.ValidatorIndex]bool{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) != 2 {
			return nil, fmt.Errorf("%s:%d: want a public key, a space and a number", path, n)
		}
		key, err := bls.ParsePublicKey(fields[0])
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, n, err)
		}
		number, err := strconv.ParseUint(fields[1], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %.40q is not a validator's number", path, n, fields[1])
		}
		index := eth2.ValidatorIndex(number)
		if keys[key] || indices[index] {
			return nil, fmt.Errorf("%s:%d: this key or this number has come before", path, n)
		}
		keys[key], indices[index] = true, true
		validators = append(validators, exiting{key, index})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(validators) == 0 {
		return nil, fmt.Errorf("%s names no validators", path)
	}
	return validators, nil
}

// An exitSigner has exits signed by a signer, for its network.
type exitSigner struct {
	signer  *client
	network *eth2.Network
	fork    eth2.ForkInfo
	epoch   eth2.Epoch
}

func (c *tool) exitSigner(ctx context.Context, epoch *eth2.Epoch) (*exitSigner, error) {
	signer, err := c.client()
	if err != nil {
		return nil, err
	}
	n, status, err := c.network(ctx, signer)
	if err != nil {
		return nil, err
	}
	if epoch == nil {
		if epoch = status.Epoch; epoch == nil {
			return nil, fmt.Errorf("%w: give --epoch: the signer does not know the present one", cli.ErrUsage)
		}
	}
	fork, err := exitFork(n)
	if err != nil {
		return nil, err
	}
	return &exitSigner{signer, n, fork, *epoch}, nil
}

// exitFork is what an exit is signed under: Capella's version for ever, on chains
// that have come to Deneb. What is signed before may be void then. Source: EIP-7044.
func exitFork(n *eth2.Network) (f eth2.ForkInfo, err error) {
	at := func(name eth2.ForkName) int {
		return slices.IndexFunc(n.Forks, func(s eth2.ScheduledFork) bool { return s.Fork == name && s.Epoch != eth2.FarFuture })
	}
	capella, deneb := at(eth2.Capella), at(eth2.Deneb)
	if capella < 0 || deneb < 0 {
		return f, fmt.Errorf("%s has no Deneb yet: an exit would be void from then on", n.Name)
	}
	version := n.Forks[capella].Version
	f.Fork = eth2.Fork{PreviousVersion: version, CurrentVersion: version, Epoch: n.Forks[capella].Epoch}
	f.GenesisValidatorsRoot = n.GenesisValidatorsRoot
	return f, nil
}

func (s *exitSigner) sign(ctx context.Context, v exiting) (*eth2.SignedVoluntaryExit, error) {
	m := &eth2.VoluntaryExit{ForkInfo: s.fork, Data: eth2.VoluntaryExitData{Epoch: s.epoch, ValidatorIndex: v.index}}
	signature, err := s.signer.sign(ctx, s.network, v.key, m)
	if err != nil {
		return nil, fmt.Errorf("validator %d: %w", v.index, err)
	}
	return &eth2.SignedVoluntaryExit{Message: m.Data, Signature: signature}, nil
}

// keep signs an exit into a new file.
func (s *exitSigner) keep(ctx context.Context, v exiting, file string) error {
	exit, err := s.sign(ctx, v)
	if err != nil {
		return err
	}
	return keepNew(file, exit)
}
