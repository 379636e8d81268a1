package custody

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/slashing"
)

// beforeImport is what the signer may know of a key that arrives.
var beforeImport = []struct {
	name  string
	setUp func(*testing.T, *world, *bls.SecretKey)
}{
	{"an unknown key", func(*testing.T, *world, *bls.SecretKey) {}},
	{"a deleted key", func(t *testing.T, w *world, sk *bls.SecretKey) {
		c := w.start()
		mustImport(t, c, sk, Imported)
		mustDelete(t, c, sk.PublicKey(), Deleted)
	}},
	{"a key whose deletion was cut off", func(t *testing.T, w *world, sk *bls.SecretKey) {
		c := w.start()
		mustImport(t, c, sk, Imported)
		w.faults[stepUnseal] = crashBefore
		if _, crashed := attempt(func() error { _, err := c.Delete(t.Context(), sk.PublicKey()); return err }); !crashed {
			t.Fatal("the deletion was not cut off")
		}
	}},
	{"a key of the vault without a record", func(t *testing.T, w *world, sk *bls.SecretKey) {
		w.sealed[sk.PublicKey()] = sk.Bytes()
	}},
}

// TestAnImportMayStopAnywhere cuts an import before and after each step, and
// makes each step fail. Whatever happened, a restart serves no key without a
// record, and the same import again succeeds.
func TestAnImportMayStopAnywhere(t *testing.T) {
	for _, how := range modes {
		for _, step := range []string{stepEnroll, stepSeal, stepServe} {
			if step == stepServe && how == failButPersist {
				continue // a keyring that fails has not changed
			}
			for _, before := range beforeImport {
				t.Run(string(how)+" "+step+" of "+before.name, func(t *testing.T) {
					w := newWorld(t)
					sk, _ := secret(t, 1)
					before.setUp(t, w, sk)
					importThatStops(t, w, sk, step, how)
				})
			}
		}
	}
}

func importThatStops(t *testing.T, w *world, sk *bls.SecretKey, step string, how mode) {
	pub := sk.PublicKey()
	c := w.start()
	crashed := w.stumble(step, how, func() error { _, err := c.Import(t.Context(), sk, slashing.Arrived); return err })
	w.check()
	if !crashed && w.serves(pub) {
		t.Error("an import that failed brought the key into service")
	}
	c = w.start()
	if !crashed && w.serves(pub) {
		t.Error("a key whose import failed is in service after a restart")
	}

	want := Imported
	if w.serves(pub) { // it had come as far as the vault
		want = Duplicate
	}
	mustImport(t, c, sk, want)
	w.check()
	if w.start(); !w.serves(pub) {
		t.Error("an imported key is not in service after a restart")
	}
}

// TestADeletionMayStopAnywhere is the same for deletions.
func TestADeletionMayStopAnywhere(t *testing.T) {
	for _, how := range modes {
		for _, step := range []string{stepDisable, stepForget, stepUnseal} {
			if step == stepForget && (how == failAndNotPersist || how == failButPersist) {
				continue // Remove cannot fail
			}
			t.Run(string(how)+" "+step, func(t *testing.T) {
				w := newWorld(t)
				c := w.start()
				sk, pub := secret(t, 1)
				mustImport(t, c, sk, Imported)

				crashed := w.stumble(step, how, func() error {
					_, err := c.Delete(t.Context(), pub)
					if err != nil && w.serves(pub) != strings.Contains(err.Error(), "still in service") {
						t.Errorf("the key signs: %v; the error says %v", w.serves(pub), err)
					}
					return err
				})
				if !crashed && step != stepDisable && w.serves(pub) {
					t.Error("a key whose record is disabled is in service")
				}
				_, disabled := w.recorded(pub)
				c = w.start()
				if w.serves(pub) && disabled {
					t.Error("a disabled key is in service after a restart")
				}

				// What the cut-off deletion had finished is not done twice.
				want := Deleted
				if !w.holds(pub) {
					want = NotActive
				}
				mustDelete(t, c, pub, want)
				c = w.start()
				if exists, disabled := w.recorded(pub); !exists || !disabled || w.holds(pub) || w.serves(pub) {
					t.Errorf("after the deletion: record %v, disabled %v, held %v, in service %v", exists, disabled, w.holds(pub), w.serves(pub))
				}
				mustDelete(t, c, pub, NotActive)
			})
		}
	}
}

