package main

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/secure-signer/secure-signer/internal/datadir"
	"github.com/secure-signer/secure-signer/tee"
	"github.com/secure-signer/secure-signer/tee/dev"
	"github.com/secure-signer/secure-signer/tee/gramine"
	"github.com/secure-signer/secure-signer/tee/tpm"
	"github.com/secure-signer/secure-signer/tpmlink"
)

// A room is one kind of trusted hardware that the program can run in.
type room struct {
	name string

	// shows returns the path that is there where the hardware is, or nothing if it is
	// never looked for.
	shows func(platformFlags) string

	// keeper returns who keeps the sealing key of a new folder; nil if the hardware
	// does so itself.
	keeper func(context.Context, platformFlags) (datadir.Keeper, error)

	open func(context.Context, platformFlags, datadir.Keeper) (tee.Platform, error)

	guards bool // from whoever owns the machine: what it has sealed he must not take out
}

// rooms are all of them, in the order in which they are looked for: a TPM may be
// anywhere.
func rooms() []room {
	return []room{
		{
			name:  "gramine",
			shows: func(f platformFlags) string { return f.gramineDir },
			open: func(_ context.Context, f platformFlags, _ datadir.Keeper) (tee.Platform, error) {
				return gramine.New(f.gramineDir), nil
			},
			guards: true,
		},
		{name: "tpm", shows: func(f platformFlags) string { return f.tpm.path }, keeper: endorsedTPM, open: openTPMPlatform},
		{name: "dev", shows: func(platformFlags) string { return "" }, open: openDev},
	}
}

func roomOf(name string) (room, error) {
	all := rooms()
	i := slices.IndexFunc(all, func(r room) bool { return r.name == name })
	if i < 0 {
		return room{}, fmt.Errorf("the folder is sealed by platform %q, which this release does not know: use the release that made it, or a newer one", name)
	}
	return all[i], nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// keeper returns who keeps the sealing key of a new folder, if it is not the
// platform itself.
func (f platformFlags) keeper(ctx context.Context, name string) (datadir.Keeper, error) {
	if name == "" {
		return datadir.Keeper{}, nil
	}
	r, err := roomOf(name)
	if err != nil || r.keeper == nil {
		return datadir.Keeper{}, err
	}
	k, err := r.keeper(ctx, f)
	if err != nil {
		return k, fmt.Errorf("platform %s: %w", name, err)
	}
	return k, nil
}

func openDev(_ context.Context, f platformFlags, _ datadir.Keeper) (tee.Platform, error) {
	if f.devRoot == "" {
		return nil, errors.New("it needs --dev-root FILE, which is made if it is missing")
	}
	p, err := dev.Open(f.devRoot)
	if err != nil {
		return nil, err
	}
	p.Debug = f.devDebug
	return p, nil
}

// A sealingTPM is public: which TPM seals, and to what.
type sealingTPM struct {
	TPM  tpmlink.Endorsement `json:"tpm"`
	PCRs []int               `json:"pcrs"`
}

// endorsedTPM finds out which TPM this machine has.
func endorsedTPM(ctx context.Context, f platformFlags) (datadir.Keeper, error) {
	link, endorsement, err := f.tpm.endorse(ctx)
	if err != nil {
		return datadir.Keeper{}, err
	}
	if err := link.Close(); err != nil {
		return datadir.Keeper{}, err
	}
	return identified("tpm", sealingTPM{endorsement, f.tpmPCRs})
}

// openTPMPlatform opens the TPM that the folder names. Its link lasts as long as the
// process.
func openTPMPlatform(ctx context.Context, f platformFlags, k datadir.Keeper) (tee.Platform, error) {
	var id sealingTPM
	if err := decodeIdentity(k.Identity, &id); err != nil {
		return nil, err
	}
	chain, err := readChain(f.tpmAKChain)
	if err != nil {
		return nil, fmt.Errorf("--tpm-ak-chain: %w", err)
	}
	link, err := tpmlink.Open(ctx, f.tpm.path)
	if err != nil {
		return nil, err
	}
	p, err := tpm.Open(ctx, link, id.TPM, tpm.Config{PCRs: id.PCRs, AKChain: chain})
	if err != nil {
		return nil, errors.Join(err, link.Close())
	}
	return p, nil
}

// readChain returns the certificates of a PEM file in DER, one after the other.
func readChain(file string) (der []byte, err error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		der = append(der, block.Bytes...)
	}
	if len(der) == 0 {
		return nil, fmt.Errorf("%s holds no certificate in PEM", file)
	}
	return der, nil
}
