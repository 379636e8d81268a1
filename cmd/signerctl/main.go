// Signerctl is the operator's tool: it makes, imports and lists keys, and tells
// how a signer is, over the signer's HTTP API.
//
// What it prints to stdout is the result: tables for people, with --json the
// same for scripts, whose members are never renamed. Progress, hints and errors
// go to stderr. The exit code is 0, 1 if something failed, 2 for a wrong call.
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

// A cli is what all sub-commands share.
type cli struct {
	url       string
	tokenFile string
	dataDir   string
	json      bool

	stdin          io.Reader
	stdout, stderr io.Writer
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := &cli{stdin: stdin, stdout: stdout, stderr: stderr}
	begun := false // anything that fails before a command has begun is usage
	root := &cobra.Command{
		Use:           "signerctl",
		Short:         "Make, import and list the keys of a Secure Signer",
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := config.Merge(cmd.Flags(), "SIGNERCTL", config.Commands(cmd.Root())...); err != nil {
				return err
			}
			begun = true
			return nil
		},
	}
	flags := root.PersistentFlags()
	flags.StringVar(&c.url, "url", "http://127.0.0.1:9000", "`address` of the signer")
	flags.StringVar(&c.dataDir, "data-dir", "", "the signer's data `folder`, for the token in it")
	flags.StringVar(&c.tokenFile, "token-file", "", "`file` with the signer's token; else api-token.txt of --data-dir")
	flags.BoolVar(&c.json, "json", false, "print JSON, for scripts")
	flags.String(config.FileFlag, "", "YAML `file` with the same names as the flags")
	root.AddCommand(c.keysCommand(), c.statusCommand(), c.benchCommand(), c.versionCommand())
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
		fmt.Fprintf(stderr, "signerctl: %v\nTry \"signerctl --help\".\n", err)
		return exitUsage
	default:
		fmt.Fprintf(stderr, "signerctl: %v\n", err)
		return exitFailed
	}
}

func (c *cli) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if c.json {
				return c.printJSON(struct {
					Version string `json:"version"`
				}{release()})
			}
			_, err := fmt.Fprintf(c.stdout, "signerctl %s\n", release())
			return err
		},
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
