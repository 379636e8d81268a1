package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/internal/datadir"
	"github.com/secure-signer/secure-signer/management"
	"github.com/secure-signer/secure-signer/tee"
	"github.com/secure-signer/secure-signer/tee/dev"
	"github.com/secure-signer/secure-signer/tee/gramine"
	"github.com/secure-signer/secure-signer/tee/nitro"
	"github.com/secure-signer/secure-signer/tee/tpm"
	"github.com/secure-signer/secure-signer/tee/tsm"
	"github.com/secure-signer/secure-signer/web3signer"
)

// The names of --platform that are no hardware.
const (
	platformNone = "none" // as it is called; in a Binding it is the empty string
	platformAuto = "auto"
)

// platformFlags say in which trusted hardware the program runs, and where that is.
type platformFlags struct {
	name       string
	collateral string
	gramineDir string
	tsmDir     string
	sevGuest   string
	nsmDevice  string
	keyKeeper  string    // who keeps the sealing key
	tpm        *tpmFlags // those of the horizon, where the command has one
	tpmAKChain string
	tpmPCRs    []int
	devRoot    string
	devDebug   bool
}

func (f *platformFlags) define(flags *pflag.FlagSet, link *tpmFlags) {
	f.tpm = link
	flags.StringVar(&f.name, "platform", "", "trusted `hardware` that the program runs in and seals by: "+strings.Join(platformNames(), ", ")+"; else what the folder says, and none for a new one")
	flags.StringVar(&f.collateral, "collateral-dir", "", "`folder` whose files go with the evidence of the hardware, each named as a verifier names it")
	flags.StringVar(&f.gramineDir, "attestation-dir", gramine.Dir, "`folder` in which Gramine shows an enclave its hardware")
	flags.StringVar(&f.tsmDir, "tsm-dir", tsm.Dir, "`folder` in which the kernel of a TDX or SEV-SNP machine makes reports")
	flags.StringVar(&f.sevGuest, "sev-guest-device", tsm.Guest, "`device` that gives a SEV-SNP machine its sealing key")
	flags.StringVar(&f.nsmDevice, "nsm-device", nitro.Device, "`device` of the security module of a Nitro enclave")
	flags.StringVar(&f.keyKeeper, "key-keeper", "", "who keeps the sealing key for a new folder on hardware that keeps none (Nitro, TDX): `ADDRESS#KEY`, as keep-keys prints it; for a folder that has one, where it is now")
	flags.StringVar(&f.tpmAKChain, "tpm-ak-chain", "", "`file` with the certificate of the TPM's attestation key and those above it, in PEM, for --platform tpm")
	flags.IntSliceVar(&f.tpmPCRs, "tpm-pcrs", tpm.DefaultPCRs(), "`numbers` of the PCRs that --platform tpm seals a new folder to")
	flags.StringVar(&f.devRoot, "dev-root", "", "`file` with the test root of --platform dev; made if it is missing")
	flags.BoolVar(&f.devDebug, "dev-debug", false, "have --platform dev state that the host may look inside, to see who refuses that")
}

func platformNames() []string {
	names := []string{platformNone, platformAuto}
	for _, r := range rooms() {
		names = append(names, r.name)
	}
	return names
}

// A platform is the trusted hardware that the daemon runs in, or none.
type platform struct {
	tee.Platform // nil if it is none
	name         string
	identity     tee.Identity
	kept         bool            // the sealing key, by another machine
	horizonless  bool            // the folder has no horizon
	devRoots     []attest.Digest // that of dev
}

// choose returns the name of the platform for a new folder, as a Binding has it.
func (f platformFlags) choose() (string, error) {
	switch f.name {
	case "", platformNone:
		return "", nil
	case platformAuto:
		for _, r := range rooms() {
			if path := r.shows(f); path != "" && exists(path) {
				return r.name, nil
			}
		}
		return "", nil
	}
	if !slices.Contains(platformNames(), f.name) {
		return "", fmt.Errorf("%w: --platform %q: use one of %s", cli.ErrUsage, f.name, strings.Join(platformNames(), ", "))
	}
	return f.name, nil
}

// of opens the platform that a folder is bound to. What the flags say must not be
// another one: its vault opens by no other.
func (f platformFlags) of(ctx context.Context, d datadir.Folder) (platform, error) {
	bound := d.Binding.Platform
	if f.name != "" && f.name != platformAuto {
		asked, err := f.choose()
		if err != nil {
			return platform{}, err
		}
		if asked != bound {
			return platform{}, fmt.Errorf("%s is sealed by platform %s, not %s: leave --platform out, or move the folder first: secure-signer reseal --data-dir %s --platform %s",
				d.Path(), named(bound), f.name, d.Path(), f.name)
		}
	}
	p, err := f.open(ctx, bound, d.Binding.Sealing)
	p.horizonless = d.Binding.Horizon.Kind == ""
	return p, err
}

