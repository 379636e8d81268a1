package main

import (
	"bytes"
	"context"
	"fmt"
	"os"

	"github.com/spf13/pflag"

	"github.com/secure-signer/secure-signer/tpmlink"
)

// tpmFlags say where the machine's TPM is, and whose word is taken that it is one.
type tpmFlags struct {
	path         string
	roots        string
	certificate  string
	unverified   bool
	passwordFile string
}

const defaultTPM = "/dev/tpmrm0" // shared with other programs by the kernel

// define adds the flag that every command with a TPM has.
func (f *tpmFlags) define(flags *pflag.FlagSet) {
	flags.StringVar(&f.path, "tpm", defaultTPM, "`device` or socket of the TPM, where the folder uses one")
}

// defineTrust adds those of a command that makes something in the TPM.
func (f *tpmFlags) defineTrust(flags *pflag.FlagSet) {
	flags.StringVar(&f.roots, "tpm-ek-roots", "", "`folder` with the root certificates of the TPM's maker: none is built in")
	flags.StringVar(&f.certificate, "tpm-ek-cert", "", "`file` with the certificate of the TPM's endorsement key, where the TPM has none")
	flags.BoolVar(&f.unverified, "tpm-unverified", false, "take any TPM, also a program that says it is one: to try it out, it protects from nothing")
	flags.StringVar(&f.passwordFile, "tpm-owner-password-file", "", "`file` with the password of the TPM's owner hierarchy, where it has one")
}

func (f tpmFlags) trust() (trust tpmlink.Trust, err error) {
	trust.Unverified = f.unverified
	if f.roots != "" {
		if trust.Roots, err = tpmlink.LoadRoots(f.roots); err != nil {
			return trust, fmt.Errorf("--tpm-ek-roots: %w", err)
		}
	}
	if f.certificate != "" {
		if trust.Certificate, err = os.ReadFile(f.certificate); err != nil {
			return trust, fmt.Errorf("--tpm-ek-cert: %w", err)
		}
	}
	return trust, nil
}

// owner returns the password of the owner hierarchy, mostly none.
func (f tpmFlags) owner() ([]byte, error) {
	if f.passwordFile == "" {
		return nil, nil
	}
	password, err := os.ReadFile(f.passwordFile)
	if err != nil {
		return nil, fmt.Errorf("--tpm-owner-password-file: %w", err)
	}
	return bytes.TrimRight(password, "\r\n"), nil
}

// endorse opens the TPM and finds out which one it is.
func (f tpmFlags) endorse(ctx context.Context) (*tpmlink.Link, tpmlink.Endorsement, error) {
	trust, err := f.trust()
	if err != nil {
		return nil, tpmlink.Endorsement{}, err
	}
	link, err := tpmlink.Open(ctx, f.path)
	if err != nil {
		return nil, tpmlink.Endorsement{}, err
	}
	e, err := link.Endorse(ctx, trust)
	if err != nil {
		_ = link.Close()
	}
	return link, e, err
}
