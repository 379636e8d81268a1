package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/spf13/cobra"

	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/management"
)

type raiseFlags struct {
	toNow, all, yes      bool
	slot, source, target uint64
}

func (c *tool) raiseCommand() *cobra.Command {
	var f raiseFlags
	cmd := &cobra.Command{
		Use:   "raise (--to-now | --slot N --source-epoch N --target-epoch N) (PUBKEY... | --all)",
		Short: "Forbid what keys may have signed elsewhere",
		Long: "Raise the floors of keys: no block at or below the slot, no attestation to the target epoch or below, none from below the source epoch is ever signed again, " +
			"not even one that was signed here before. Use it when a key has signed where its history was lost, for instance after an old copy of the data folder had to be used. " +
			"With --to-now it forbids all that any signer with this clock may have signed until now, which costs the keys an epoch or two of attestations. " +
			"Floors that are higher already stay. A floor is never lowered.",
		RunE: func(cmd *cobra.Command, args []string) error {
			req, err := f.request(cmd, args)
			if err != nil {
				return err
			}
			return c.raise(cmd.Context(), req, f.yes)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.toNow, "to-now", false, "forbid all that may have been signed until now")
	flags.Uint64Var(&f.slot, "slot", 0, "no block at this `slot` or below")
	flags.Uint64Var(&f.source, "source-epoch", 0, "no attestation from below this `epoch`")
	flags.Uint64Var(&f.target, "target-epoch", 0, "no attestation to this `epoch` or below")
	flags.BoolVar(&f.all, "all", false, "every key that the signer has a record of, also those that are not held")
	flags.BoolVar(&f.yes, "yes", false, "do not ask")
	return cmd
}

// request returns what the flags ask for, if that is clear.
func (f *raiseFlags) request(cmd *cobra.Command, args []string) (management.RaiseRequest, error) {
	var req management.RaiseRequest
	var err error
	if req.Pubkeys, err = publicKeys(args); err != nil {
		return req, err
	}
	given := cmd.Flags().Changed
	numbers := given("slot") || given("source-epoch") || given("target-epoch")
	switch {
	case f.all == (len(args) > 0):
		return req, fmt.Errorf("%w: slashing raise needs either keys or --all", cli.ErrUsage)
	case f.toNow == numbers:
		return req, fmt.Errorf("%w: slashing raise needs either --to-now, or at least one of --slot, --source-epoch and --target-epoch", cli.ErrUsage)
	}
	if f.toNow {
		now := management.ToNow
		req.To = &now
	}
	if given("slot") {
		req.Slot = (*eth2.Slot)(&f.slot)
	}
	if given("source-epoch") {
		req.SourceEpoch = (*eth2.Epoch)(&f.source)
	}
	if given("target-epoch") {
		req.TargetEpoch = (*eth2.Epoch)(&f.target)
	}
	return req, nil
}

func (c *tool) raise(ctx context.Context, req management.RaiseRequest, yes bool) error {
	signer, err := c.client()
	if err != nil {
		return err
	}
	var status management.Status
	if err := signer.call(ctx, answerTime, "GET", "/signer/v1/status", nil, &status); err != nil {
		return err
	}
	if err := c.confirm(ctx, consequence(req, status.Network), yes); err != nil {
		return err
	}
	var raised management.Raised
	patience := answerTime + time.Duration(len(req.Pubkeys))*time.Second
	if err := signer.call(ctx, max(patience, 10*answerTime), "POST", "/signer/v1/slashing/raise", req, &raised); err != nil {
		return err
	}
	if c.json {
		return c.printJSON(raised)
	}
	floors := sentence(raised.Floors)
	if floors == "" {
		return errors.New("nothing was raised: the chain has not begun, so nothing can have been signed")
	}
	_, err = fmt.Fprintf(c.stdout, "%s: %s. Floors that were higher stay.\n", count(raised.Keys), floors)
	return err
}

// consequence says what a raise means, and for how long, before it is made.
func consequence(req management.RaiseRequest, network management.Network) string {
	who := "every key that the signer has a record of"
	if req.Pubkeys != nil {
		who = count(len(req.Pubkeys))
	}
	if req.To != nil {
		return fmt.Sprintf("Whatever may have been signed until now will never be signed again with %s. They sign again in an epoch or two. This cannot be undone.", who)
	}
	floors := management.Floors{Slot: req.Slot, SourceEpoch: req.SourceEpoch, TargetEpoch: req.TargetEpoch}
	return fmt.Sprintf("With %s: %s, ever again. %s This cannot be undone.", who, sentence(floors), when(floors, network))
}

// when says when the chain will have passed floors. A slip of a digit is easily
// made, and lasts.
func when(f management.Floors, n management.Network) string {
	if n.Slot == nil || n.SecondsPerSlot == 0 || n.SlotsPerEpoch == 0 {
		return "The signer's clock does not tell when the chain will have passed that."
	}
	var last float64 // the last slot that is forbidden
	if f.Slot != nil {
		last = float64(*f.Slot)
	}
	for _, e := range []*eth2.Epoch{f.SourceEpoch, f.TargetEpoch} {
		if e != nil {
			last = math.Max(last, (float64(*e)+1)*float64(n.SlotsPerEpoch)-1)
		}
	}
	wait := (last + 1 - float64(*n.Slot)) * float64(n.SecondsPerSlot)
	switch {
	case wait <= 0:
		return "The chain has passed that."
	case wait > (100 * 365 * 24 * time.Hour).Seconds():
		return "THE CHAIN WILL NOT HAVE PASSED THAT IN A HUNDRED YEARS: the keys are then useless."
	}
	until := time.Now().Add(time.Duration(wait * float64(time.Second)))
	return fmt.Sprintf("The chain will have passed that at %s, in %v.", until.UTC().Format(time.RFC3339), time.Duration(wait)*time.Second)
}
