package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/secure-signer/secure-signer/internal/backup"
	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/internal/datadir"
	"github.com/secure-signer/secure-signer/internal/durable"
	"github.com/secure-signer/secure-signer/record/journal"
	"github.com/secure-signer/secure-signer/vault"
)

// backup writes a copy of the data folder, without its token, while it is in use.
func (d *daemon) backup(ctx context.Context, w io.Writer) error {
	secret, err := horizonPart(d.dir)
	if err != nil {
		return err
	}
	return writeBackup(ctx, d.dir, d.vault, d.journal, secret, w)
}

// horizonPart is what opens the keeper of a folder's horizon, sealed, if it has one.
func horizonPart(d datadir.Folder) ([]byte, error) {
	if d.Binding.Horizon.Kind == "" {
		return nil, nil
	}
	return os.ReadFile(d.HorizonSecret())
}

// writeBackup writes a copy of a folder that is open.
//
// The vault comes before the journal. Package custody makes a key's record before
// the vault has the key, so every key in the copy has its record there.
func writeBackup(ctx context.Context, d datadir.Folder, v *vault.Vault, j *journal.Store, horizon []byte, w io.Writer) error {
	config, err := os.ReadFile(d.Config())
	if err != nil {
		return err
	}
	if _, err := datadir.ReadConfig(config); err != nil { // found out now, not when it is needed
		return fmt.Errorf("%s: %w", d.Config(), err)
	}
	sealed, err := v.Sealed(ctx)
	if err != nil {
		return err
	}
	return backup.Write(w, v.DeriveKey(backup.KeyLabel), time.Now(), backup.Parts{Config: config, Vault: sealed, Horizon: horizon},
		func(w io.Writer) error { return j.Backup(ctx, w) })
}

type backupFlags struct {
	dataDir string
	seal    sealFlags
	tpm     tpmFlags
}

func backupCommand() *cobra.Command {
	var f backupFlags
	cmd := &cobra.Command{
		Use:   "backup FILE --data-dir D",
		Short: "Back up a data folder whose signer does not start",
		Long: `Back up a data folder whose signer does not start, as where the TPM with its horizon
is gone. Of a signer that runs, signerctl backup takes one.

The file is the same: sealed as the folder is, and used by secure-signer restore.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.backup(cmd.Context(), args[0], cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&f.dataDir, "data-dir", "", "`folder` made by init")
	f.seal.define(cmd.Flags(), &f.tpm)
	f.tpm.define(cmd.Flags())
	return cmd
}

func (f backupFlags) backup(ctx context.Context, path string, stdin io.Reader, stdout, stderr io.Writer) error {
	if f.dataDir == "" {
		return fmt.Errorf("%w: backup needs --data-dir", cli.ErrUsage)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is there already, and is not overwritten: name another file", path)
	}
	d, err := datadir.Open(f.dataDir)
	if err != nil {
		return err
	}
	if err := d.CheckOwner(); err != nil {
		return err
	}
	secret, err := horizonPart(d)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // if it is lost a new horizon is made
		return err
	}
	r := restorer{restoreFlags: restoreFlags{seal: f.seal}, stdin: stdin, stderr: stderr}
	v, err := r.openVault(ctx, d)
	if err != nil {
		return advise(err, unchanged)
	}
	j, err := journal.Open(d.Journal(), v.DeriveKey(journalKeyLabel))
	if err != nil {
		return errors.Join(err, v.Close())
	}
	var file bytes.Buffer
	err = errors.Join(writeBackup(ctx, d, v, j, secret, &file), j.Close(), v.Close())
	if err == nil {
		err = durable.WriteFile(path, file.Bytes(), 0o600)
	}
	if err != nil {
		return fmt.Errorf("back up %s: %w", f.dataDir, err)
	}
	fmt.Fprintf(stdout, "%s holds %s, %d bytes. It opens with what seals the folder today: its passphrase, or its platform.\nTo use it: secure-signer restore %s --data-dir NEW\n",
		path, f.dataDir, file.Len(), path)
	return nil
}
