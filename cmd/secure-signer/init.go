package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/internal/config"
	"github.com/secure-signer/secure-signer/internal/datadir"
	"github.com/secure-signer/secure-signer/record/journal"
	"github.com/secure-signer/secure-signer/vault"
)

type initFlags struct {
	dataDir        string
	network        string
	genesisRoot    string
	genesisTime    uint64
	fromBeacon     string
	passphraseFile string
}

func initCommand() *cobra.Command {
	var f initFlags
	cmd := &cobra.Command{
		Use:   "init --data-dir D (--network N | --from-beacon URL)",
		Short: "Create a data folder: its network, an empty vault and an empty journal",
		Long: `Create a data folder: its network, an empty vault and an empty journal.

The network is one that is built in, or that of a config.yaml, or the one that a
beacon node follows. What a node or a file says is printed: compare it with a
source that you trust, because the folder will sign for that chain and for no
other.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return initialise(cmd.Context(), f, cmd.Flags().Changed("genesis-time"), cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&f.dataDir, "data-dir", "", "the `folder` to create")
	cmd.Flags().StringVar(&f.network, "network", "", "one of "+strings.Join(eth2.BuiltinNames(), ", ")+", or the path of a config.yaml")
	cmd.Flags().StringVar(&f.fromBeacon, "from-beacon", "", "`address` of a beacon node that says which network it is; with --network both must agree")
	cmd.Flags().StringVar(&f.genesisRoot, "genesis-validators-root", "", "of a network from a file: 0x and 64 hex `digits`; else the network must have it")
	cmd.Flags().Uint64Var(&f.genesisTime, "genesis-time", 0, "of a network from a file: unix `seconds`; else the network must have it")
	cmd.Flags().StringVar(&f.passphraseFile, "passphrase-file", "", "`file` with the passphrase that seals the vault; else the systemd credential "+credential+", else asked for")
	return cmd
}

func initialise(ctx context.Context, f initFlags, haveTime bool, stdin io.Reader, stdout, stderr io.Writer) error {
	if f.dataDir == "" || f.network == "" && f.fromBeacon == "" {
		return fmt.Errorf("%w: init needs --data-dir and --network, or --from-beacon", cli.ErrUsage)
	}
	network, err := f.choose(ctx, haveTime, stderr)
	if err != nil {
		return err
	}
	passphrase, err := config.NewPassphrase(ctx, f.passphraseFile, credential, stdin, stderr)
	if err != nil {
		return err
	}
	defer clear(passphrase)

	err = datadir.Create(f.dataDir, datadir.Settings{Network: network}, func(d datadir.Dir) error {
		sealer := vault.Passphrase(passphrase)
		if err := vault.Create(d.Vault(), sealer); err != nil {
			return err
		}
		v, err := vault.Open(d.Vault(), sealer)
		if err != nil {
			return err
		}
		return errors.Join(journal.Create(d.Journal(), v.DeriveKey(journalKeyLabel)), v.Close())
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, `Created %s for network %s.
  vault          no keys yet, sealed by your passphrase: without it they are lost
  journal        slashing protection; never copy it to a second running signer
  api-token.txt  what signerctl and the keymanager API authenticate with
`, f.dataDir, network.Name)
	if _, builtin := eth2.Builtin(f.network); f.fromBeacon != "" || !builtin {
		fmt.Fprintln(stdout, "It signs for this chain alone; compare it with a source that you trust:")
		if err := datadir.Describe(stdout, network); err != nil {
			return err
		}
	}
	fmt.Fprintf(stdout, "Next: secure-signer serve --data-dir %s%s\n", f.dataDir, passphraseFlag(f.passphraseFile))
	return nil
}

// passphraseFlag repeats the flag in advice.
func passphraseFlag(file string) string {
	if file == "" {
		return ""
	}
	return " --passphrase-file " + file
}
