package handover

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/attest"
	attestdev "github.com/secure-signer/secure-signer/attest/dev"
	"github.com/secure-signer/secure-signer/tee/dev"
)

// A world is one folder, two programs and three release managers of whom two must
// sign.
type world struct {
	verifier Verifier
	before   *dev.Platform
	after    *dev.Platform
	managers []ed25519.PrivateKey
	giver    *Giver
	taker    Taker
	retired  int
	failing  error // of Retire
}

var (
	secret   = bytes.Repeat([]byte{42}, secretSize)
	settings = [32]byte{9}
	head     = [32]byte{8}
)

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{}
	root := filepath.Join(t.TempDir(), "root")
	for _, p := range []struct {
		platform    **dev.Platform
		measurement string
	}{{&w.before, "before"}, {&w.after, "after"}} {
		opened, err := dev.Open(root)
		if err != nil {
			t.Fatal(err)
		}
		opened.Measurement = attest.Hex(p.measurement)
		*p.platform = opened
	}
	roots := []attest.Digest{w.before.Root()}
	w.verifier = func(attest.Policy) attest.Verifier { return attestdev.Verifier{Roots: roots} }
	var rule Rule
	for i := range 3 {
		key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(i + 1)}, ed25519.SeedSize))
		w.managers = append(w.managers, key)
		rule.Keys = append(rule.Keys, key.Public().(ed25519.PublicKey))
	}
	rule.Threshold = 2
	w.giver = &Giver{
		Evidence: w.before.Evidence, Verifier: w.verifier, Rule: rule, Settings: settings,
		Wrap:   func(seal func([]byte) ([]byte, error)) ([]byte, error) { return seal(secret) },
		Retire: func() ([32]byte, error) { w.retired++; return head, w.failing },
	}
	w.taker = Taker{Evidence: w.after.Evidence, Verifier: w.verifier, Rule: rule, Settings: settings}
	w.taker.Step = w.step(t, w.before, w.after, 0, 1)
	return w
}

// accepts is a policy for one program.
func (w *world) accepts(p *dev.Platform) attest.Policy {
	return attest.Policy{
		Accept: []attest.Identity{{Kind: attest.KindDev, Measurements: map[string]attest.Hex{"measurement": p.Measurement}}},
		Roots:  []attest.Digest{p.Root()},
		TCB:    []attest.TCBStatus{attest.TCBUnrated},
		MaxAge: attest.Duration(time.Hour),
	}
}

func (w *world) step(t *testing.T, from, to *dev.Platform, managers ...int) Signed {
	t.Helper()
	s, err := New(Step{From: w.accepts(from), To: w.accepts(to)})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range managers {
		s.Sign(w.managers[m])
	}
	return s
}

func TestASignedStepPassesTheSecret(t *testing.T) {
	for _, way := range []string{"in one process", "over HTTP"} {
		t.Run(way, func(t *testing.T) {
			w := newWorld(t)
			var old Old = w.giver
			if way == "over HTTP" {
				server := httptest.NewServer(Handler(w.giver, slog.New(slog.DiscardHandler)))
				defer server.Close()
				old = Client{URL: server.URL + "/", HTTP: server.Client()}
			}
			got, err := w.taker.Take(t.Context(), old)
			if err != nil || !bytes.Equal(got.Secret, secret) || got.Head != head {
				t.Fatalf("got %x, %v", got, err)
			}
			if w.retired != 1 {
				t.Errorf("the old program has stopped %d times, want once", w.retired)
			}
			if _, err := w.taker.Take(t.Context(), old); err == nil || w.retired != 1 {
				t.Errorf("a second time: %v, and the old one has stopped %d times", err, w.retired)
			}
		})
	}
}

// TestNothingIsAnsweredBeforeTheOldProgramHasStopped: a secret that is out while the
// old program signs makes two that sign.
func TestNothingIsAnsweredBeforeTheOldProgramHasStopped(t *testing.T) {
	w := newWorld(t)
	w.failing = errors.New("the journal does not close")
	a, err := w.offer(t, w.giver)
	if !errors.Is(err, w.failing) || a.Sealed != nil || a.Evidence.Value != nil {
		t.Errorf("got %v, %v", a, err)
	}
	if _, err := w.offer(t, w.giver); !errors.Is(err, ErrRetired) {
		t.Errorf("afterwards: %v, want %v", err, ErrRetired)
	}
}

