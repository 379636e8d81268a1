// Package handover passes what is sealed to one program on to another version of
// it, by the leave of release managers and of nobody else.
//
// Trusted hardware seals to a measurement, so that an update opens nothing. Instead
// the old program, still running, gives one secret to the new one: the data key of
// its vault, from which everything else follows. It does so only if
//
//   - so many release managers as its folder asks for have signed the [Step] from a
//     program like itself to a program like the new one;
//   - evidence proves that the new one is such a program, runs now, and has the key
//     that the secret is sealed to;
//   - it has stopped for good itself: nothing is answered before [Giver.Retire] has
//     returned.
//
// The new program takes a secret only from the old program of the same step, proved
// by evidence just the same: from anybody else it might be one that he knows. And it
// takes it only for a folder with the settings that the old one was sealed under, so
// that whoever owns the machine cannot drop the horizon on the way. With the secret
// it learns the last record of what was signed: a folder that ends elsewhere is an
// older copy, which has forgotten signatures.
//
// Whatever is refused is refused before the old program has stopped, and it goes on.
// An answer that is lost costs a start of the old program, and nothing else.
//
// # Not guaranteed
//
//   - That the old program is never started again on an older copy of the folder.
//     That is a clone, which only a horizon notices: see package rollback.
//   - That the release managers have signed a good program.
//
// The rule who must sign belongs to the folder, and both ends read it there. Whoever
// gives keys to a signer must want that rule: its evidence tells it.
package handover

import (
	"context"
	"crypto/sha256"
	"errors"

	"github.com/secure-signer/secure-signer/attest"
)

// Errors of a hand-over. Whatever else fails before the old program has stopped
// leaves it as it was, too.
var (
	ErrStep    = errors.New("the step is not signed as the folder asks")
	ErrRefused = errors.New("hand-over refused")
	ErrRetired = errors.New("this signer has handed over already")
)

// An Old is the program that gives: a *Giver, or a Client of one that runs elsewhere.
type Old interface {
	Nonce(ctx context.Context) (attest.Nonce, error)
	Give(ctx context.Context, o Offer) (Answer, error)
}

// An Offer is what the new program shows.
type Offer struct {
	Nonce     attest.Nonce    `json:"nonce"`     // the old program's, for this offer alone
	Challenge attest.Nonce    `json:"challenge"` // the new program's, for the answer
	Evidence  attest.Evidence `json:"evidence"`  // of the new program; its claims name the key to seal to
	Step      Signed          `json:"step"`
}

// An Answer is the secret, sealed, and evidence of the old program that it is from
// there.
type Answer struct {
	Sealed   []byte          `json:"sealed"`
	Evidence attest.Evidence `json:"evidence"`
}

// Evidence asks the hardware that a program runs in for evidence. A tee.Platform has
// such a method.
type Evidence func(ctx context.Context, rd attest.ReportData) (attest.Evidence, error)

// A Verifier returns what verifies the evidence that a policy is about. The policy is
// one that release managers have signed: kinds of hardware without a root of their own
// have its roots.
type Verifier func(attest.Policy) attest.Verifier

const secretSize = 32

// Passed is what goes from the old program to the new one.
type Passed struct {
	Secret []byte   // 32 bytes, to be wiped
	Head   [32]byte // names everything that the old program has recorded
}

// Three domains: what evidence of the new program is bound to, what evidence of the
// old one is, and what the secret is sealed with. No other document of
// attest.Claims begins like them.
const (
	offerDomain  = "secure-signer hand-over offer v1\x00"
	answerDomain = "secure-signer hand-over answer v1\x00"
	sealDomain   = "secure-signer hand-over secret v1\x00"
)

// claims are what the evidence of an offer is bound to, besides the nonce.
func (o Offer) claims() attest.Claims {
	return attest.Claims{HPKEKey: o.Evidence.Claims.HPKEKey, Config: o.about(offerDomain)}
}

// info is what the secret is sealed with.
func (o Offer) info() []byte { return append(o.about(sealDomain), o.Nonce[:]...) }

func (o Offer) about(domain string) []byte {
	step := sha256.Sum256(o.Step.Statement)
	return append(append([]byte(domain), o.Challenge[:]...), step[:]...)
}

// claims are what the evidence of an answer is bound to, besides the challenge.
func (a Answer) claims() attest.Claims {
	sealed := sha256.Sum256(a.Sealed)
	return attest.Claims{Config: append([]byte(answerDomain), sealed[:]...)}
}
