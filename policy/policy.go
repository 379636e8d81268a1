// Package policy says who may sign what with which key.
//
// Today it knows one rule, that of kinds; rules per client come with access
// files.
package policy

import (
	"fmt"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/signer"
)

// Kinds allows every caller every kind of message that a validator signs as
// its duty. Deposits and exits are not duties: they move stake, are signed once
// in a validator's life, and a corrupted validator client would love to have
// one. They need to be named.
type Kinds struct {
	exceptional [256]bool
}

// Duties returns the policy that allows every duty and, besides, the kinds in
// also.
func Duties(also ...eth2.Kind) *Kinds {
	p := new(Kinds)
	for _, k := range also {
		p.exceptional[k] = true
	}
	return p
}

// Allow implements signer.Policy. It looks at the parsed kind, never at how a
// client spelt it.
func (p *Kinds) Allow(_ signer.Caller, _ bls.PublicKey, m eth2.Message) error {
	switch k := m.Kind(); k {
	case eth2.KindDeposit, eth2.KindVoluntaryExit:
		if !p.exceptional[k] {
			return fmt.Errorf("%v is not signed over this API by default: start the signer with --allow %v to permit it", k, k)
		}
	}
	return nil
}
