package main

import (
	"context"
	"io"
	"time"

	"github.com/secure-signer/secure-signer/internal/backup"
)

// backup writes a backup of the vault. The records of a testSigner are in memory.
func (s *testSigner) backup(ctx context.Context, w io.Writer) error {
	sealed, err := s.vault.Sealed(ctx)
	if err != nil {
		return err
	}
	return backup.Write(w, s.vault.DeriveKey(backup.KeyLabel), time.Now(), backup.Parts{Config: []byte("network: hoodi\n"), Vault: sealed},
		func(w io.Writer) error {
			if s.cutBackup.Load() {
				return errFull
			}
			_, err := io.WriteString(w, "the records")
			return err
		})
}
