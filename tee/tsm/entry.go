package tsm

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/internal/devfile"
)

// The providers, by the names that the kernel gives them.
const (
	providerTDX = "tdx_guest"
	providerSNP = "sev_guest"
)

// An answer is what an entry holds once it has been asked.
type answer struct {
	provider string
	out      []byte // the quote or report
	aux      []byte // the host's certificates, of SEV-SNP
}

// ask makes an entry of its own, asks it once and removes it. Names of entries are
// random, so that nobody has this one by chance. Who shares it on purpose is found
// out by the generation, which counts what was written.
func (p *Platform) ask(rd attest.ReportData) (a answer, err error) {
	entry := filepath.Join(p.dir, "secure-signer-"+rand.Text())
	if err := p.mkdir(entry); err != nil {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			err = fmt.Errorf("%w: this is no guest of TDX or SEV-SNP, or its kernel (6.7 or later, CONFIG_TSM_REPORTS) has no driver loaded (tdx-guest, sev-guest), or configfs is not mounted on /sys/kernel/config", err)
		case errors.Is(err, fs.ErrPermission):
			err = fmt.Errorf("%w: only root may ask for reports", err)
		}
		return answer{}, err
	}
	defer func() { err = errors.Join(err, p.rmdir(entry)) }()
	before, err := generation(entry)
	if err != nil {
		return answer{}, err
	}
	if err := devfile.Write(filepath.Join(entry, "inblob"), rd[:]); err != nil {
		return answer{}, err
	}
	if a.out, err = devfile.Read(filepath.Join(entry, "outblob"), attest.MaxEvidence); err != nil {
		return answer{}, fmt.Errorf("%w: see that the host's quoting service runs, that the guest runs at VMPL 0, and the kernel's log (dmesg)", err)
	}
	provider, err := devfile.Read(filepath.Join(entry, "provider"), attest.MaxEvidence)
	if err != nil {
		return answer{}, err
	}
	a.provider = strings.TrimSpace(string(provider))
	if a.provider == providerSNP { // TDX has no such file
		if a.aux, err = devfile.Read(filepath.Join(entry, "auxblob"), attest.MaxEvidence); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return answer{}, err
		}
	}
	after, err := generation(entry)
	if err == nil && after != before+1 {
		err = fmt.Errorf("somebody else has used the entry %s: nothing else in the machine may", entry)
	}
	return a, err
}

func generation(entry string) (uint64, error) {
	text, err := devfile.Read(filepath.Join(entry, "generation"), attest.MaxEvidence)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
	if err != nil {
		return 0, fmt.Errorf("generation: %w", err)
	}
	return n, nil
}
