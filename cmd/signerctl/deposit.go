package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/deposit"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/cli"
)

type depositFlags struct {
	keys        []string
	address     string
	compounding bool
	amount      string
	out         string
}

func (c *tool) depositCommand() *cobra.Command {
	var f depositFlags
	cmd := &cobra.Command{
		Use:   "deposit --key PUBKEY... --withdrawal-address 0x...",
		Short: "Have keys sign the deposits that make them validators",
		Long: "Have keys in service sign the deposits that make them validators, and write the deposit_data file that the launchpad takes, for the signer's network. " +
			"The stake goes back to the withdrawal address and nowhere else, and nobody can ever change that. Each signature is verified before the file is kept.\n\n" +
			"The signer must run with --allow DEPOSIT: run it without again when the file is written.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.deposit(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&f.keys, "key", nil, "public `key` of the validator; may be repeated")
	flags.StringVar(&f.address, "withdrawal-address", "", "execution `address` that the stake goes back to")
	flags.BoolVar(&f.compounding, "compounding", false, "credentials of type 0x02, up to 2048 ETH, instead of 0x01")
	flags.StringVar(&f.amount, "amount", "32", "of each deposit, in `ETH` as the beacon chain counts it (32 for 1 GNO on Gnosis)")
	flags.StringVar(&f.out, "out", "", "new `file`; deposit_data-<time>.json if left out")
	return cmd
}

// terms are what each key signs.
func (f *depositFlags) terms() (keys []bls.PublicKey, m eth2.Deposit, err error) {
	if keys, err = publicKeys(f.keys); err != nil {
		return nil, m, err
	}
	if len(keys) == 0 || f.address == "" {
		return nil, m, fmt.Errorf("%w: deposit needs --key and --withdrawal-address", cli.ErrUsage)
	}
	if m.WithdrawalCredentials, err = withdrawalCredentials(f.address, f.compounding); err != nil {
		return nil, m, fmt.Errorf("%w: --withdrawal-address: %w", cli.ErrUsage, err)
	}
	amount, err := parseEther(f.amount)
	if err == nil {
		err = deposit.CheckTerms(m.WithdrawalCredentials, amount)
	}
	if err != nil {
		return nil, m, fmt.Errorf("%w: --amount %s: %w", cli.ErrUsage, f.amount, err)
	}
	m.Amount = eth2.Gwei(amount)
	return keys, m, nil
}

func (c *tool) deposit(ctx context.Context, f depositFlags) error {
	keys, terms, err := f.terms()
	if err != nil {
		return err
	}
	signer, err := c.client()
	if err != nil {
		return err
	}
	n, _, err := c.network(ctx, signer)
	if err != nil {
		return fmt.Errorf("nothing was signed: %w", err)
	}
	terms.GenesisForkVersion = n.Forks[0].Version
	if f.out == "" {
		f.out = fmt.Sprintf("deposit_data-%d.json", time.Now().Unix())
	}
	file, err := createNew(f.out)
	if err != nil {
		return fmt.Errorf("nothing was signed: %w", err)
	}
	var deposits []*deposit.Data
	err = file.fill(func(w io.Writer) error {
		if deposits, err = c.signDeposits(ctx, signer, n, keys, terms); err != nil {
			return err
		}
		return writeJSON(w, deposits)
	})
	if err != nil {
		return fmt.Errorf("no deposit was written: %w", err)
	}
	return c.printDeposits(f, n, deposits)
}

func (c *tool) signDeposits(ctx context.Context, signer *client, n *eth2.Network, keys []bls.PublicKey, terms eth2.Deposit) ([]*deposit.Data, error) {
	var deposits []*deposit.Data
	progress := c.progress("signed")
	defer progress.end()
	for i, key := range keys {
		m := terms
		m.Pubkey = eth2.PublicKey(key)
		signature, err := signer.sign(ctx, n, key, &m)
		if err != nil {
			return nil, err
		}
		d := deposit.New(&m, signature, n.Name)
		if err := d.Check(); err != nil { // as whoever pays will: it does not trust what was signed above
			return nil, err
		}
		deposits = append(deposits, d)
		progress.report(i+1, len(keys))
	}
	return deposits, nil
}

func (c *tool) printDeposits(f depositFlags, n *eth2.Network, deposits []*deposit.Data) error {
	if c.json {
		return c.printJSON(struct {
			File     string          `json:"file"`
			Deposits []*deposit.Data `json:"deposits"`
		}{f.out, deposits})
	}
	var rows []table.Row
	for _, d := range deposits {
		rows = append(rows, table.Row{"0x" + d.Pubkey.String(), f.amount, "0x" + d.WithdrawalCredentials.String(), n.Name})
	}
	err := c.printTable(table.Row{"key", "ETH", "withdrawal credentials", "network"}, rows)
	address := checksummed(eth2.Address(deposits[0].WithdrawalCredentials[12:]))
	fmt.Fprintf(c.stderr, "Written to %s. Make sure that %s is yours before you pay: the stake goes back there alone, for ever. Then restart the signer without --allow DEPOSIT.\n", f.out, address)
	return err
}
