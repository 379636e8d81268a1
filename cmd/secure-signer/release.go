package main

import (
	"fmt"

	"github.com/spf13/pflag"

	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/internal/datadir"
)

// releaseFlags say whose leave another version of the program needs to take a
// folder over.
type releaseFlags struct {
	keys      []string
	threshold int
}

func (f *releaseFlags) define(flags *pflag.FlagSet) {
	flags.StringSliceVar(&f.keys, "release-key", nil, "Ed25519 public `key`, in hex, of a release manager: so many of them as --release-threshold must sign a version to which the folder may be handed over")
	flags.IntVar(&f.threshold, "release-threshold", 0, "how `many` of the release keys must sign")
}

func (f releaseFlags) parse() (datadir.Release, error) {
	r := datadir.Release{Threshold: f.threshold}
	for _, text := range f.keys {
		key, err := datadir.ParseReleaseKey(text)
		if err != nil {
			return r, fmt.Errorf("%w: --release-key: %w", cli.ErrUsage, err)
		}
		r.Keys = append(r.Keys, key)
	}
	if len(r.Keys) == 0 && r.Threshold == 0 {
		return r, nil
	}
	if err := r.Check(); err != nil {
		return r, fmt.Errorf("%w: --release-key and --release-threshold: %w", cli.ErrUsage, err)
	}
	return r, nil
}
