package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/pflag"

	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/internal/config"
	"github.com/secure-signer/secure-signer/internal/datadir"
	"github.com/secure-signer/secure-signer/tee"
	"github.com/secure-signer/secure-signer/tee/gramine"
	"github.com/secure-signer/secure-signer/tee/nitro"
	"github.com/secure-signer/secure-signer/tee/tsm"
	"github.com/secure-signer/secure-signer/vault"
)

// sealFlags say what opens the vault of a folder: the trusted hardware that the
// folder is bound to, or else a passphrase.
type sealFlags struct {
	platform       platformFlags
	passphraseFile string
}

func (f *sealFlags) define(flags *pflag.FlagSet, tpm *tpmFlags) {
	flags.StringVar(&f.passphraseFile, "passphrase-file", "", "`file` with the vault's passphrase; else the systemd credential "+credential+", else asked for; a folder that trusted hardware seals has none")
	f.platform.define(flags, tpm)
}

// A seal opens what was sealed, and seals. Forget it once that is done.
type seal struct {
	vault.Sealer
	forget func()
}

// seal returns that of the platform under a folder's settings, or nil if the
// folder has a passphrase.
func (p platform) seal(s datadir.Settings) *seal {
	if p.Platform == nil {
		return nil
	}
	return &seal{tee.NewSealer(p, s.Hash()), func() {}}
}

// existing returns the seal of a folder that exists. A warning is for the operator.
func (f sealFlags) existing(ctx context.Context, p platform, path string, s datadir.Settings, stdin io.Reader, stderr io.Writer) (_ *seal, warning string, err error) {
	if sealed := p.seal(s); sealed != nil {
		return sealed, "", f.needless(path, p)
	}
	passphrase, warning, err := config.Passphrase(ctx, f.passphraseFile, credential, stdin, stderr)
	if err != nil {
		return nil, "", err
	}
	return &seal{vault.Passphrase(passphrase), func() { clear(passphrase) }}, warning, nil
}

// openVault opens the vault of a folder that exists. Warnings are for the operator.
func (f sealFlags) openVault(ctx context.Context, p platform, d datadir.Folder, stdin io.Reader, stderr io.Writer, warn func(what, detail string)) (*vault.Vault, error) {
	sealer, warning, err := f.existing(ctx, p, d.Path(), d.Settings, stdin, stderr)
	if err != nil {
		return nil, err
	}
	defer sealer.forget()
	if warning != "" {
		warn("passphrase is readable by others", warning)
	}
	v, err := vault.Open(d.Vault(), sealer)
	if err == nil && v.Recovered() != "" {
		warn("the end of the vault was cut off, as after a power cut", v.Recovered())
	}
	return v, err
}

// fresh returns the seal of a folder that is being made.
func (f sealFlags) fresh(ctx context.Context, p platform, path string, s datadir.Settings, stdin io.Reader, stderr io.Writer) (*seal, error) {
	if sealed := p.seal(s); sealed != nil {
		return sealed, f.needless(path, p)
	}
	passphrase, err := config.NewPassphrase(ctx, f.passphraseFile, credential, stdin, stderr)
	if err != nil {
		return nil, err
	}
	return &seal{vault.Passphrase(passphrase), func() { clear(passphrase) }}, nil
}

// needless refuses a passphrase that would open nothing: its owner might rely on it.
func (f sealFlags) needless(path string, p platform) error {
	if f.passphraseFile == "" {
		return nil
	}
	return fmt.Errorf("%w: %s is sealed by platform %s and has no passphrase: leave --passphrase-file out", cli.ErrUsage, path, p.name)
}

// flags repeats in advice what the next command needs, too, for a folder that is
// bound to a platform or to none.
func (f sealFlags) flags(bound string) string {
	p := f.platform
	tpm := given("--tpm", p.tpm.path, defaultTPM) // also that of a horizon
	if bound == "" {
		return given("--passphrase-file", f.passphraseFile, "") + tpm
	}
	return given("--dev-root", p.devRoot, "") + given("--attestation-dir", p.gramineDir, gramine.Dir) +
		given("--tsm-dir", p.tsmDir, tsm.Dir) + given("--sev-guest-device", p.sevGuest, tsm.Guest) +
		given("--nsm-device", p.nsmDevice, nitro.Device) + given("--collateral-dir", p.collateral, "") +
		tpm + given("--tpm-ak-chain", p.tpmAKChain, "")
}

func given(flag, value, usual string) string {
	if value == usual {
		return ""
	}
	return " " + flag + " " + value
}

// seals says what seals the vault, and what that means.
func (p platform) seals() string {
	if p.Platform == nil {
		return "your passphrase: without it the keys are lost"
	}
	if p.kept {
		return fmt.Sprintf("platform %s: only this program opens it, by the leave of its key keeper", p.name)
	}
	if p.name == "tpm" { // which measures no program
		return "platform tpm: only this machine opens it, under what it has booted"
	}
	return fmt.Sprintf("platform %s: only this program opens it, where it runs now", p.name)
}

// advise says what to do about a seal that does not open the vault. What to do
// about a passphrase the caller knows.
func advise(err error, passphrase string) error {
	switch {
	case errors.Is(err, vault.ErrWrongPassphrase):
		return fmt.Errorf("%w: %s", err, passphrase)
	case errors.Is(err, tee.ErrOtherSeal):
		return fmt.Errorf("%w: start the program that sealed it, on the machine that it was sealed on, with config.yaml, microcode and firmware as they were, and on platform tpm what it had booted (its PCRs); if a reseal was cut off, run it again; another version takes the folder over with: secure-signer hand-over", err)
	case errors.Is(err, vault.ErrNoPassphrase), errors.Is(err, tee.ErrNotSealed):
		return fmt.Errorf("%w: if a reseal was cut off, run it again", err)
	case errors.Is(err, tee.ErrNoSealing):
		return fmt.Errorf("%w: name who keeps its key, by --key-keeper", err)
	}
	return err
}
