package handover

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/secure-signer/secure-signer/attest"
)

// A Taker is the new program's end. All its fields are required.
type Taker struct {
	Evidence Evidence
	Verifier Verifier
	Rule     Rule
	Settings [32]byte // of the folder that the secret is for
	Step     Signed
}

// Take asks the old program for its secret. When it returns nil the old program has
// stopped for good; when it returns an error it may have, and is started again.
func (t Taker) Take(ctx context.Context, old Old) (p Passed, err error) {
	step, err := t.Step.Verify(t.Rule) // before anything is asked of the old one
	if err != nil {
		return p, err
	}
	inbox, err := attest.NewInbox()
	if err != nil {
		return p, err
	}
	o := Offer{Step: t.Step}
	rand.Read(o.Challenge[:]) // never fails
	if o.Nonce, err = old.Nonce(ctx); err != nil {
		return p, fmt.Errorf("ask the old program for a nonce: %w", err)
	}
	o.Evidence.Claims.HPKEKey = inbox.PublicKey()
	claims := o.claims()
	rd := claims.ReportData(o.Nonce, nil)
	if o.Evidence, err = t.Evidence(ctx, rd); err != nil {
		return p, fmt.Errorf("evidence of this program: %w", err)
	}
	o.Evidence.Claims = claims
	if err := judge(t.Verifier, step.To, o.Evidence, rd); err != nil { // or the old one would stop for nothing
		return p, fmt.Errorf("%w: the step is to another program than this one: %w", ErrRefused, err)
	}
	a, err := old.Give(ctx, o)
	if err != nil {
		return p, fmt.Errorf("ask the old program: %w", err)
	}
	return t.open(inbox, o, a, step)
}

func (t Taker) open(inbox *attest.Inbox, o Offer, a Answer, step Step) (p Passed, err error) {
	if err := judge(t.Verifier, step.From, a.Evidence, a.claims().ReportData(o.Challenge, nil)); err != nil {
		return p, fmt.Errorf("%w: the old program: %w", ErrRefused, err)
	}
	text, err := inbox.Open(o.info(), a.Sealed)
	if err != nil {
		return p, fmt.Errorf("the old program's answer: %w", err)
	}
	defer clear(text)
	if want := len(t.Settings) + len(p.Head) + secretSize; len(text) != want {
		return p, fmt.Errorf("the old program's answer has %d bytes, want %d", len(text), want)
	}
	settings, rest := text[:len(t.Settings)], text[len(t.Settings):]
	if [32]byte(settings) != t.Settings {
		return p, fmt.Errorf("%w: the old program's folder is bound to another chain, horizon or release keys than this one: was config.yaml changed?", ErrRefused)
	}
	copy(p.Head[:], rest)
	p.Secret = append([]byte(nil), rest[len(p.Head):]...)
	return p, nil
}
