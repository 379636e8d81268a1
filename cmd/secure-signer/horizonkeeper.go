package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/internal/datadir"
	"github.com/secure-signer/secure-signer/internal/durable"
	"github.com/secure-signer/secure-signer/internal/sealed"
	"github.com/secure-signer/secure-signer/rollback"
	"github.com/secure-signer/secure-signer/rollback/tpm"
	"github.com/secure-signer/secure-signer/rollback/witness"
	"github.com/secure-signer/secure-signer/tpmlink"
	"github.com/secure-signer/secure-signer/vault"
)

// The kinds of horizon, as --horizon and config.yaml call them. In a Binding none
// is the empty string, and a TPM that nobody has vouched for never passes for one:
// whoever reads the kind alone, in evidence or a status, must see it.
const (
	horizonNone    = "none"
	horizonTPM     = "tpm"
	horizonAnyTPM  = "tpm-unverified"
	horizonWitness = "witness"
)

// Labels of what is derived from the vault's data key.
const (
	horizonSecretLabel = "secure-signer horizon secret v1"
	horizonMemoLabel   = "secure-signer horizon memo v1"
)

// horizonFlags choose the horizon of a folder that is being made.
type horizonFlags struct {
	kind      string
	tpm       tpmFlags
	index     uint32
	witnesses []string
}

func (f *horizonFlags) define(flags *pflag.FlagSet) {
	flags.StringVar(&f.kind, "horizon", "", "what the host cannot roll back, and so remembers how far any copy of this folder has signed: tpm, witness or none")
	flags.StringArrayVar(&f.witnesses, "witness", nil, "`URL#KEY` of one witness, as its operator gives it; repeat for each: 3 or 4 go on while 1 is down, and 1 of 4 may even forget or lie")
	f.tpm.define(flags)
	f.tpm.defineTrust(flags)
	flags.Uint32Var(&f.index, "tpm-nv-index", tpm.DefaultHandle, "`number` of the first of two NV indices in the TPM; each signer that shares a TPM needs two of its own")
	flags.Lookup("tpm-nv-index").DefValue = fmt.Sprintf("%#x", tpm.DefaultHandle) // as the TPM's tools write it
}

// asksFor tells whether the flags name a kind of horizon, as a Binding has it.
func (f horizonFlags) asksFor(kind string) bool {
	switch kind {
	case "":
		return f.kind == horizonNone
	case horizonAnyTPM:
		return f.kind == horizonTPM
	}
	return f.kind == kind
}

// A madeHorizon is one that is made, and belongs to no folder yet.
type madeHorizon struct {
	datadir.Keeper
	secret []byte
	sealed []byte // the secret, where it was sealed before
	next   string // what a person must do for it, besides
	undo   func() error
}

// create makes a horizon in which every epoch until last counts as signed in.
func (f horizonFlags) create(ctx context.Context, network *eth2.Network, last eth2.Epoch) (madeHorizon, error) {
	if f.kind != horizonWitness && len(f.witnesses) > 0 {
		return madeHorizon{}, fmt.Errorf("%w: --witness is for --horizon witness", cli.ErrUsage)
	}
	if f.kind != "" && f.kind != horizonNone && network.GenesisTime == 0 {
		return madeHorizon{}, fmt.Errorf("%w: --horizon %s needs the network's time of genesis: epochs are claimed by the clock", cli.ErrUsage, f.kind)
	}
	switch f.kind {
	case "", horizonNone:
		return madeHorizon{undo: func() error { return nil }}, nil
	case horizonTPM:
		return f.createTPM(ctx, last)
	case horizonWitness:
		return f.createWitness(last)
	}
	return madeHorizon{}, fmt.Errorf("%w: --horizon %q: use %s, %s or %s", cli.ErrUsage, f.kind, horizonTPM, horizonWitness, horizonNone)
}

