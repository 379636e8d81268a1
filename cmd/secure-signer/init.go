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
	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/internal/datadir"
	"github.com/secure-signer/secure-signer/record/journal"
	"github.com/secure-signer/secure-signer/vault"
)

type initFlags struct {
	dataDir     string
	network     string
	genesisRoot string
	genesisTime uint64
	fromBeacon  string
	seal        sealFlags
	release     releaseFlags
	horizon     horizonFlags
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
	f.seal.define(cmd.Flags(), &f.horizon.tpm)
	f.release.define(cmd.Flags())
	f.horizon.define(cmd.Flags())
	return cmd
}

func initialise(ctx context.Context, f initFlags, haveTime bool, stdin io.Reader, stdout, stderr io.Writer) (err error) {
	if f.dataDir == "" || f.network == "" && f.fromBeacon == "" {
		return fmt.Errorf("%w: init needs --data-dir and --network, or --from-beacon", cli.ErrUsage)
	}
	network, err := f.choose(ctx, haveTime, stderr)
	if err != nil {
		return err
	}
	settings := datadir.Settings{Network: network}
	if settings.Binding, err = f.bind(); err != nil {
		return err
	}
	if settings.Binding.Sealing, err = f.seal.platform.keeper(ctx, settings.Binding.Platform); err != nil {
		return err
	}
	inside, err := f.seal.platform.open(ctx, settings.Binding.Platform, settings.Binding.Sealing)
	if err != nil {
		return err
	}
	horizon, err := f.horizon.create(ctx, network, epochBefore(network, time.Now()))
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, horizon.undo())
		}
	}()
	settings.Binding.Horizon = horizon.Keeper
	sealer, err := f.seal.fresh(ctx, inside, f.dataDir, settings, stdin, stderr)
	if err != nil {
		return err
	}
	defer sealer.forget()

	err = datadir.Create(f.dataDir, settings, func(d datadir.Dir) error {
		if err := vault.Create(d.Vault(), sealer); err != nil {
			return advise(err, unchanged)
		}
		v, err := vault.Open(d.Vault(), sealer)
		if err != nil {
			return err
		}
		return errors.Join(journal.Create(d.Journal(), v.DeriveKey(journalKeyLabel)), horizon.keep(d, v), v.Close())
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, `Created %s for network %s.
  vault          no keys yet, sealed by %s
  journal        slashing protection; never copy it to a second running signer
  api-token.txt  what signerctl and the keymanager API authenticate with
%s`, f.dataDir, network.Name, inside.seals(), horizon.shown())
	if _, builtin := eth2.Builtin(f.network); f.fromBeacon != "" || !builtin {
		fmt.Fprintln(stdout, "It signs for this chain alone; compare it with a source that you trust:")
		if err := datadir.Describe(stdout, network); err != nil {
			return err
		}
	}
	fmt.Fprintf(stdout, "Next: secure-signer serve --data-dir %s%s\n", f.dataDir, f.seal.flags(settings.Binding.Platform))
	return nil
}

// bind returns what the flags tie the new folder to.
func (f initFlags) bind() (b datadir.Binding, err error) {
	if b.Platform, err = f.seal.platform.choose(); err != nil {
		return b, err
	}
	if t := f.horizon.tpm; b.Platform != "tpm" && f.horizon.kind != horizonTPM && (t.roots != "" || t.certificate != "" || t.unverified) {
		return b, fmt.Errorf("%w: --tpm-ek-roots, --tpm-ek-cert and --tpm-unverified are for --horizon tpm or --platform tpm", cli.ErrUsage)
	}
	b.Release, err = f.release.parse()
	return b, err
}
