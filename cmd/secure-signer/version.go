package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/cli"
)

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version, and that of the specifications it follows",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "secure-signer %s\nconsensus-specs %s\n%s %s/%s\n",
				cli.Release(), eth2.SpecVersion, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