func (f horizonFlags) createTPM(ctx context.Context, last eth2.Epoch) (made madeHorizon, err error) {
	if f.index < 0x0100_0000 || f.index > 0x01ff_fffe {
		return made, fmt.Errorf("%w: --tpm-nv-index %#x is no NV index: 0x1800000 to 0x1bffffe are the owner's", cli.ErrUsage, f.index)
	}
	owner, err := f.tpm.owner()
	if err != nil {
		return made, err
	}
	link, endorsement, err := f.tpm.endorse(ctx)
	if err != nil {
		return made, err
	}
	defer func() { err = errors.Join(err, link.Close()) }()
	id, secret, err := tpm.Create(ctx, link, endorsement, tpm.Options{Epoch: uint64(last), Handle: f.index, OwnerAuth: owner})
	if errors.Is(err, tpm.ErrTaken) {
		err = fmt.Errorf("%w (--tpm-nv-index)", err)
	}
	if err != nil {
		return made, err
	}
	made.secret = secret
	made.undo = func() error {
		link, err := tpmlink.Open(context.WithoutCancel(ctx), f.tpm.path)
		if err != nil {
			return err
		}
		return errors.Join(tpm.Remove(context.WithoutCancel(ctx), link, id, owner), link.Close())
	}
	kind := horizonTPM
	if !endorsement.Verified() {
		kind = horizonAnyTPM
		made.next = "the TPM is not verified: it may be a program of the machine's owner, and then protects from nothing"
	}
	made.Keeper, err = identified(kind, id)
	return made, err
}

// A witnessIdentity is public: who keeps the counters of which signer.
type witnessIdentity struct {
	Signer    string     `json:"signer"`
	Witnesses []string   `json:"witnesses"`
	Base      eth2.Epoch `json:"base"` // every epoch until then counts as signed in
}

func (f horizonFlags) createWitness(last eth2.Epoch) (made madeHorizon, err error) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return made, err
	}
	id := witnessIdentity{Signer: "0x" + hex.EncodeToString(public), Witnesses: f.witnesses, Base: last}
	if _, err := id.client(private); err != nil {
		return made, fmt.Errorf("%w: --witness: %w", cli.ErrUsage, err)
	}
	made.secret, made.undo = private.Seed(), func() error { return nil }
	made.next = fmt.Sprintf("each operator of a witness lets this signer in: secure-signer witness enrol --signer %s --data-dir W", id.Signer)
	made.Keeper, err = identified(horizonWitness, id)
	return made, err
}

// client returns the signer's end, for the private key that the identity names.
func (id witnessIdentity) client(private ed25519.PrivateKey) (*witness.Client, error) {
	signer, err := witness.ParseKey(id.Signer)
	if err != nil {
		return nil, fmt.Errorf("signer: %w", err)
	}
	if !signer.Equal(private.Public()) {
		return nil, errors.New("config.yaml names another signer than the key is of: put both back together, from one backup of the folder")
	}
	c := witness.Config{Signer: private}
	for _, line := range id.Witnesses {
		w, err := witness.Parse(line)
		if err != nil {
			return nil, err
		}
		c.Witnesses = append(c.Witnesses, w)
	}
	return witness.New(c)
}

func identified(kind string, id any) (datadir.Keeper, error) {
	text, err := json.Marshal(id)
	return datadir.Keeper{Kind: kind, Identity: text}, err
}

// keep seals the secret in a folder, under a key of its vault.
func (m madeHorizon) keep(d datadir.Dir, v *vault.Vault) error {
	if m.Kind == "" {
		return nil
	}
	if err := os.Mkdir(d.Horizon(), 0o700); err != nil {
		return err
	}
	if len(m.secret) == 0 {
		return durable.WriteFile(d.HorizonSecret(), m.sealed, 0o600)
	}
	return horizonSecret(d, v).Write(m.secret)
}

func horizonSecret(d datadir.Dir, v *vault.Vault) sealed.File {
	return sealed.File{Path: d.HorizonSecret(), Magic: "SSHORIZ\n", Version: 1, Key: v.DeriveKey(horizonSecretLabel)}
}

// A keeper holds the two counters of a folder's horizon.
type keeper struct {
	epochs, stops rollback.Counter
	about         string                                        // which keeper it is, for people
	prepare       func(ctx context.Context) error               // to be called until it succeeds, before the counters are used
	skip          func(ctx context.Context, epoch uint64) error // takes all until epoch for another copy's; nil: each must be claimed
	missing       func() []error                                // who of several keepers has not answered last; nil: there is one
	close         func(ctx context.Context) error
}

// openKeeper opens the counters that a folder is bound to, or returns nil if it is
// bound to none. An error is one that time does not heal: the start is refused.
func openKeeper(ctx context.Context, d datadir.Folder, v *vault.Vault, path string) (*keeper, error) {
	bound := d.Binding.Horizon
	if bound.Kind == "" {
		if _, err := os.Stat(d.Horizon()); err == nil {
			return nil, fmt.Errorf("%s is there, but config.yaml names no horizon: it was edited, or is another folder's. Put back the one of this folder: without its horizon this signer may have forgotten what it has signed", d.Horizon())
		}
		return nil, nil
	}
	secret, err := horizonSecret(d.Dir, v).Read()
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, sealed.ErrDamaged) {
		return nil, fmt.Errorf("the secret of the horizon: %w: put back horizon/secret from a copy of this folder, or %s", err, anotherHorizon(d))
	}
	if err != nil {
		return nil, fmt.Errorf("the secret of the horizon: %w", err)
	}
	switch bound.Kind {
	case horizonTPM, horizonAnyTPM:
		return openTPM(ctx, d, secret, path)
	case horizonWitness:
		return openWitness(bound.Identity, secret)
	}
	return nil, fmt.Errorf("config.yaml names horizon %q, which this release does not know: use the release that made the folder, or a newer one", bound.Kind)
}

