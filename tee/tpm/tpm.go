// Package tpm is a plain host with a TPM 2.0 as a tee.Platform: it seals keys to
// the machine and to what it booted, and proves to others what that was.
//
// It is the weakest platform. A TPM measures what boots and keeps its own secrets;
// the program runs on the host, whose owner can read its memory. What it is good
// for: a disk that is stolen, copied or put into another machine opens nothing, and
// neither does this machine under another system, as far as the chosen registers
// (PCRs) tell systems apart.
//
// # Guaranteed
//
//   - SealKey's key is made by the TPM from a seed that never leaves it, anew each
//     time and the same each time: nothing is stored. The TPM gives it only while the
//     chosen PCRs have the values that they have now. On its way it is encrypted to
//     the TPM that was endorsed, and nobody on the way can give another instead.
//   - Evidence is a quote that the TPM signed with a key which signs nothing but
//     what the TPM itself made, and that verified here before it is given away.
//
// # Not guaranteed
//
//   - That it is this program which asks. Whoever is root on the machine can have
//     the same key and the same quotes, for any report data, as long as the PCRs
//     allow it.
//   - That the attestation key (AK) belongs to a TPM, to anybody else. No maker
//     certifies AKs: evidence comes with the bare key, and proves no more than that its
//     holder signed, until the verifier pins it or somebody certifies it (see
//     Config.AKChain). Who does must first have seen, by credential activation against
//     the maker's certificate of the endorsement key, that the AK is in that TPM.
//
// Sources: TPM 2.0 Library Specification, part 1, 19.7 (policies), 27.3
// (primary keys); part 3, 15.5 (TPM2_HMAC), 18.4 (TPM2_Quote), 23.7
// (TPM2_PolicyPCR).
package tpm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/attest/tpm"
	"github.com/secure-signer/secure-signer/tee"
	"github.com/secure-signer/secure-signer/tpmlink"
)

// Config says what the platform seals to, and who has certified its AK.
type Config struct {
	// PCRs are the registers, of SHA-256, that keys are sealed to and evidence is
	// about; DefaultPCRs if there are none. Other PCRs are another platform: what was
	// sealed to one set is not opened with another.
	PCRs []int

	// AKChain is the certificate of the AK and the chain above it, the root last, in
	// DER one after the other. Without it evidence comes with the bare key.
	AKChain []byte
}

// DefaultPCRs returns what keys are sealed to unless something else is asked for:
// PCR 7, whether and by whose keys secure boot checked what was booted. It changes
// when those keys do, and not with every kernel, after which no key could be opened
// any more. Add PCR 11 (the kernel and initrd of a unified kernel image), or 4 and 9
// (boot loader, kernel and initrd otherwise) where every update is accompanied.
func DefaultPCRs() []int { return []int{7} }

// A Platform implements tee.Platform.
type Platform struct {
	link        *tpmlink.Link
	endorsement tpmlink.Endorsement
	pcrs        []uint // ascending
	akChain     []byte
}

// Open returns the platform of a TPM, and asks it for evidence once. The link must
// stay open as long as the platform is used.
func Open(ctx context.Context, link *tpmlink.Link, e tpmlink.Endorsement, cfg Config) (*Platform, error) {
	pcrs, err := choose(cfg.PCRs)
	if err != nil {
		return nil, err
	}
	p := &Platform{link: link, endorsement: e, pcrs: pcrs, akChain: cfg.AKChain}
	if _, err := p.Identity(ctx); err != nil {
		return nil, err
	}
	return p, nil
}

func choose(pcrs []int) ([]uint, error) {
	if len(pcrs) == 0 {
		pcrs = DefaultPCRs()
	}
	var chosen []uint
	for _, pcr := range slices.Compact(slices.Sorted(slices.Values(pcrs))) {
		switch {
		case pcr < 0 || pcr > 23:
			return nil, fmt.Errorf("PCR %d: a TPM has 0 to 23", pcr)
		case pcr >= 16:
			return nil, fmt.Errorf("PCR %d: software may reset it while the machine runs, so it proves nothing: choose among 0 to 15", pcr)
		}
		chosen = append(chosen, uint(pcr))
	}
	return chosen, nil
}

// Identity implements tee.Platform. Its measurements are the PCRs.
func (p *Platform) Identity(ctx context.Context) (tee.Identity, error) {
	q, err := p.quote(ctx, attest.ReportData{})
	if err != nil {
		return tee.Identity{}, err
	}
	id := tee.Identity{
		Kind:         attest.KindTPM,
		Measurements: q.result.Measurements,
		Lacks: []string{
			"a TPM keeps nobody out of the machine: whoever is root on it can read every key while the signer runs",
			"its measurements say what was booted, and nothing of which program asks",
		},
	}
	for _, name := range slices.Sorted(maps.Keys(id.Measurements)) {
		if bytes.Equal(id.Measurements[name], make([]byte, sha256.Size)) {
			id.Lacks = append(id.Lacks, name+" is zero: nothing was measured into it, so it tells no system from another")
		}
	}
	if len(p.akChain) == 0 {
		id.Lacks = append(id.Lacks, "nobody has certified its attestation key: evidence proves something only to who has pinned that key")
	}
	if !p.endorsement.Verified() {
		id.Lacks = append(id.Lacks, "its TPM is unverified: it may be a program of the host's, which knows every key that is sealed by it")
	}
	return id, nil
}

// Evidence implements tee.Platform.
func (p *Platform) Evidence(ctx context.Context, rd attest.ReportData) (attest.Evidence, error) {
	q, err := p.quote(ctx, rd)
	if err != nil {
		return attest.Evidence{}, err
	}
	return q.evidence, nil
}

// A quote is evidence, and what it proves to who trusts its AK.
type quote struct {
	evidence attest.Evidence
	result   attest.Result
}

func (p *Platform) quote(ctx context.Context, rd attest.ReportData) (quote, error) {
	ev, err := p.ask(ctx, rd)
	if err != nil {
		return quote{}, fmt.Errorf("get a quote from the TPM: %w", err)
	}
	ak := ev.Collateral[tpm.AKPublic]
	result, err := tpm.Verifier{Roots: []attest.Digest{sha256.Sum256(ak)}}.Verify(ev, time.Now())
	if err != nil {
		return quote{}, fmt.Errorf("the TPM's own quote does not verify: %w", err)
	}
	if len(p.akChain) > 0 {
		if err := certifies(p.akChain, ak); err != nil {
			return quote{}, err
		}
		delete(ev.Collateral, tpm.AKPublic)
		ev.Collateral[tpm.AKChain] = p.akChain
	}
	return quote{ev, result}, nil
}

func certifies(chain, ak []byte) error {
	certs, err := x509.ParseCertificates(chain)
	if err != nil {
		return fmt.Errorf("chain of the attestation key: %w", err)
	}
	if len(certs) == 0 || !bytes.Equal(certs[0].RawSubjectPublicKeyInfo, ak) {
		return errors.New("chain of the attestation key: its first certificate is not that of this TPM's key: have the key certified that signerctl attest verify shows")
	}
	return nil
}
