package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

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

The settings are those of init and of serve, from FILE or from variables. Where they
name a step and that file is there, the folder is handed over to this program
first, if it is another's (hand-over).`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dataDir == "" {
				return fmt.Errorf("%w: start needs --data-dir", cli.ErrUsage)
			}
			_, err := os.Lstat(dataDir)
			if errors.Is(err, fs.ErrNotExist) {
				err = runPart(cmd, initCommand(), always)
			} else {
				err = runPart(cmd, handOverCommand(), stepIsThere)
			}
			if err != nil {
				return err
			}
			return runPart(cmd, serveCommand(), always)
		},
	}
	cmd.Flags().StringVar(&dataDir, "data-dir", "", "the `folder` to create, if it is missing, and to serve")
	return cmd
}

// always has a command run whatever its settings are.
func always(*pflag.FlagSet) bool { return true }

// stepIsThere tells whether release managers have signed that the folder is handed
// over to this program, as far as a file says so: whoever is asked to give it judges
// that. The host may bring the file, and may leave it where it is for ever.
func stepIsThere(flags *pflag.FlagSet) bool {
	path := flags.Lookup("step").Value.String()
	if path == "" {
		return false
	}
	_, err := os.Stat(path)
	return err == nil
}

// runPart runs another command with the settings of this call, if they ask for it.
func runPart(from, other *cobra.Command, wanted func(*pflag.FlagSet) bool) error {
	flags := other.Flags()
	flags.AddFlag(from.Flag(config.FileFlag))
	if err := flags.Set("data-dir", from.Flag("data-dir").Value.String()); err != nil {
		return err
	}
	if err := config.Merge(flags, prefix, config.Commands(from.Root())...); err != nil {
		return fmt.Errorf("%w: %w", cli.ErrUsage, err)
	}
	if !wanted(flags) {
		return nil
	}
	other.SetContext(from.Context())
	other.SetIn(from.InOrStdin())
	other.SetOut(from.OutOrStdout())
	other.SetErr(from.ErrOrStderr())
	return other.RunE(other, nil)
}
