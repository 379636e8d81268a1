package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
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
	passphraseFile string
}

func initCommand() *cobra.Command {
	var f initFlags
	cmd := &cobra.Command{
		Use:   "init --data-dir D --network N",
		Short: "Create a data folder: its network, an empty vault and an empty journal",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return initialise(cmd.Context(), f, cmd.Flags().Changed("genesis-time"), cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&f.dataDir, "data-dir", "", "the `folder` to create")
	cmd.Flags().StringVar(&f.network, "network", "", "one of "+strings.Join(eth2.BuiltinNames(), ", ")+", or the path of a config.yaml")
	cmd.Flags().StringVar(&f.genesisRoot, "genesis-validators-root", "", "of a network from a file: 0x and 64 hex `digits`")
	cmd.Flags().Uint64Var(&f.genesisTime, "genesis-time", 0, "of a network from a file: unix `seconds`")
	cmd.Flags().StringVar(&f.passphraseFile, "passphrase-file", "", "`file` with the passphrase that seals the vault; else the systemd credential "+credential+", else asked for")
	return cmd
}

func initialise(ctx context.Context, f initFlags, haveTime bool, stdin io.Reader, stdout, stderr io.Writer) error {
	if f.dataDir == "" || f.network == "" {
		return fmt.Errorf("%w: init needs --data-dir and --network", cli.ErrUsage)
	}
	network, err := f.resolve(haveTime)
	if err != nil {
		return err
	}
	passphrase, err := config.NewPassphrase(ctx, f.passphraseFile, credential, stdin, stderr)
	if err != nil {
		return err
	}
	defer clear(passphrase)

	err = datadir.Create(f.dataDir, network, func(d datadir.Dir) error {
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

Next: secure-signer serve --data-dir %s%s
`, f.dataDir, network.Name, f.dataDir, f.passphraseFlag())
	return nil
}

func (f initFlags) passphraseFlag() string {
	if f.passphraseFile == "" {
		return ""
	}
	return " --passphrase-file " + f.passphraseFile
}

// resolve returns the network that the flags name. A name with a slash, a dot
// or a file behind it is a path.
func (f initFlags) resolve(haveTime bool) (*eth2.Network, error) {
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
		return nil, fmt.Errorf("%w: a network from a file needs --genesis-validators-root and --genesis-time: a beacon node tells both at /eth/v1/beacon/genesis", cli.ErrUsage)
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
