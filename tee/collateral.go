package tee

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"

	"github.com/secure-signer/secure-signer/attest"
)

// WithCollateral returns the platform with the files of a folder added to the
// collateral of its evidence: what its maker publishes over the network and a
// verifier needs offline. A file has the name that the verifier gives to what is in
// it, as for example dcap.TCBInfo. The folder is read anew for every evidence, so
// that another program can keep it fresh.
//
// It is the host's, who can leave anything out and can add nothing that a verifier
// would believe: collateral is signed by its maker.
func WithCollateral(p Platform, dir string) Platform { return collateral{p, dir} }

type collateral struct {
	Platform
	dir string
}

var collateralName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,63}$`)

func (c collateral) Evidence(ctx context.Context, rd attest.ReportData) (attest.Evidence, error) {
	ev, err := c.Platform.Evidence(ctx, rd)
	if err != nil {
		return attest.Evidence{}, err
	}
	if err := c.add(&ev); err != nil {
		return attest.Evidence{}, fmt.Errorf("collateral in %s: %w", c.dir, err)
	}
	return ev, nil
}

func (c collateral) add(ev *attest.Evidence) error {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return err
	}
	all := make(map[string][]byte, len(ev.Collateral)+len(entries))
	left := attest.MaxEvidence
	for name, value := range ev.Collateral {
		all[name] = value
		left -= len(value)
	}
	for _, e := range entries {
		name := e.Name()
		if !collateralName.MatchString(name) {
			return fmt.Errorf("%q is no name of any: move it elsewhere", name)
		}
		if _, ok := all[name]; ok {
			return fmt.Errorf("%s comes from the hardware itself: remove the file", name)
		}
		value, err := readUpTo(filepath.Join(c.dir, name), left)
		if err != nil {
			return err
		}
		all[name] = value
		left -= len(value)
	}
	if len(all) > 0 {
		ev.Collateral = all
	}
	return nil
}

// readUpTo reads a regular file that is neither empty nor longer than the limit. A
// device or a pipe would be read for ever.
func readUpTo(path string, limit int) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	value, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	switch {
	case err != nil:
		return nil, err
	case len(value) == 0:
		return nil, fmt.Errorf("%s is empty: fetch it again", path)
	case len(value) > limit:
		return nil, fmt.Errorf("with %s it has more than %d bytes: no verifier reads that", path, attest.MaxEvidence)
	}
	return value, nil
}
