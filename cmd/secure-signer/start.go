package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/internal/config"
)

// startCommand is for images that are measured together with their command line:
// one call has to do for the first start and for every other, because the vault
// opens only for the measurement that made it. Whoever takes the folder away gets
// a signer without keys, which nobody has given any.
func startCommand() *cobra.Command {
	var dataDir string
	cmd := &cobra.Command{
		Use:   "start --data-dir D --config FILE",
		Short: "Create the data folder if there is none, and serve: for measured images",
		Long: `Create the data folder if there is none, and serve: for measured images, whose
command line is part of what is measured.

The settings of both steps are those of init and of serve, from FILE or from
variables.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dataDir == "" {
				return fmt.Errorf("%w: start needs --data-dir", cli.ErrUsage)
			}
			if _, err := os.Lstat(dataDir); errors.Is(err, fs.ErrNotExist) {
				if err := step(cmd, initCommand()); err != nil {
					return err
				}
			}
			return step(cmd, serveCommand())
		},
	}
	cmd.Flags().StringVar(&dataDir, "data-dir", "", "the `folder` to create, if it is missing, and to serve")
	return cmd
}

// step runs another command with the settings of this call.
func step(from, other *cobra.Command) error {
	flags := other.Flags()
	flags.AddFlag(from.Flag(config.FileFlag))
	if err := flags.Set("data-dir", from.Flag("data-dir").Value.String()); err != nil {
		return err
	}
	if err := config.Merge(flags, prefix, config.Commands(from.Root())...); err != nil {
		return fmt.Errorf("%w: %w", cli.ErrUsage, err)
	}
	other.SetContext(from.Context())
	other.SetIn(from.InOrStdin())
	other.SetOut(from.OutOrStdout())
	other.SetErr(from.ErrOrStderr())
	return other.RunE(other, nil)
}
