// Package tee is the trusted hardware that this process runs in: who it is, what
// it can prove, and what it can keep.
//
// Each kind of hardware is a package below this one, and the daemon takes any of
// them: dev (none: a test root's word), gramine (Intel SGX), tsm (Intel TDX and
// AMD SEV-SNP), nitro (AWS Nitro Enclaves) and tpm (a plain host with a TPM). The
// suite that each must pass is package teetest.
//
// # Guaranteed
//
// What Evidence returns is bound to the report data that it was asked for. What a
// Sealer has sealed is opened only by the same program, as the hardware measures
// it, on the same hardware or by the leave of the same key keeper, and under the
// same settings.
//
// # Not guaranteed
//
//   - Freshness. No hardware here, the TPM's counters excepted, can tell an older
//     disk or a second copy of this process from the original: see package rollback.
//   - Anything against whoever opens the machine and reads its memory bus.
//   - The time: clocks are the host's.
package tee

import (
	"context"
	"errors"

	"github.com/secure-signer/secure-signer/attest"
)

// A Platform is one kind of trusted hardware, seen from inside. Its methods may be
// called concurrently. They may be slow: a quote takes up to seconds.
type Platform interface {
	// Identity is what the hardware says of this very process.
	Identity(ctx context.Context) (Identity, error)

	// Evidence is a proof of Identity that binds the report data. Its collateral is
	// what the hardware itself brings, which may be less than a verifier needs: see
	// WithCollateral.
	Evidence(ctx context.Context, rd attest.ReportData) (attest.Evidence, error)

	// SealKey returns 32 bytes that only the same program gets again, on the same
	// hardware, for the same label. The caller wipes them. The error is ErrNoSealing
	// where the hardware has no such key.
	SealKey(ctx context.Context, label string) ([]byte, error)
}

// ErrNoSealing means that this hardware keeps no key for its guest: take WithRelease.
var ErrNoSealing = errors.New("this hardware cannot seal")

// An Identity is what is known of a program from inside, to be shown and compared.
// It proves nothing to anybody else.
type Identity struct {
	Kind         attest.Kind
	Measurements map[string]attest.Hex // as in attest.Result
	Signer       attest.Hex            // who signed the program; empty if nobody did or the hardware does not say
	Debug        bool                  // the host may read and change everything inside

	// Lacks says, in a sentence each, what this hardware cannot do.
	Lacks []string
}
