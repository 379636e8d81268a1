package main

import (
	"context"
	"fmt"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/management"
)

func (c *tool) explainCommand() *cobra.Command {
	var epoch, slot, source, target uint64
	cmd := &cobra.Command{
		Use:   "explain PUBKEY [--epoch N | --slot N | --source N --target N]",
		Short: "Tell whether a key may sign, and if not, why and until when",
		Long: "Ask the signer what it would say right now to a block and an attestation of an epoch, by default the present one, to a block of one slot, " +
			"or to one attestation. Nothing is signed or recorded. For an epoch it asks for the first block of it, or of what is left of it, and for the attestation with the latest source that there can be. " +
			"Whether a client may ask at all is not looked at. The exit code is 0 whatever the answer is.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			pubs, err := publicKeys(args)
			if err != nil {
				return err
			}
			given := cmd.Flags().Changed
			vote := given("source") || given("target")
			if given("source") != given("target") || given("epoch") && (given("slot") || vote) || given("slot") && vote {
				return fmt.Errorf("%w: slashing explain needs one of --epoch, --slot, or --source and --target together, or none for now", cli.ErrUsage)
			}
			about := make(url.Values)
			for name, n := range map[string]uint64{"epoch": epoch, "slot": slot, "source": source, "target": target} {
				if given(name) {
					about.Set(name, strconv.FormatUint(n, 10))
				}
			}
			return c.explain(cmd.Context(), pubs[0], about)
		},
	}
	flags := cmd.Flags()
	flags.Uint64Var(&epoch, "epoch", 0, "the duties of this `epoch`")
	flags.Uint64Var(&slot, "slot", 0, "a block of this `slot`")
	flags.Uint64Var(&source, "source", 0, "an attestation from this `epoch`")
	flags.Uint64Var(&target, "target", 0, "an attestation to this `epoch`")
	return cmd
}

func (c *tool) explain(ctx context.Context, pub bls.PublicKey, about url.Values) error {
	signer, err := c.client()
	if err != nil {
		return err
	}
	path := "/signer/v1/slashing/" + pub.String() + "/verdict"
	if len(about) > 0 {
		path += "?" + about.Encode()
	}
	var v management.Verdict
	if err := signer.call(ctx, answerTime, "GET", path, nil, &v); err != nil {
		return err
	}
	if c.json {
		return c.printJSON(v)
	}
	if b := v.Block; b != nil {
		what := fmt.Sprintf("a block of slot %d", b.Slot)
		fmt.Fprintln(c.stdout, cli.Printable(answerLine(what, b.Judgement, "slot", b.FromSlot)))
	}
	if a := v.Attestation; a != nil {
		what := fmt.Sprintf("an attestation from epoch %d to epoch %d", a.SourceEpoch, a.TargetEpoch)
		fmt.Fprintln(c.stdout, cli.Printable(answerLine(what, a.Judgement, "epoch", a.FromEpoch)))
	}
	return nil
}

// answerLine is "no: a block of slot 5: below_floor: …, from slot 9 on (2025-03-17T12:11:48Z)".
func answerLine[N ~uint64](what string, j management.Judgement, unit string, from *N) string {
	if j.Allowed {
		return "yes: " + what
	}
	line := fmt.Sprintf("no: %s: %s: %s", what, j.Reason, j.Message)
	if from == nil {
		return line
	}
	line += fmt.Sprintf(", from %s %d on", unit, *from)
	if j.FromTime != "" {
		line += " (" + j.FromTime + ")"
	}
	return line
}
