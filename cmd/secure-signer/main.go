// Secure-signer is the daemon: a remote signer for validators that keeps their
// keys and their slashing protection.
//
// This package is wiring only. What it links is the trusted base, listed in
// deps.txt.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/secure-signer/secure-signer/internal/config"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// The exit codes that scripts rely on.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// errUsage marks an error in how the program was called.
var errUsage = errors.New("usage")

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	begun := false // anything that fails before a command has begun is usage
	root := &cobra.Command{
		Use:           "secure-signer",
		Short:         "A remote signer for validators: keys, slashing protection, Web3Signer API",
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := config.Merge(cmd.Flags(), "SECURE_SIGNER", config.Commands(cmd.Root())...); err != nil {
				return err
			}
			begun = true
			return nil
		},
	}
	root.PersistentFlags().String("config", "", "YAML `file` with the same names as the flags")
	root.AddCommand(initCommand(), serveCommand(), versionCommand())
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetArgs(config.JoinBooleans(args, config.Commands(root)...))
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)

	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return exitOK
	case !begun || errors.Is(err, errUsage):
		fmt.Fprintf(stderr, "secure-signer: %v\nTry \"secure-signer --help\".\n", err)
		return exitUsage
	default:
		fmt.Fprintf(stderr, "secure-signer: %v\n", err)
		return exitFailed
	}
}

// version is set by the linker for releases.
var version = ""

// release returns the version of this build, or what the Go command knows of it.
func release() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
