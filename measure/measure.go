// Package measure tells from a file alone what hardware will say of it once it
// runs, so that a policy can name it before anything has run.
//
// It takes what can be recomputed from one file without the maker's tools: the
// SIGSTRUCT of an SGX enclave, the image of a Nitro enclave, and the program
// itself, which is not measured by itself but is what the others were made of.
// MRTD of a TDX guest and the launch digest of an SEV-SNP guest depend on the
// host's firmware and on how many processors it gives: their makers' tools compute
// them (docs/hardware.md).
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
