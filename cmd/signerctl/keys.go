package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/management"
)

func (c *tool) keysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Make, import, list and delete keys",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return fmt.Errorf("%w: keys needs generate, import, list or delete", cli.ErrUsage)
		},
	}
	cmd.AddCommand(c.generateCommand(), c.importCommand(), c.listCommand(), c.deleteCommand())
	return cmd
}

func (c *tool) listCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the keys that are held, and what each has signed",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			signer, err := c.client()
			if err != nil {
				return err
			}
			var list management.KeyList
			if err := signer.call(cmd.Context(), answerTime, "GET", "/signer/v1/keys", nil, &list); err != nil {
				return err
			}
			if c.json {
				return c.printJSON(list)
			}
			return c.printKeys(list)
		},
	}
}

func (c *tool) printKeys(list management.KeyList) error {
	if len(list.Keys) == 0 {
		fmt.Fprintln(c.stderr, "No keys: make some with signerctl keys generate, or bring them with signerctl keys import.")
		return nil
	}
	var rows []table.Row
	for _, k := range list.Keys {
		state := "in service"
		if !k.InService {
			state = "NOT in service: " + k.Problem
		}
		rows = append(rows, append(append(table.Row{k.Pubkey}, marks(k.Record)...), state))
	}
	return c.printTable(append(append(table.Row{"key"}, markColumns()...), "state"), rows)
}

// markColumns are the columns that marks fills.
func markColumns() table.Row {
	return table.Row{"last block", "last vote", "floor: block", "floor: vote"}
}

// marks tells what was signed here, and what is not signed because of what may
// have been signed elsewhere.
func marks(r *management.Record) table.Row {
	if r == nil {
		return table.Row{"?", "?", "?", "?"}
	}
	row := table.Row{"-", "-", "-", "-"}
	if b := r.LastBlock; b != nil {
		row[0] = uint64(b.Slot)
	}
	if a := r.LastAttestation; a != nil {
		row[1] = fmt.Sprintf("%d → %d", a.SourceEpoch, a.TargetEpoch)
	}
	if f := r.Floors; f.Slot != nil {
		row[2] = uint64(*f.Slot)
	}
	if f := r.Floors; f.SourceEpoch != nil || f.TargetEpoch != nil {
		row[3] = number(f.SourceEpoch) + " → " + number(f.TargetEpoch)
	}
	return row
}

func number[N ~uint64](n *N) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(uint64(*n))
}

func (c *tool) generateCommand() *cobra.Command {
	var f generateFlags
	cmd := &cobra.Command{
		Use:   "generate",
		Short: "Draw keys inside the signer, or derive them from a mnemonic, and bring them into service",
		Long: "Draw keys at random inside the signer and bring them into service. The secret keys exist nowhere else: " +
			"whoever loses the vault or its passphrase loses them.\n\n" +
			"With --new-mnemonic or --mnemonic-file they are derived here from 24 words on paper, which bring them back on any signer: keys --first-index and following, " +
			"as the deposit tools count them. A key that has been in use elsewhere needs its history, with --slashing-protection; without one it signs nothing before the next epoch.\n\n" +
			"With --attest the signer has to prove first that it is what the policy accepts, and each key comes with its deposit and with evidence that it was " +
			"made inside, for whoever pays the deposit: he checks it with signerctl attest verify, offline and with a nonce of his own.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.count < 1 || f.count > maxCount {
				return fmt.Errorf("%w: --count %d: want 1 to %d", cli.ErrUsage, f.count, maxCount)
			}
			switch {
			case f.words.given():
				return c.generateFromMnemonic(cmd.Context(), f)
			case f.words.needsMnemonic():
				return fmt.Errorf("%w: --first-index, --mnemonic-passphrase-file, --slashing-protection and --password-file belong to --mnemonic-file or --new-mnemonic", cli.ErrUsage)
			case f.attested.policy != "":
				return c.generateAttested(cmd.Context(), f)
			case f.needsAttest():
				return fmt.Errorf("%w: --withdrawal-address, --withdrawal-credentials, --nonce, --out and --collateral-dir belong to --attest, --out also to a mnemonic", cli.ErrUsage)
			}
			signer, err := c.client()
			if err != nil {
				return err
			}
			made, err := c.generate(cmd.Context(), signer, f.count)
			if len(made.Pubkeys) > 0 {
				err = errors.Join(c.printGenerated(made, "take a backup now (signerctl backup FILE), and keep the passphrase apart from it"), err)
			}
			return err
		},
	}
	f.define(cmd)
	return cmd
}

// maxCount keeps a slip of the finger from filling the vault.
const maxCount = 100_000

// generate asks for keys in portions that are answered quickly, and returns also
// those that were made before an error.
func (c *tool) generate(ctx context.Context, signer *client, n int) (management.Generated, error) {
	made := management.Generated{Pubkeys: []bls.PublicKey{}}
	progress := c.progress("generated")
	defer progress.end()
	for len(made.Pubkeys) < n {
		portion := min(n-len(made.Pubkeys), management.MaxGenerate)
		var answer management.Generated
		err := signer.call(ctx, answerTime, "POST", "/signer/v1/keys", management.GenerateRequest{Count: portion}, &answer)
		if refusal := (*answerError)(nil); errors.As(err, &refusal) {
			_ = json.Unmarshal(refusal.body, &answer) // it tells which were made, if any
		}
		made.Pubkeys = append(made.Pubkeys, answer.Pubkeys...)
		if err != nil {
			return made, fmt.Errorf("%d of %d keys were generated: %w", len(made.Pubkeys), n, err)
		}
		progress.report(len(made.Pubkeys), n)
	}
	return made, nil
}

// printGenerated prints the keys, and what to do next.
func (c *tool) printGenerated(made management.Generated, next string) error {
	if c.json {
		return c.printJSON(made)
	}
	for _, pub := range made.Pubkeys {
		if _, err := fmt.Fprintln(c.stdout, pub); err != nil {
			return err
		}
	}
	fmt.Fprintf(c.stderr, "%s in service, and nowhere else: %s.\n", count(len(made.Pubkeys)), next)
	return nil
}
