package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/secure-signer/secure-signer/internal/backup"
	"github.com/secure-signer/secure-signer/internal/datadir"
)

// backup writes a copy of the data folder, without its token, while it is in use.
//
// The vault comes before the journal. Package custody makes a key's record before
// the vault has the key, so every key in the copy has its record there.
func (d *daemon) backup(ctx context.Context, w io.Writer) error {
	config, err := os.ReadFile(d.dir.Config())
	if err != nil {
		return err
	}
	if _, err := datadir.ReadConfig(config); err != nil { // found out now, not when it is needed
		return fmt.Errorf("%s: %w", d.dir.Config(), err)
	}
	sealed, err := d.vault.Sealed(ctx)
	if err != nil {
		return err
	}
	parts := backup.Parts{Config: config, Vault: sealed}
	if d.horizon != nil {
		if parts.Horizon, err = os.ReadFile(d.dir.HorizonSecret()); err != nil {
			return err
		}
	}
	return backup.Write(w, d.vault.DeriveKey(backup.KeyLabel), time.Now(), parts,
		func(w io.Writer) error { return d.journal.Backup(ctx, w) })
}
