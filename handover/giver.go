package handover

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/secure-signer/secure-signer/attest"
)

// A Giver is the old program's end. All its fields are required.
type Giver struct {
	Evidence Evidence
	Verifier Verifier // of what either end shows
	Rule     Rule
	Settings [32]byte // what the secret is sealed under

	// Wrap gives the secret, 32 bytes, to seal, and returns what that returns. It is
	// called before and after Retire.
	Wrap func(seal func(secret []byte) ([]byte, error)) ([]byte, error)

	// Retire returns once this process can sign nothing any more, nor anybody after it
	// until the folder is opened again. Head names everything that was recorded.
	Retire func() (head [32]byte, err error)

	mu      sync.Mutex // one offer at a time
	nonce   *attest.Nonce
	expires time.Time
	retired bool
}

// nonceTime is how long a nonce is good. Evidence takes up to a minute.
const nonceTime = 5 * time.Minute

// Nonce returns a nonce for one offer. It makes the one before it void.
func (g *Giver) Nonce(context.Context) (attest.Nonce, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var nonce attest.Nonce
	rand.Read(nonce[:]) // never fails
	g.nonce, g.expires = &nonce, time.Now().Add(nonceTime)
	return nonce, nil
}

// Give judges an offer and answers it. The order is the safety argument: all that
// can be refused is refused first, an answer that is thrown away included; then this
// program stops; then it answers.
func (g *Giver) Give(ctx context.Context, o Offer) (Answer, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.retired {
		return Answer{}, ErrRetired
	}
	expected := g.nonce
	g.nonce = nil
	if expected == nil || o.Nonce != *expected || !time.Now().Before(g.expires) {
		return Answer{}, fmt.Errorf("%w: its nonce is not the last one that was given, or too old: ask again", ErrRefused)
	}
	step, err := o.Step.Verify(g.Rule)
	if err != nil {
		return Answer{}, err
	}
	if err := judge(g.Verifier, step.To, o.Evidence, o.claims().ReportData(o.Nonce, nil)); err != nil {
		return Answer{}, fmt.Errorf("%w: the new program: %w", ErrRefused, err)
	}
	if _, err := g.answer(ctx, o, step, [32]byte{}); err != nil {
		return Answer{}, err
	}
	g.retired = true
	head, err := g.Retire()
	if err != nil {
		return Answer{}, fmt.Errorf("stop signing: %w", err)
	}
	return g.answer(ctx, o, step, head)
}

// Wait returns once no offer is being judged or answered.
func (g *Giver) Wait() {
	g.mu.Lock()
	defer g.mu.Unlock()
}

// answer seals what passes, and makes sure that the other end will believe it.
func (g *Giver) answer(ctx context.Context, o Offer, step Step, head [32]byte) (a Answer, err error) {
	a.Sealed, err = g.Wrap(func(secret []byte) ([]byte, error) {
		if len(secret) != secretSize {
			return nil, fmt.Errorf("the secret has %d bytes, want %d", len(secret), secretSize)
		}
		text := slices.Concat(g.Settings[:], head[:], secret)
		defer clear(text)
		return attest.SealTo(o.Evidence.Claims.HPKEKey, o.info(), text)
	})
	if err != nil {
		return Answer{}, fmt.Errorf("seal the secret: %w", err)
	}
	rd := a.claims().ReportData(o.Challenge, nil)
	if a.Evidence, err = g.Evidence(ctx, rd); err != nil {
		return Answer{}, fmt.Errorf("evidence of this program: %w", err)
	}
	if err := judge(g.Verifier, step.From, a.Evidence, rd); err != nil {
		return Answer{}, fmt.Errorf("%w: the step is from another program than this one: %w", ErrRefused, err)
	}
	return a, nil
}

// judge verifies evidence and holds it against one end of a step.
func judge(v Verifier, p attest.Policy, ev attest.Evidence, want attest.ReportData) error {
	result, err := v(p).Verify(ev, time.Now())
	if err != nil {
		return err
	}
	return p.Judge(result, want)
}
