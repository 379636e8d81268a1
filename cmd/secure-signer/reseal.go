package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/internal/datadir"
	"github.com/secure-signer/secure-signer/tee"
	"github.com/secure-signer/secure-signer/vault"
)

type resealFlags struct {
	dataDir string
	seal    sealFlags
	tpm     tpmFlags
}

func resealCommand() *cobra.Command {
	var f resealFlags
	cmd := &cobra.Command{
		Use:   "reseal --data-dir D --platform P",
		Short: "Seal the vault by trusted hardware instead of a passphrase, or the other way round",
		Long: `Seal the vault by trusted hardware instead of a passphrase, or the other way round.

Cut off at any moment, it goes on when it is run again. A daemon that runs goes on
undisturbed, and is started with the new seal the next time. Keys, slashing
protection, horizon and release keys stay as they are.

It does not make the old seal harmless: whoever has kept a copy of the vault, as the
owner of the machine may have, opens that copy as before.

An enclave or a confidential machine (gramine, tsm, nitro) neither gives up nor takes
in a vault in this way: what its owner could have had, it keeps from nobody. A version
that release keys have signed takes a folder over (hand-over); keys get in by import.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.reseal(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.dataDir, "data-dir", "", "`folder` made by init")
	f.seal.define(flags, &f.tpm)
	f.tpm.define(flags)
	f.tpm.defineTrust(flags)
	return cmd
}

func (f resealFlags) reseal(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) error {
	if f.dataDir == "" || f.seal.platform.name == "" {
		return fmt.Errorf("%w: reseal needs --data-dir and --platform", cli.ErrUsage)
	}
	var now platform
	var next datadir.Settings
	err := datadir.Rebind(f.dataDir, func(d datadir.Folder) (datadir.Binding, error) {
		next = d.Settings
		var err error
		if next.Binding.Platform, err = f.seal.platform.choose(); err != nil {
			return next.Binding, err
		}
		if next.Binding.Sealing, err = f.seal.platform.keeper(ctx, next.Binding.Platform); err != nil {
			return next.Binding, err
		}
		if err := mayMove(d, next.Binding.Platform); err != nil {
			return next.Binding, err
		}
		now, err = f.move(ctx, d, next, stdin, stderr)
		return next.Binding, err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, `The vault of %s is sealed by %s.
  old copies     of the vault, backups among them, open as before: delete them
  the daemon     goes on if it runs, and is started with the new seal the next time
Next: secure-signer serve --data-dir %s%s
`, f.dataDir, now.seals(), f.dataDir, f.seal.flags(next.Binding.Platform))
	return nil
}

// mayMove refuses to take a vault out of hardware whose owner must not have the
// keys: it is he who runs this command. It refuses as well to bring one in, because
// the data key stays: whoever had it would read what is imported later.
func mayMove(d datadir.Folder, next string) error {
	was := d.Binding.Platform
	switch {
	case was == next:
		return fmt.Errorf("%s is sealed by platform %s already", d.Path(), named(was))
	case guards(was):
		return fmt.Errorf("%s is sealed by platform %s, to keep the keys from whoever owns the machine: only a version that the release keys have signed takes it over: secure-signer hand-over", d.Path(), was)
	case guards(next):
		return fmt.Errorf("what %s holds was open to whoever owns the machine, so that platform %s would keep it from nobody, and new keys neither: make a new folder there, stop this signer for good, and import the keys with their history: secure-signer init --data-dir NEW --platform %s, signerctl slashing export, signerctl keys import", d.Path(), next, next)
	}
	return nil
}

// move wraps the vault's data key anew. The vault changes before config.yaml says
// so: if it was cut off in between, the vault opens by the next seal already.
func (f resealFlags) move(ctx context.Context, d datadir.Folder, next datadir.Settings, stdin io.Reader, stderr io.Writer) (platform, error) {
	was, err := f.seal.platform.open(ctx, d.Binding.Platform, d.Binding.Sealing)
	if err != nil {
		return platform{}, err
	}
	now, err := f.seal.platform.open(ctx, next.Binding.Platform, next.Binding.Sealing)
	if err != nil {
		return platform{}, err
	}
	if was.Platform != nil && now.Platform != nil {
		if err := f.seal.needless(f.dataDir, now); err != nil {
			return platform{}, err
		}
	}
	old := was.seal(d.Settings)
	if old == nil {
		var warning string
		if old, warning, err = f.seal.existing(ctx, was, f.dataDir, d.Settings, stdin, stderr); err != nil {
			return platform{}, err
		}
		if warning != "" {
			fmt.Fprintln(stderr, "warning:", warning)
		}
	}
	defer old.forget()
	fresh := now.seal(next)
	if fresh == nil {
		if fresh, err = f.seal.fresh(ctx, now, f.dataDir, next, stdin, stderr); err != nil {
			return platform{}, err
		}
	}
	defer fresh.forget()
	err = vault.Rewrap(d.Vault(), old, fresh)
	if sealedOtherwise(err) && opens(d.Vault(), fresh) == nil {
		err = nil
	}
	return now, advise(err, unchanged)
}

// sealedOtherwise tells whether a vault is whole and sealed by something else.
func sealedOtherwise(err error) bool {
	return errors.Is(err, vault.ErrNoPassphrase) || errors.Is(err, vault.ErrWrongPassphrase) || errors.Is(err, tee.ErrNotSealed) || errors.Is(err, tee.ErrOtherSeal)
}
