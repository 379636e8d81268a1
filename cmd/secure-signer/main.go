// Secure-signer is the daemon: a remote signer for validators that keeps their
// keys and their slashing protection.
//
// This package is wiring only. What it links is the trusted base, listed in
// deps.txt.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/secure-signer/secure-signer/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// prefix begins the variables that are settings.
const prefix = "SECURE_SIGNER"

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := &cobra.Command{
		Use:   "secure-signer",
		Short: "A remote signer for validators: keys, slashing protection, Web3Signer API",
	}
	root.AddCommand(initCommand(), serveCommand(), startCommand(), passphraseCommand(), resealCommand(), handOverCommand(), backupCommand(), restoreCommand(), witnessCommand(), keepKeysCommand(), versionCommand())
	return cli.Run(ctx, root, prefix, args, stdin, stdout, stderr)
}
