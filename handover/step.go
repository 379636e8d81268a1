package handover

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"

	"github.com/secure-signer/secure-signer/attest"
)

// A Step is what release managers sign: a program that From accepts may hand over to
// one that To accepts. It says both, so that no signature serves for the way back.
type Step struct {
	From attest.Policy `json:"from"`
	To   attest.Policy `json:"to"`
}

// A Signed is a step with signatures. They are over the very bytes of the statement:
// what is signed means the same to every release.
type Signed struct {
	Statement  []byte      `json:"statement"` // a Step in JSON
	Signatures []Signature `json:"signatures"`
}

// A Signature is one release manager's, by Ed25519.
type Signature struct {
	Key       attest.Hex `json:"key"`
	Signature attest.Hex `json:"signature"`
}

// A Rule says who must have signed: Threshold of the Keys.
type Rule struct {
	Threshold int
	Keys      []ed25519.PublicKey
}

// MaxStep is the most that Parse reads, in bytes.
const MaxStep = 64 << 10

// stepDomain begins what is signed, so that a release key's other signatures say
// nothing.
const stepDomain = "secure-signer hand-over step v1\x00"

// New returns a step that nobody has signed.
func New(s Step) (Signed, error) {
	if err := s.check(); err != nil {
		return Signed{}, err
	}
	statement, err := json.Marshal(s, json.Deterministic(true))
	if err != nil {
		return Signed{}, fmt.Errorf("write step: %w", err)
	}
	return Signed{Statement: statement}, nil
}

// Parse reads a step with its signatures from JSON, strictly. It verifies none.
func Parse(text []byte) (Signed, error) {
	if len(text) > MaxStep {
		return Signed{}, fmt.Errorf("the step has %d bytes, at most %d are read", len(text), MaxStep)
	}
	var s Signed
	if err := decodeStrict(text, &s); err != nil {
		return Signed{}, fmt.Errorf("the step is not as signerctl release sign-step writes it: %w", err)
	}
	return s, nil
}

// Sign adds a signature, or puts it in the place of that of the same key.
func (s *Signed) Sign(key ed25519.PrivateKey) {
	public := attest.Hex(key.Public().(ed25519.PublicKey))
	signature := Signature{public, ed25519.Sign(key, s.message())}
	if i := slices.IndexFunc(s.Signatures, func(o Signature) bool { return bytes.Equal(o.Key, public) }); i >= 0 {
		s.Signatures[i] = signature
		return
	}
	s.Signatures = append(s.Signatures, signature)
}

func (s Signed) message() []byte { return append([]byte(stepDomain), s.Statement...) }

// Signers returns the keys that have signed, each once. Whose they are is not said.
func (s Signed) Signers() (keys []ed25519.PublicKey) {
	message := s.message()
	for _, signature := range s.Signatures {
		key := ed25519.PublicKey(signature.Key)
		known := slices.ContainsFunc(keys, func(k ed25519.PublicKey) bool { return k.Equal(key) })
		if len(key) == ed25519.PublicKeySize && !known && ed25519.Verify(key, message, signature.Signature) {
			keys = append(keys, key)
		}
	}
	return keys
}

// Step returns what is stated, whoever has signed it.
func (s Signed) Step() (Step, error) {
	var step Step
	if err := decodeStrict(s.Statement, &step); err != nil {
		return Step{}, fmt.Errorf("step: %w", err)
	}
	return step, step.check()
}

// Verify returns the step if the rule is met, else ErrStep. A rule without keys is
// met by nothing.
func (s Signed) Verify(r Rule) (Step, error) {
	if r.Threshold < 1 || len(r.Keys) == 0 {
		return Step{}, fmt.Errorf("%w: the folder names no release keys, so that it can never be handed over: make a new one with init --release-key, and import the keys there", ErrStep)
	}
	signed := 0
	for _, key := range s.Signers() {
		if slices.ContainsFunc(r.Keys, func(k ed25519.PublicKey) bool { return k.Equal(key) }) {
			signed++
		}
	}
	if signed < r.Threshold {
		return Step{}, fmt.Errorf("%w: %d of its signatures are by release keys of the folder, and %d of %d must have signed", ErrStep, signed, r.Threshold, len(r.Keys))
	}
	return s.Step()
}

// check refuses a step that lets the host look in, or that says what no evidence of
// a hand-over can show.
func (s Step) check() error {
	for _, end := range []struct {
		name   string
		policy attest.Policy
	}{{"from", s.From}, {"to", s.To}} {
		switch p := end.policy; {
		case len(p.Accept) == 0:
			return fmt.Errorf("step: %q accepts no program", end.name)
		case p.AllowDebug:
			return fmt.Errorf("step: %q allows debug mode, in which the host reads every key", end.name)
		case len(p.Settings) > 0:
			return fmt.Errorf("step: %q speaks of settings: leave them out, the folder keeps those that it has", end.name)
		}
	}
	return nil
}

// decodeStrict decodes one JSON value and refuses members that v does not have, that
// come twice or in another case, and anything after the value.
func decodeStrict(text []byte, v any) error {
	return json.Unmarshal(text, v, json.RejectUnknownMembers(true))
}
