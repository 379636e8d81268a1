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

// Take asks the old program for its secret, 32 bytes, which the caller wipes. When it
// returns nil the old program has stopped for good; when it returns an error it may
// have, and is started again.
func (t Taker) Take(ctx context.Context, old Old) ([]byte, error) {
	step, err := t.Step.Verify(t.Rule) // before anything is asked of the old one
	if err != nil {
		return nil, err
	}
	inbox, err := attest.NewInbox()
	if err != nil {
		return nil, err
	}
	o := Offer{Step: t.Step}
	rand.Read(o.Challenge[:]) // never fails
	if o.Nonce, err = old.Nonce(ctx); err != nil {
		return nil, fmt.Errorf("ask the old program for a nonce: %w", err)
	}
	o.Evidence.Claims.HPKEKey = inbox.PublicKey()
	claims := o.claims()
	rd := claims.ReportData(o.Nonce, nil)
	if o.Evidence, err = t.Evidence(ctx, rd); err != nil {
		return nil, fmt.Errorf("evidence of this program: %w", err)
	}
	o.Evidence.Claims = claims
	if err := judge(t.Verifier, step.To, o.Evidence, rd); err != nil { // or the old one would stop for nothing
		return nil, fmt.Errorf("%w: the step is to another program than this one: %w", ErrRefused, err)
	}
	a, err := old.Give(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("ask the old program: %w", err)
	}
	return t.open(inbox, o, a, step)
}

func (t Taker) open(inbox *attest.Inbox, o Offer, a Answer, step Step) ([]byte, error) {
	if err := judge(t.Verifier, step.From, a.Evidence, a.claims().ReportData(o.Challenge, nil)); err != nil {
		return nil, fmt.Errorf("%w: the old program: %w", ErrRefused, err)
	}
	text, err := inbox.Open(o.info(), a.Sealed)
	if err != nil {
		return nil, fmt.Errorf("the old program's answer: %w", err)
	}
	defer clear(text)
	if len(text) != len(t.Settings)+secretSize {
		return nil, fmt.Errorf("the old program's answer has %d bytes, want %d", len(text), len(t.Settings)+secretSize)
	}
	if [32]byte(text) != t.Settings {
		return nil, fmt.Errorf("%w: the old program's folder is bound to another chain, horizon or release keys than this one: was config.yaml changed?", ErrRefused)
	}
	return append([]byte(nil), text[len(t.Settings):]...), nil
}
