// Package measure tells from a file alone what hardware will say of it once it
// runs, so that a policy can name it before anything has run.
//
// It takes what can be recomputed without the maker's tools: the SIGSTRUCT of an SGX
// enclave, the image of a Nitro enclave, the kernel and firmware of an SEV-SNP guest
// under QEMU, and the program itself, which is not measured by itself but is what the
// others were made of. Not the registers of a TDX guest: they follow from an event log
// that the host's firmware writes as it likes (docs/hardware.md).
//
// Files are hostile: a parser refuses whatever is not in the one form that the
// makers' tools write, and never panics.
//
// Not promised: that a program is the one whose source you have read. Build it
// again and compare (`make release`).
package measure

import "github.com/secure-signer/secure-signer/attest"

// A Report is what a file says of itself, checked.
type Report struct {
	// Accept is what evidence will prove, for the member "accept" of an
	// attest.Policy. It is nil where Problems are, and for what no hardware measures
	// by itself.
	Accept *attest.Identity `json:"accept,omitempty"`

	Facts    map[string]string `json:"facts"`
	Problems []string          `json:"problems,omitempty"` // each is a reason to give it no key
}

// accept fills in who is to be accepted, unless something speaks against it.
func (r Report) accept(id attest.Identity) Report {
	if len(r.Problems) == 0 {
		r.Accept = &id
	}
	return r
}