// anotherHorizon says what to do where the one of a folder is gone for good.
func anotherHorizon(d datadir.Folder) string {
	first := ""
	switch {
	case guards(d.Binding.Platform):
		return fmt.Sprintf("import the keys into a new folder, with their history: what platform %s seals opens under no other horizon", d.Binding.Platform)
	case d.Binding.Platform != "":
		first = fmt.Sprintf("secure-signer reseal --data-dir %s --platform none, ", d.Path())
	}
	return fmt.Sprintf("go on with a new horizon: %ssecure-signer backup FILE --data-dir %s, secure-signer restore FILE --data-dir NEW --horizon tpm|witness …", first, d.Path())
}

func openTPM(ctx context.Context, d datadir.Folder, secret []byte, path string) (*keeper, error) {
	bound := d.Binding.Horizon
	var id tpm.Identity
	if err := decodeIdentity(bound.Identity, &id); err != nil {
		return nil, err
	}
	if id.TPM.Verified() != (bound.Kind == horizonTPM) {
		return nil, fmt.Errorf("config.yaml calls its horizon %s, and that is not what its identity says: put back the one of this folder", bound.Kind)
	}
	link, err := tpmlink.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	counters, err := tpm.Open(ctx, link, id, secret)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the horizon in the TPM at %s: %w; if that TPM is gone for good, %s", path, err, anotherHorizon(d)), link.Close())
	}
	return &keeper{
		epochs: rollback.Exclusive(counters.Epochs), stops: rollback.Exclusive(counters.Stops),
		about:   id.TPM.String(),
		prepare: func(context.Context) error { return nil },
		close:   func(ctx context.Context) error { return errors.Join(counters.Close(ctx), link.Close()) },
	}, nil
}

func openWitness(identity, secret []byte) (*keeper, error) {
	var id witnessIdentity
	if err := decodeIdentity(identity, &id); err != nil {
		return nil, err
	}
	if len(secret) != ed25519.SeedSize {
		return nil, fmt.Errorf("the secret of the horizon has %d bytes: want %d", len(secret), ed25519.SeedSize)
	}
	defer clear(secret) // the key is a copy
	client, err := id.client(ed25519.NewKeyFromSeed(secret))
	if err != nil {
		return nil, fmt.Errorf("the horizon of witnesses: %w", err)
	}
	return &keeper{
		epochs: client.Epochs(), stops: client.Stops(),
		about: fmt.Sprintf("signer %s at %d witnesses", id.Signer, len(id.Witnesses)),
		prepare: func(ctx context.Context) error {
			at, err := client.Epochs().Read(ctx)
			if err != nil || at >= uint64(id.Base) {
				return err
			}
			return client.Provision(ctx, uint64(id.Base))
		},
		skip:    client.Raise,
		missing: client.Silent,
		close:   func(context.Context) error { client.Close(); return nil },
	}, nil
}

// decodeIdentity reads what config.yaml says of the keeper. It was written by this
// program, so a member that it does not know is of a newer one.
func decodeIdentity[T any](text []byte, id *T) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(id); err != nil {
		return fmt.Errorf("the horizon's identity in config.yaml: %w: put back config.yaml from a backup, or use a newer release", err)
	}
	return nil
}

// epochBefore returns the last epoch of which a folder that is made now needs no
// memory: it has no keys yet.
func epochBefore(network *eth2.Network, now time.Time) eth2.Epoch {
	slot, _ := network.SlotAt(now.Unix())
	return max(network.EpochOf(slot), 1) - 1
}

// shown is what a new folder's owner is told of its horizon.
func (m madeHorizon) shown() string {
	if m.Kind == "" {
		return ""
	}
	lines := []string{fmt.Sprintf("  horizon        %s: keep the machine's clock right, epochs are claimed by it", m.Kind)}
	if m.next != "" {
		lines = append(lines, "                 "+m.next)
	}
	return strings.Join(lines, "\n") + "\n"
}
