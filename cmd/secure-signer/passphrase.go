package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/internal/config"
	"github.com/secure-signer/secure-signer/internal/datadir"
	"github.com/secure-signer/secure-signer/vault"
)

// newCredential names the systemd credential that holds the next passphrase.
const newCredential = "secure-signer-new-passphrase"

type passphraseFlags struct {
	dataDir string
	oldFile string
	newFile string
}

func passphraseCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "passphrase",
		Short: "Change the passphrase of a data folder",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return fmt.Errorf("%w: passphrase needs change", cli.ErrUsage)
		},
	}
	cmd.AddCommand(passphraseChangeCommand())
	return cmd
}

func passphraseChangeCommand() *cobra.Command {
	var f passphraseFlags
	cmd := &cobra.Command{
		Use:   "change --data-dir D",
		Short: "Seal the vault by another passphrase",
		Long: `Seal the vault by another passphrase, and drop what is left in it of deleted keys.

Cut off at any moment, it leaves a vault that one of the two passphrases opens.
A daemon that runs goes on undisturbed and needs the new passphrase at its next
start. Keys and slashing protection stay as they are.

It does not make a lost passphrase harmless: whoever has an old copy of the vault
opens that copy with the old passphrase. Delete the copies, backups among them.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.change(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&f.dataDir, "data-dir", "", "`folder` made by init")
	cmd.Flags().StringVar(&f.oldFile, "passphrase-file", "", "`file` with the present passphrase; else the systemd credential "+credential+", else asked for; it stays as it is")
	cmd.Flags().StringVar(&f.newFile, "new-passphrase-file", "", "`file` with the next passphrase; else the systemd credential "+newCredential+", else asked for, twice")
	return cmd
}

func (f passphraseFlags) change(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) error {
	if f.dataDir == "" {
		return fmt.Errorf("%w: passphrase change needs --data-dir", cli.ErrUsage)
	}
	d, err := datadir.Open(f.dataDir)
	if err != nil {
		return err
	}
	if p := d.Binding.Platform; p != "" {
		return fmt.Errorf("%s is sealed by platform %s and has no passphrase: there is none to change", f.dataDir, p)
	}
	if err := d.CheckOwner(); err != nil {
		return err
	}
	old, warning, err := config.Passphrase(ctx, f.oldFile, credential, stdin, stderr)
	if err != nil {
		return err
	}
	defer clear(old)
	if warning != "" {
		fmt.Fprintf(stderr, "warning: %s\n", warning)
	}
	if f.newFile == "" { // a wrong one is noticed before anyone thinks up another
		if err := opens(d.Vault(), vault.Passphrase(old)); err != nil {
			return advise(err, unchanged)
		}
	}
	next, err := config.NewPassphrase(ctx, f.newFile, newCredential, stdin, stderr)
	if errors.Is(err, config.ErrNoTerminal) {
		return errors.New("no new passphrase: give --new-passphrase-file, or run on a terminal to be asked; nothing was changed")
	}
	if err != nil {
		return err
	}
	defer clear(next)
	if err := vault.Rewrap(d.Vault(), vault.Passphrase(old), vault.Passphrase(next)); err != nil {
		return advise(err, unchanged)
	}
	if bytes.Equal(old, next) {
		fmt.Fprintf(stdout, "The passphrase of %s is the one that it was. The vault is written anew, without what was left of deleted keys.\n", f.dataDir)
		return nil
	}
	fmt.Fprintf(stdout, `The vault of %s is sealed by the new passphrase.
  the old one    opens it no more; it still opens old copies of the vault: delete them
  the daemon     goes on if it runs, and needs the new one at its next start
Next: put the new passphrase where the daemon reads it from, and keep a copy elsewhere
`, f.dataDir)
	return nil
}

// opens tells whether the vault is sealed by s.
func opens(path string, s vault.Sealer) error {
	v, err := vault.Open(path, s)
	if err != nil {
		return err
	}
	return v.Close()
}

const unchanged = "nothing was changed; give the one that the daemon is started with"