// offer is what an honest new program asks, without what it checks by itself.
func (w *world) offer(t *testing.T, old Old, change ...func(*Offer)) (Answer, error) {
	t.Helper()
	inbox, err := attest.NewInbox()
	if err != nil {
		t.Fatal(err)
	}
	o := Offer{Step: w.taker.Step, Challenge: attest.Nonce{1}}
	if o.Nonce, err = old.Nonce(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.Evidence.Claims.HPKEKey = inbox.PublicKey()
	claims := o.claims()
	if o.Evidence, err = w.taker.Evidence(t.Context(), claims.ReportData(o.Nonce, nil)); err != nil {
		t.Fatal(err)
	}
	o.Evidence.Claims = claims
	for _, change := range change {
		change(&o)
	}
	return old.Give(t.Context(), o)
}

func TestTheOldProgramRefusesAndGoesOn(t *testing.T) {
	tests := []struct {
		name   string
		world  func(t *testing.T, w *world)
		change func(*Offer)
		want   error
		says   string
	}{
		{"a step that one has signed", func(t *testing.T, w *world) { w.taker.Step = w.step(t, w.before, w.after, 0) }, nil, ErrStep, "1 of its signatures"},
		{"a step that nobody has signed", func(t *testing.T, w *world) { w.taker.Step = w.step(t, w.before, w.after) }, nil, ErrStep, "0 of its signatures"},
		{"a step that one has signed twice", func(t *testing.T, w *world) {
			w.taker.Step = w.step(t, w.before, w.after, 0)
			w.taker.Step.Signatures = append(w.taker.Step.Signatures, w.taker.Step.Signatures[0])
		}, nil, ErrStep, "1 of its signatures"},
		{"a step that strangers have signed", func(t *testing.T, w *world) {
			w.managers[2] = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{77}, ed25519.SeedSize))
			w.taker.Step = w.step(t, w.before, w.after, 2, 0)
		}, nil, ErrStep, "1 of its signatures"},
		{"a signature over something else", func(t *testing.T, w *world) {
			other := w.step(t, w.after, w.before, 0, 1)
			w.taker.Step.Signatures = other.Signatures
		}, nil, ErrStep, "0 of its signatures"},
		{"the way back", func(t *testing.T, w *world) { w.taker.Step = w.step(t, w.after, w.before, 0, 1) }, nil, ErrRefused, "the new program"},
		{"a step from another program", func(t *testing.T, w *world) {
			other := *w.before
			other.Measurement = attest.Hex("other")
			w.taker.Step = w.step(t, &other, w.after, 0, 1)
		}, nil, ErrRefused, "from another program"},
		{"another program than the step's", func(t *testing.T, w *world) { w.after.Measurement = attest.Hex("other") }, nil, ErrRefused, "the new program"},
		{"a program in debug mode", func(_ *testing.T, w *world) { w.after.Debug = true }, nil, ErrRefused, "debug"},
		{"a program under another root", func(t *testing.T, w *world) {
			other, err := dev.Open(filepath.Join(t.TempDir(), "root"))
			if err != nil {
				t.Fatal(err)
			}
			other.Measurement = w.after.Measurement
			w.taker.Evidence = other.Evidence
		}, nil, ErrRefused, "is not trusted"},
		{"a folder without release keys", func(_ *testing.T, w *world) { w.giver.Rule = Rule{} }, nil, ErrStep, "no release keys"},
		{"a nonce of its own", nil, func(o *Offer) { o.Nonce[0]++ }, ErrRefused, "nonce"},
		{"another key to seal to", nil, func(o *Offer) {
			other, _ := attest.NewInbox()
			o.Evidence.Claims.HPKEKey = other.PublicKey()
		}, ErrRefused, "report data"},
		{"another challenge", nil, func(o *Offer) { o.Challenge[0]++ }, ErrRefused, "report data"},
		{"no evidence", nil, func(o *Offer) { o.Evidence = attest.Evidence{} }, ErrRefused, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			if test.world != nil {
				test.world(t, w)
			}
			var change []func(*Offer)
			if test.change != nil {
				change = append(change, test.change)
			}
			a, err := w.offer(t, w.giver, change...)
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want %v and the words %q", err, test.want, test.says)
			}
			if a.Sealed != nil || w.retired != 0 {
				t.Errorf("it has answered %x, and stopped %d times", a.Sealed, w.retired)
			}
			fresh := newWorld(t)
			w.giver.Rule, fresh.taker.Evidence, fresh.taker.Verifier = fresh.giver.Rule, w.before.Evidence, w.verifier
			w.taker.Step, w.taker.Evidence = fresh.sameRoot(t, w), afterOf(w).Evidence
			if got, err := w.taker.Take(t.Context(), w.giver); err != nil || !bytes.Equal(got.Secret, secret) {
				t.Errorf("the right one afterwards: %x, %v", got, err)
			}
		})
	}
}

