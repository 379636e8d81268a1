// Signerctl is the operator's tool: it makes, imports, lists and deletes keys,
// moves what they have signed, and tells how a signer is, over its HTTP API.
//
// What it prints to stdout is the result: tables for people, with --json the
// same for scripts, whose members are never renamed. Progress, hints and errors
// go to stderr. The exit code is 0, 1 if something failed, 2 for a wrong call.
package main

import (
	"context"
	"fmt"
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

// A tool is what all sub-commands share.
type tool struct {
	url       string
	tokenFile string
	dataDir   string
	tls       tlsFlags
	json      bool

	stdin          io.Reader
	stdout, stderr io.Writer
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := &tool{stdin: stdin, stdout: stdout, stderr: stderr}
	root := &cobra.Command{
		Use:   "signerctl",
		Short: "Make, import, list and delete the keys of a Secure Signer, move their history, and measure it",
	}
	flags := root.PersistentFlags()
	flags.StringVar(&c.url, "url", "http://127.0.0.1:9000", "`address` of the signer")
	flags.StringVar(&c.dataDir, "data-dir", "", "the signer's data `folder`, for the token in it")
	flags.StringVar(&c.tokenFile, "token-file", "", "`file` with the signer's token; else api-token.txt of --data-dir")
	c.tls.define(root)
	flags.BoolVar(&c.json, "json", false, "print JSON, for scripts")
	root.AddCommand(c.keysCommand(), c.depositCommand(), c.exitCommand(), c.slashingCommand(), c.networkCommand(), c.backupCommand(), c.statusCommand(), c.doctorCommand(), c.benchCommand(), c.attestCommand(), c.measureCommand(), c.auditCommand(), c.releaseCommand(), c.versionCommand())
	return cli.Run(ctx, root, "SIGNERCTL", args, stdin, stdout, stderr)
}

func (c *tool) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if c.json {
				return c.printJSON(struct {
					Version string `json:"version"`
				}{cli.Release()})
			}
			_, err := fmt.Fprintf(c.stdout, "signerctl %s\n", cli.Release())
			return err
		},
	}
}