// TestAGenerationMayStopAnywhere: nobody knows the key yet, so whatever is left
// over may stay, as long as it has a record.
func TestAGenerationMayStopAnywhere(t *testing.T) {
	for _, how := range modes {
		for _, step := range []string{stepEnroll, stepSeal, stepServe} {
			if step == stepServe && how == failButPersist {
				continue
			}
			t.Run(string(how)+" "+step, func(t *testing.T) {
				w := newWorld(t)
				c := w.start()
				crashed := w.stumble(step, how, func() error { _, err := c.Generate(t.Context()); return err })
				c = w.start()
				if !crashed && len(c.List()) != 0 {
					t.Error("a key whose generation failed is in service after a restart")
				}
			})
		}
	}
}

// TestWhatCannotBeTakenBackIsSaid: the record of a failed import could not be
// disabled, so a restart may serve it.
func TestWhatCannotBeTakenBackIsSaid(t *testing.T) {
	w := newWorld(t)
	c := w.start()
	sk, pub := secret(t, 1)
	w.faults[stepSeal], w.faults[stepDisable] = failButPersist, failAndNotPersist
	_, err := c.Import(t.Context(), sk, slashing.Arrived)
	if err == nil || !strings.Contains(err.Error(), "it is unknown whether the key will be in service after a restart") {
		t.Errorf("import: %v, want one that says what is unknown", err)
	}
	if w.serves(pub) {
		t.Error("the key is in service")
	}
	if w.start(); !w.serves(pub) {
		t.Error("the restart did not serve the key: the test has missed what it aims at")
	}
}

// TestTheStepsComeInOrder pins the order down, as it is written above each.
func TestTheStepsComeInOrder(t *testing.T) {
	w := newWorld(t)
	c := w.start()
	sk, pub := secret(t, 1)
	for _, tt := range []struct {
		do   func()
		want []string
	}{
		{func() { mustImport(t, c, sk, Imported) }, []string{stepEnroll, stepSeal, stepServe}},
		{func() { mustImport(t, c, sk, Duplicate) }, nil},
		{func() { mustDelete(t, c, pub, Deleted) }, []string{stepDisable, stepForget, stepUnseal}},
	} {
		tt.do()
		if diff := cmp.Diff(tt.want, w.takeTrace(pub)); diff != "" {
			t.Errorf("steps (-want +got):\n%s", diff)
		}
	}
	generated, err := c.Generate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{stepEnroll, stepSeal, stepServe}, w.takeTrace(generated)); diff != "" {
		t.Errorf("steps of a generation (-want +got):\n%s", diff)
	}
}

// TestACallerThatHangsUpChangesNothingOrFinishes: a context that is done before
// the first step changes nothing, one that ends in a step ends nothing.
func TestACallerThatHangsUpChangesNothingOrFinishes(t *testing.T) {
	w := newWorld(t)
	c := w.start()
	sk, pub := secret(t, 1)
	gone, hangUp := context.WithCancel(t.Context())
	c.Guard = hangsUp{fakeGuard{w}, hangUp}
	if status, err := c.Import(gone, sk, slashing.Arrived); err != nil || status != Imported || !w.serves(pub) {
		t.Errorf("hung up while the record was made: %v, %v; want the import finished", status, err)
	}
	other, otherPub := secret(t, 2)
	if _, err := c.Import(gone, other, slashing.Arrived); !errors.Is(err, context.Canceled) {
		t.Errorf("hung up before the import: %v, want context.Canceled", err)
	}
	if _, err := c.Delete(gone, pub); !errors.Is(err, context.Canceled) || !w.serves(pub) {
		t.Errorf("hung up before the deletion: %v, want context.Canceled and the key in service", err)
	}
	if exists, _ := w.recorded(otherPub); exists {
		t.Error("an import that never began has made a record")
	}
}

type hangsUp struct {
	fakeGuard
	hangUp func()
}

func (g hangsUp) Enroll(ctx context.Context, pub bls.PublicKey, origin slashing.Origin) error {
	g.hangUp()
	if ctx.Err() != nil {
		g.t.Error("the record's context ends with the caller's")
	}
	return g.fakeGuard.Enroll(ctx, pub, origin)
}

func mustImport(t *testing.T, c *Custodian, sk *bls.SecretKey, want Status) {
	t.Helper()
	if got, err := c.Import(t.Context(), sk, slashing.Arrived); err != nil || got != want {
		t.Fatalf("import: %q, %v; want %q", got, err, want)
	}
}

func mustDelete(t *testing.T, c *Custodian, pub bls.PublicKey, want Status) {
	t.Helper()
	if got, err := c.Delete(t.Context(), pub); err != nil || got != want {
		t.Fatalf("delete: %q, %v; want %q", got, err, want)
	}
}