// sameRoot is the right step in the world w, signed by managers who have not changed.
func (fresh *world) sameRoot(t *testing.T, w *world) Signed {
	return (&world{managers: fresh.managers}).step(t, w.before, afterOf(w), 0, 1)
}

// afterOf is the right new program of w.
func afterOf(w *world) *dev.Platform {
	p := *w.before
	p.Measurement, p.Debug = attest.Hex("after"), false
	return &p
}

func TestAnOfferIsGoodOnce(t *testing.T) {
	w := newWorld(t)
	var seen Offer
	w.failing = nil
	w.giver.Rule.Threshold = 3 // the offer is refused, and what it held is known
	if _, err := w.offer(t, w.giver, func(o *Offer) { seen = *o }); !errors.Is(err, ErrStep) {
		t.Fatal(err)
	}
	w.giver.Rule.Threshold = 2
	if _, err := w.giver.Give(t.Context(), seen); !errors.Is(err, ErrRefused) || w.retired != 0 {
		t.Errorf("the same offer again: %v, want %v", err, ErrRefused)
	}
	if _, err := w.giver.Nonce(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.giver.Give(t.Context(), seen); !errors.Is(err, ErrRefused) || w.retired != 0 {
		t.Errorf("the same offer under a new nonce: %v, want %v", err, ErrRefused)
	}
	if _, err := w.offer(t, w.giver, func(*Offer) { w.giver.expires = time.Now() }); !errors.Is(err, ErrRefused) || w.retired != 0 {
		t.Errorf("an old nonce: %v, want %v", err, ErrRefused)
	}
}

// TestWhatIsSealedForOneOfferOpensForNoOther, nor for another use of the same key.
func TestWhatIsSealedForOneOfferOpensForNoOther(t *testing.T) {
	o := Offer{Nonce: attest.Nonce{1}, Challenge: attest.Nonce{2}, Step: Signed{Statement: []byte("step")}}
	seen := map[string]bool{}
	for _, change := range []func(*Offer){
		func(*Offer) {},
		func(o *Offer) { o.Nonce[0]++ },
		func(o *Offer) { o.Challenge[0]++ },
		func(o *Offer) { o.Step.Statement = []byte("other") },
		func(o *Offer) { o.Nonce, o.Challenge = o.Challenge, o.Nonce },
	} {
		other := o
		change(&other)
		info := string(other.info())
		if seen[info] || !strings.HasPrefix(info, sealDomain) {
			t.Errorf("two offers are sealed for with %x", info)
		}
		seen[info] = true
	}
}

func TestASignerSealedByAPassphraseHandsNothingOver(t *testing.T) {
	server := httptest.NewServer(Handler(nil, slog.New(slog.DiscardHandler)))
	defer server.Close()
	if _, err := (Client{URL: server.URL, HTTP: server.Client()}).Nonce(t.Context()); err == nil || !strings.Contains(err.Error(), "501") {
		t.Errorf("got %v, want 501", err)
	}
}

// An impostor answers in the place of the old program.
type impostor struct {
	Old
	change func(*Offer, *Answer)
}

func (i impostor) Give(ctx context.Context, o Offer) (Answer, error) {
	a, err := i.Old.Give(ctx, o)
	i.change(&o, &a)
	return a, err
}

// TestTheNewProgramTakesNoStrangersSecret: sealed under a data key that the machine's
// owner knows, every key that it is given later would be his.
func TestTheNewProgramTakesNoStrangersSecret(t *testing.T) {
	known := bytes.Repeat([]byte{66}, secretSize)
	seal := func(o *Offer) []byte {
		sealed, err := attest.SealTo(o.Evidence.Claims.HPKEKey, o.info(), slices.Concat(settings[:], head[:], known))
		if err != nil {
			t.Fatal(err)
		}
		return sealed
	}
	tests := []struct {
		name   string
		world  func(w *world)
		change func(w *world) func(*Offer, *Answer)
	}{
		{"another secret beside the evidence", nil, func(*world) func(*Offer, *Answer) {
			return func(o *Offer, a *Answer) { a.Sealed = seal(o) }
		}},
		{"another secret, and evidence of another program", nil, func(w *world) func(*Offer, *Answer) {
			return func(o *Offer, a *Answer) {
				a.Sealed = seal(o)
				a.Evidence, _ = w.after.Evidence(t.Context(), a.claims().ReportData(o.Challenge, nil))
			}
		}},
		{"evidence for another challenge", nil, func(w *world) func(*Offer, *Answer) {
			return func(_ *Offer, a *Answer) {
				a.Evidence, _ = w.before.Evidence(t.Context(), a.claims().ReportData(attest.Nonce{5}, nil))
			}
		}},
		{"evidence of /attest by the right program", nil, func(w *world) func(*Offer, *Answer) {
			return func(o *Offer, a *Answer) {
				a.Sealed = seal(o)
				claims := attest.Claims{HPKEKey: o.Evidence.Claims.HPKEKey, Config: []byte(`{"settings":{}}`)}
				a.Evidence, _ = w.before.Evidence(t.Context(), claims.ReportData(o.Challenge, nil))
			}
		}},
		{"the secret of a folder with other settings", func(w *world) { w.giver.Settings[0]++ }, nil},
		{"a folder without the horizon that it had", func(w *world) { w.taker.Settings[0]++ }, nil},
		{"nothing", nil, func(*world) func(*Offer, *Answer) { return func(_ *Offer, a *Answer) { *a = Answer{} } }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			if test.world != nil {
				test.world(w)
			}
			var old Old = w.giver
			if test.change != nil {
				old = impostor{w.giver, test.change(w)}
			}
			if got, err := w.taker.Take(t.Context(), old); err == nil || got.Secret != nil {
				t.Errorf("it takes %x, %v", got, err)
			}
		})
	}
}

