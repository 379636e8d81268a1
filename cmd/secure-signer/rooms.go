package main

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/internal/datadir"
	"github.com/secure-signer/secure-signer/tee"
	"github.com/secure-signer/secure-signer/tee/dev"
	"github.com/secure-signer/secure-signer/tee/gramine"
	"github.com/secure-signer/secure-signer/tee/nitro"
	"github.com/secure-signer/secure-signer/tee/peer"
	"github.com/secure-signer/secure-signer/tee/tpm"
	"github.com/secure-signer/secure-signer/tee/tsm"
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

	guards bool // from whoever owns the machine, who must not have what it has sealed
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
		{
			name:  "nitro",
			shows: func(f platformFlags) string { return f.nsmDevice },
			open: func(_ context.Context, f platformFlags, _ datadir.Keeper) (tee.Platform, error) {
				return nitro.New(f.nsmDevice), nil
			},
			guards: true,
		},
		{
			name:  "tsm",
			shows: func(f platformFlags) string { return f.tsmDir },
			open: func(_ context.Context, f platformFlags, _ datadir.Keeper) (tee.Platform, error) {
				return tsm.New(f.tsmDir, f.sevGuest), nil
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

// guards tells whether a platform of a Binding guards from whoever owns the machine.
func guards(name string) bool {
	return slices.ContainsFunc(rooms(), func(r room) bool { return r.name == name && r.guards })
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// keeper returns who keeps the sealing key of a new folder, if it is not the
// platform itself.
func (f platformFlags) keeper(ctx context.Context, name string) (datadir.Keeper, error) {
	if name == "" && f.keyKeeper != "" { // its owner might rely on it
		return datadir.Keeper{}, fmt.Errorf("%w: --key-keeper keeps the key of trusted hardware: say which, with --platform", cli.ErrUsage)
	}
	if name == "" {
		return datadir.Keeper{}, nil
	}
	r, err := roomOf(name)
	if err != nil {
		return datadir.Keeper{}, err
	}
	keeper := r.keeper
	switch {
	case f.keyKeeper != "" && keeper != nil:
		return datadir.Keeper{}, fmt.Errorf("%w: --key-keeper: platform %s keeps its own key", cli.ErrUsage, name)
	case f.keyKeeper != "":
		keeper = peerKeeper
	case keeper == nil:
		return datadir.Keeper{}, nil
	}
	k, err := keeper(ctx, f)
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

// keeperPeer is another machine that gives the sealing key to whoever proves to be
// this program.
const keeperPeer = "peer"

// A sealingPeer is public: whose answers are believed, and where it was.
type sealingPeer struct {
	Keeper peer.Address `json:"keeper"`
}

func peerKeeper(_ context.Context, f platformFlags) (datadir.Keeper, error) {
	at, err := peer.ParseAddress(f.keyKeeper)
	if err != nil {
		return datadir.Keeper{}, fmt.Errorf("%w: --key-keeper: %w", cli.ErrUsage, err)
	}
	return identified(keeperPeer, sealingPeer{at})
}

// withPeer asks the keeper that the folder names, by its key. It may have moved.
func (f platformFlags) withPeer(p tee.Platform, k datadir.Keeper) (tee.Platform, error) {
	var id sealingPeer
	if err := decodeIdentity(k.Identity, &id); err != nil {
		return nil, err
	}
	if f.keyKeeper != "" {
		at, _, _ := strings.Cut(f.keyKeeper, "#")
		var err error
		if id.Keeper.URL, err = peer.ParseURL(at); err != nil {
			return nil, fmt.Errorf("%w: --key-keeper: %w", cli.ErrUsage, err)
		}
	}
	return tee.WithRelease(p, peer.NewClient(id.Keeper, http.DefaultTransport)), nil
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
