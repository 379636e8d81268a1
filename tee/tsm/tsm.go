// Package tsm is a confidential virtual machine, Intel TDX or AMD SEV-SNP, as the
// Linux kernel shows it to what runs inside: by the folder of trusted security
// modules (TSM) in configfs.
//
// # Guaranteed
//
// Evidence is looked into before it is returned: it binds the report data that was
// asked for. The sealing key of SEV-SNP hangs on the chip, the launch measurement,
// the guest's policy (so that a guest in debug mode has another one) and the host
// data.
//
// # Not guaranteed
//
//   - Sealing on TDX: version 1.5 has no key for its guests. Take tee.WithRelease.
//   - That the key of SEV-SNP outlasts an update of AMD's firmware, which has not
//     been tried, or another machine, which it certainly does not. Where the cloud
//     loads a key of its own (VLEK) it is derived from that one.
//   - That older firmware is kept from the key. The TCB version is not mixed in: a
//     fixed one would have to be stored where the host cannot change it, and that
//     of today would end with the next update. A host that can go back to firmware
//     with holes must be refused by the policy of who verifies (min_tcb).
//   - Collateral of TDX, and of SEV-SNP where the host has put no certificates
//     beside the report. See tee.WithCollateral.
//   - Any privilege level but the highest (VMPL 0): there is no support for a service
//     module below the guest (SVSM).
//
// Sources: Linux, Documentation/ABI/testing/configfs-tsm-report and
// Documentation/virt/coco/sev-guest.rst; AMD 56860, SEV-SNP Firmware ABI,
// "ATTESTATION_REPORT" and "MSG_KEY_REQ"; AMD 56421, GHCB, "SNP Extended Guest
// Request"; Intel TDX DCAP Quoting Library API, "TD Quote Format".
package tsm

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"unsafe"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/tee"
)

// Where the kernel has the folder of reports, and the device of an SEV-SNP guest.
const (
	Dir   = "/sys/kernel/config/tsm/report"
	Guest = "/dev/sev-guest"
)

// A Platform implements tee.Platform.
type Platform struct {
	dir, guest string
	turn       tee.Turn // the firmware answers one request at a time anyway

	// What only a kernel can do, for tests to stand in.
	mkdir, rmdir func(path string) error
	ioctl        func(fd, request uintptr, argument unsafe.Pointer) error
}

// New returns the platform with this folder of reports, and this device, which
// need not be there on TDX.
func New(dir, guest string) *Platform {
	return &Platform{
		dir: dir, guest: guest, turn: tee.NewTurn(),
		mkdir: func(path string) error { return os.Mkdir(path, 0o700) },
		rmdir: os.Remove,
		ioctl: ioctl,
	}
}

// Identity implements tee.Platform.
func (p *Platform) Identity(ctx context.Context) (tee.Identity, error) {
	_, r, err := p.report(ctx, attest.ReportData{})
	if err != nil {
		return tee.Identity{}, err
	}
	return r.identity(), nil
}

// Evidence implements tee.Platform.
func (p *Platform) Evidence(ctx context.Context, rd attest.ReportData) (attest.Evidence, error) {
	a, r, err := p.report(ctx, rd)
	if err != nil {
		return attest.Evidence{}, err
	}
	if r.kind() == attest.KindTDX {
		return attest.Evidence{Type: attest.TypeTDX, Value: a.out}, nil
	}
	certs, err := parseTable(a.aux)
	if err != nil {
		return attest.Evidence{}, fmt.Errorf("the host's certificates for SEV-SNP: %w", err)
	}
	return attest.Evidence{Type: attest.TypeSNP, Value: a.out, Collateral: certs}, nil
}

// SealKey implements tee.Platform. The firmware does not mix in the host data, with
// which the host may tell the guest how to run, so it is done here.
func (p *Platform) SealKey(ctx context.Context, label string) ([]byte, error) {
	_, r, err := p.report(ctx, attest.ReportData{})
	if err != nil {
		return nil, err
	}
	snp, ok := r.(snpReport)
	if !ok {
		return nil, fmt.Errorf("TDX: %w: have the key kept elsewhere, with --key-keeper", tee.ErrNoSealing)
	}
	key, err := tee.Take(ctx, p.turn, p.derivedKey)
	if err != nil {
		return nil, fmt.Errorf("get a sealing key from AMD's firmware: %w", err)
	}
	defer clear(key)
	info := "secure-signer sealing key v1 sev-snp\x00" + string(snp.hostData()) + label
	return hkdf.Key(sha256.New, key, nil, info, sha256.Size)
}

// report asks for a report that binds the report data, and reads it.
func (p *Platform) report(ctx context.Context, rd attest.ReportData) (answer, report, error) {
	a, err := tee.Take(ctx, p.turn, func() (answer, error) { return p.ask(rd) })
	if err != nil {
		return answer{}, nil, fmt.Errorf("get a report from the trusted security module: %w", err)
	}
	var r report
	switch a.provider {
	case providerTDX:
		r, err = parseQuote(a.out)
	case providerSNP:
		r, err = parseSNP(a.out)
	default:
		err = fmt.Errorf("it is of provider %q, only %s and %s are read here", a.provider, providerTDX, providerSNP)
	}
	if err != nil {
		return answer{}, nil, fmt.Errorf("the trusted security module's report: %w", err)
	}
	if !bytes.Equal(r.reportData(), rd[:]) {
		return answer{}, nil, errors.New("the trusted security module's report binds other report data than was asked for: restart the virtual machine")
	}
	return a, r, nil
}
