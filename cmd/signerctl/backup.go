package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/secure-signer/secure-signer/internal/backup"
	"github.com/secure-signer/secure-signer/internal/durable"
)

func (c *tool) backupCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "backup FILE",
		Short: "Back up keys, slashing protection and network to one file, while the signer signs",
		Long: `Back up keys, slashing protection and network to one file, while the signer signs.

The file is sealed: it opens with the passphrase that the signer has today. It is
used by secure-signer restore, which sees to it that nothing is signed twice.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.backup(cmd.Context(), args[0])
		},
	}
}

// backupTime is the longest that a backup takes.
const backupTime = 10 * time.Minute

// A backupTaken is what signerctl backup --json prints.
type backupTaken struct {
	File  string    `json:"file"`
	Taken time.Time `json:"taken"`
	Bytes int       `json:"bytes"`
}

func (c *tool) backup(ctx context.Context, path string) error {
	signer, err := c.client()
	if err != nil {
		return err
	}
	if err := mustBeNew(path); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, backupTime)
	defer cancel()
	answer, err := signer.ask(ctx, "GET", "/signer/v1/backup", nil)
	if err != nil {
		return err
	}
	defer answer.Close()
	file, err := io.ReadAll(io.LimitReader(answer, maxAnswer))
	if err != nil {
		return signer.unreachable(err)
	}
	b, err := backup.Parse(file)
	if err != nil {
		return fmt.Errorf("what %s sent is not kept: %w", signer.base, err)
	}
	if err := mustBeNew(path); err != nil {
		return err
	}
	if err := durable.WriteFile(path, file, 0o600); err != nil {
		return fmt.Errorf("write backup: %w", err)
	}
	if c.json {
		return c.printJSON(backupTaken{path, b.Taken.UTC(), len(file)})
	}
	_, err = fmt.Fprintf(c.stdout, `%s holds the signer as of %s, %d bytes. It opens with what seals the signer today: its passphrase, or its platform.
To use it: secure-signer restore %s --data-dir NEW
`, path, b.Taken.UTC().Format(time.RFC3339), len(file), path)
	return err
}

// mustBeNew refuses a path where there is anything: it may be the last good backup.
func mustBeNew(path string) error {
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return fmt.Errorf("there is no folder to put %s in: %w", filepath.Base(path), err)
	}
	_, err := os.Lstat(path)
	if err == nil {
		return fmt.Errorf("%s exists already, and is not overwritten: name another file, such as one with today's date", path)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
