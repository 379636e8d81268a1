// Package gramine is an SGX enclave, as the Gramine library OS shows it to a
// program inside: by files.
//
// # Guaranteed
//
// Evidence is a quote, and is looked into before it is returned: it binds the
// report data that was asked for, whoever else uses the files. The sealing key
// hangs on MRENCLAVE, the hash of the program and its manifest, never on who
// signed it: whoever has a signing key could write a program that reads the
// keys.
//
// # Not guaranteed
//
//   - That the key outlasts an update of the CPU's microcode. Gramine asks the CPU
//     for a key that an older one cannot have, and a newer CPU does not give it.
//   - Collateral: a quote brings its PCK certificate and no more. See
//     tee.WithCollateral.
//   - That this is an enclave at all: whoever is outside can make such files. Only
//     evidence proves it, to somebody else.
//
// Sources: Gramine, "Attestation and Secret Provisioning", "Low-level
// /dev/attestation interface"; Intel SDM, volume 3D, "REPORT"; Intel SGX DCAP ECDSA
// Quote Library API, "Quote Format".
package gramine

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/internal/devfile"
	"github.com/secure-signer/secure-signer/tee"
)

// Dir is where Gramine has the files.
const Dir = "/dev/attestation"

// A Platform implements tee.Platform.
type Platform struct {
	dir  string
	turn tee.Turn // report data goes in by one file, the quote comes out of another
}

// New returns the platform whose files are in dir.
func New(dir string) *Platform { return &Platform{dir, tee.NewTurn()} }

// Identity implements tee.Platform.
func (p *Platform) Identity(ctx context.Context) (tee.Identity, error) {
	_, report, err := p.quote(ctx, attest.ReportData{})
	if err != nil {
		return tee.Identity{}, err
	}
	return tee.Identity{
		Kind:         attest.KindSGX,
		Measurements: map[string]attest.Hex{"mrenclave": report.mrEnclave()},
		Signer:       report.mrSigner(),
		Debug:        report.debug(),
		Lacks: []string{
			"an update of the processor's microcode changes the sealing key: hand the keys over before it, or be able to import them again",
		},
	}, nil
}

// Evidence implements tee.Platform.
func (p *Platform) Evidence(ctx context.Context, rd attest.ReportData) (attest.Evidence, error) {
	quote, _, err := p.quote(ctx, rd)
	if err != nil {
		return attest.Evidence{}, err
	}
	return attest.Evidence{Type: attest.TypeSGX, Value: quote}, nil
}

// keySize is that of what EGETKEY returns.
const keySize = 16

// SealKey implements tee.Platform. The CPU's key is the same for everything that
// the enclave seals, Gramine's encrypted files perhaps included: the label
// separates.
func (p *Platform) SealKey(ctx context.Context, label string) ([]byte, error) {
	key, err := tee.Take(ctx, p.turn, func() ([]byte, error) {
		return devfile.Read(filepath.Join(p.dir, "keys", "_sgx_mrenclave"), attest.MaxEvidence)
	})
	if err != nil {
		return nil, fmt.Errorf("read the enclave's key: %w", advise(err))
	}
	defer clear(key)
	if len(key) != keySize || bytes.Equal(key, make([]byte, keySize)) {
		return nil, fmt.Errorf("the enclave's key, _sgx_mrenclave, is no key: %d bytes, want %d that are not all zero; it must come from the CPU", len(key), keySize)
	}
	return hkdf.Key(sha256.New, key, nil, "secure-signer sealing key v1 sgx mrenclave\x00"+label, sha256.Size)
}

// quote returns a quote that binds the report data, and the report in it.
func (p *Platform) quote(ctx context.Context, rd attest.ReportData) ([]byte, report, error) {
	quote, err := tee.Take(ctx, p.turn, func() ([]byte, error) {
		if err := devfile.Write(filepath.Join(p.dir, "user_report_data"), rd[:]); err != nil {
			return nil, err
		}
		return devfile.Read(filepath.Join(p.dir, "quote"), attest.MaxEvidence)
	})
	if err != nil {
		return nil, nil, fmt.Errorf("get an SGX quote: %w", advise(err))
	}
	r, err := parseQuote(quote)
	if err != nil {
		return nil, nil, fmt.Errorf("the SGX quote: %w", err)
	}
	if !bytes.Equal(r.reportData(), rd[:]) {
		return nil, nil, errors.New("the SGX quote binds other report data than was asked for: nothing else in the enclave may use " + p.dir)
	}
	return quote, r, nil
}

// advise says what to do about a file that cannot be used.
func advise(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf(`%w: run this program by gramine-sgx, with sgx.remote_attestation = "dcap" in its manifest`, err)
	}
	return fmt.Errorf("%w: see that the host's quoting service (aesmd or qgsd) runs and knows this machine", err)
}

// A report is what a quote is about.
type report []byte

const (
	headerSize = 48
	reportSize = 384
)

func (r report) mrEnclave() attest.Hex { return attest.Hex(r[64:96]) }
func (r report) mrSigner() attest.Hex  { return attest.Hex(r[128:160]) }
func (r report) reportData() []byte    { return r[320:384] }

// debug is bit 1 of the attributes: the host may read and write the enclave's
// memory.
func (r report) debug() bool { return r[48]&2 != 0 }

// parseQuote finds the report. Nothing is proved by it.
func parseQuote(quote []byte) (report, error) {
	if len(quote) < headerSize+reportSize {
		return nil, fmt.Errorf("%d bytes are none: see the log of the host's quoting service", len(quote))
	}
	version, kind := binary.LittleEndian.Uint16(quote), binary.LittleEndian.Uint32(quote[4:])
	if version != 3 && version != 4 || kind != 0 {
		return nil, fmt.Errorf("version %d for TEE type %#x is not read here, only 3 and 4 of SGX", version, kind)
	}
	return report(quote[headerSize : headerSize+reportSize : headerSize+reportSize]), nil
}