func TestTheNewProgramAsksNothingWithoutAStep(t *testing.T) {
	w := newWorld(t)
	w.taker.Step = w.step(t, w.before, w.after, 0)
	if _, err := w.taker.Take(t.Context(), nil); !errors.Is(err, ErrStep) {
		t.Errorf("got %v, want %v", err, ErrStep)
	}
	w = newWorld(t)
	w.after.Measurement = attest.Hex("other")
	if _, err := w.taker.Take(t.Context(), w.giver); !errors.Is(err, ErrRefused) || w.retired != 0 {
		t.Errorf("got %v, want %v; the old one has stopped %d times", err, ErrRefused, w.retired)
	}
}

func TestAStepThatNobodyShouldSignIsNone(t *testing.T) {
	w := newWorld(t)
	good := w.accepts(w.before)
	for name, bad := range map[string]attest.Policy{
		"it accepts nothing":    {},
		"it allows debug":       {Accept: good.Accept, Roots: good.Roots, AllowDebug: true},
		"it speaks of settings": {Accept: good.Accept, Settings: map[string]json.RawMessage{"horizon": json.RawMessage(`"none"`)}},
	} {
		for _, s := range []Step{{From: bad, To: good}, {From: good, To: bad}} {
			if _, err := New(s); err == nil {
				t.Errorf("%s, and it is a step", name)
			}
		}
	}
}
