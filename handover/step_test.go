package handover

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAStepComesBackAsItWasSigned(t *testing.T) {
	w := newWorld(t)
	text, err := json.Marshal(w.taker.Step)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	step, err := got.Verify(w.taker.Rule)
	if diff := cmp.Diff(Step{From: w.accepts(w.before), To: w.accepts(w.after)}, step); err != nil || diff != "" {
		t.Errorf("%v, step (-want +got):\n%s", err, diff)
	}
	got.Sign(w.managers[0])
	if len(got.Signatures) != 2 || len(got.Signers()) != 2 {
		t.Errorf("signed again there are %d signatures by %d keys, want 2", len(got.Signatures), len(got.Signers()))
	}
}

// TestEveryByteOfAStepIsSigned flips each of the statement and of one signature.
func TestEveryByteOfAStepIsSigned(t *testing.T) {
	w := newWorld(t)
	s := w.taker.Step
	flip := func(part []byte) {
		for i := range part {
			part[i] ^= 1
			if _, err := s.Verify(w.taker.Rule); !errors.Is(err, ErrStep) {
				t.Errorf("byte %d: %v, want %v", i, err, ErrStep)
			}
			part[i] ^= 1
		}
	}
	flip(s.Statement)
	flip(s.Signatures[1].Signature)
	flip(s.Signatures[1].Key)
	if _, err := s.Verify(w.taker.Rule); err != nil {
		t.Errorf("as it was: %v", err)
	}
}

func TestWhatIsNoStepIsNotParsed(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":               ``,
		"another member":        `{"statement":"e30=","signatures":[],"note":1}`,
		"a member twice":        `{"statement":"e30=","statement":"e30=","signatures":[]}`,
		"a member in capitals":  `{"Statement":"e30=","signatures":[]}`,
		"something behind":      `{"statement":"e30=","signatures":[]}{}`,
		"a statement in clear":  `{"statement":{},"signatures":[]}`,
		"too much":              `{"statement":"` + string(bytes.Repeat([]byte("e30="), MaxStep/4)) + `","signatures":[]}`,
		"a signature in base64": `{"statement":"e30=","signatures":[{"key":"AA==","signature":""}]}`,
	} {
		if s, err := Parse([]byte(text)); err == nil {
			t.Errorf("%s: %v", name, s)
		}
	}
	for _, statement := range []string{``, `{}`, `null`, `{"from":{},"to":{},"and":{}}`, `{"from":{},"from":{},"to":{}}`} {
		if step, err := (Signed{Statement: []byte(statement)}).Step(); err == nil {
			t.Errorf("%s: %v", statement, step)
		}
	}
}

// FuzzParse holds that hostile text never panics and never meets a rule.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"statement":"eyJmcm9tIjp7fSwidG8iOnt9fQ==","signatures":[{"key":"0x00","signature":"0x00"}]}`))
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	rule := Rule{Threshold: 1, Keys: []ed25519.PublicKey{key.Public().(ed25519.PublicKey)}}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := Parse(text)
		if err != nil {
			return
		}
		_, _ = s.Step()
		if step, err := s.Verify(rule); err == nil {
			t.Errorf("%s is signed: %v", text, step)
		}
	})
}