// named is how a person calls a platform of a Binding.
func named(bound string) string {
	if bound == "" {
		return platformNone
	}
	return bound
}

// open opens the platform of a Binding and asks it who it is.
func (f platformFlags) open(ctx context.Context, name string, sealing datadir.Keeper) (platform, error) {
	if name == "" {
		return platform{name: platformNone, identity: tee.Identity{Kind: platformNone, Lacks: []string{
			"nobody outside can verify what runs here",
			"whoever is root on this machine can read the keys while it runs; at rest they are sealed by a passphrase",
		}}}, nil
	}
	r, err := roomOf(name)
	if err != nil {
		return platform{}, err
	}
	inside, err := r.open(ctx, f, sealing)
	if err != nil {
		return platform{}, fmt.Errorf("platform %s: %w", name, err)
	}
	var devRoots []attest.Digest
	if trial, ok := inside.(*dev.Platform); ok {
		devRoots = []attest.Digest{trial.Root()}
	}
	if f.collateral != "" {
		inside = tee.WithCollateral(inside, f.collateral)
	}
	if sealing.Kind == keeperPeer {
		if inside, err = f.withPeer(inside, sealing); err != nil {
			return platform{}, fmt.Errorf("platform %s: %w", name, err)
		}
	}
	id, err := inside.Identity(ctx)
	if err != nil {
		return platform{}, fmt.Errorf("platform %s: %w", name, err)
	}
	if err := trustworthy(id, cli.IsRelease()); err != nil {
		return platform{}, fmt.Errorf("platform %s: %w", name, err)
	}
	return platform{Platform: inside, name: name, identity: id, kept: sealing.Kind == keeperPeer, devRoots: devRoots}, nil
}

// trustworthy refuses, in a release build, to run where hardware only seems to
// protect. Whoever takes a release for granted must not be deceived by one that
// was started for a trial, or signed with a key that everybody has: a predecessor
// of this program was, and every host could unseal its keys.
func trustworthy(id tee.Identity, release bool) error {
	owner, public := attest.PublicSigner(id.Signer)
	switch {
	case !release:
		return nil
	case id.Kind == attest.KindDev:
		return errors.New("a release does not start with it, because it is no hardware: for a trial build the program with go build")
	case id.Debug:
		return errors.New("debug mode is on, and the host can read every key: a release does not start; turn it off where the enclave or the machine is defined")
	case public:
		return fmt.Errorf("the program was signed with %s, which everybody has: a release does not start; sign it with a key of your own", owner)
	}
	return nil
}

// lacks says in a sentence each what the platform cannot do, and nothing else does
// for it.
func (p platform) lacks() []string {
	lacks := p.ownLacks()
	if p.horizonless {
		lacks = append(lacks, "no rollback protection: an older disk, or a second copy of this signer, goes unnoticed; a horizon notices both")
	}
	return lacks
}

func (p platform) ownLacks() []string {
	lacks := append([]string{}, p.identity.Lacks...) // never null in JSON
	if p.identity.Debug {
		lacks = append(lacks, "debug mode is on: the host reads and changes everything inside")
	}
	return lacks
}

// measurement is who the program is, in one line; empty if nothing measures it.
func (p platform) measurement() string {
	var registers []string
	for _, name := range slices.Sorted(maps.Keys(p.identity.Measurements)) {
		registers = append(registers, fmt.Sprintf("%s %v", name, p.identity.Measurements[name]))
	}
	return strings.Join(registers, ", ")
}

// log tells at the start where the program runs.
func (p platform) log(log *slog.Logger) {
	log.Info("platform", "name", p.name, "kind", p.identity.Kind, "measurement", p.measurement(), "lacks", strings.Join(p.lacks(), "; "))
}

// banner tells the same to a person, who is told of the horizon on a line of its own.
func (p platform) banner() string {
	lines := []string{strings.TrimSpace(p.name + " " + p.measurement())}
	for _, lack := range p.ownLacks() {
		lines = append(lines, "            lacks: "+lack)
	}
	return strings.Join(lines, "\n")
}

// check is what /healthcheck shows of it: that it lacks something takes nothing down.
func (p platform) check() web3signer.Check {
	return web3signer.Check{ID: "platform", Up: true, Data: map[string]any{
		"kind": p.identity.Kind, "measurement": p.identity.Measurements, "lacks": p.lacks(),
	}}
}

// status is what signerctl shows of it.
func (p platform) status() management.Platform {
	return management.Platform{Kind: string(p.identity.Kind), Measurement: p.measurement(), Lacks: p.lacks()}
}
