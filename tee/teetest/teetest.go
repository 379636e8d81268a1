// Package teetest is the suite that every tee.Platform must pass.
package teetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/tee"
)

// A Suite is one kind of hardware to be tested.
type Suite struct {
	// New returns a platform on the one machine of this test, as a program sees it
	// that has been started anew. Programs of different numbers are measured
	// differently. Number 1 is asked for after all use of number 0 in the same test.
	New func(t *testing.T, program int) tee.Platform

	Verifier attest.Verifier
	At       time.Time // for which evidence is verified; now if zero

	// Seals says whether the hardware keeps a key for its guest.
	Seals bool

	Hanging func(t *testing.T) tee.Platform // whose device never answers; nil where there is none
	Faults  []Fault
}

// A Fault is what a host or its hardware may do wrong.
type Fault struct {
	Name string
	New  func(t *testing.T) tee.Platform
	Want string // in each error, of which there must be one at least
}

// long is more than any operation takes that does not hang.
const long = time.Minute

// Run runs the suite.
func Run(t *testing.T, s Suite) {
	t.Run("evidence verifies and binds what was asked for", s.testEvidence)
	t.Run("the identity is the one that evidence proves", s.testIdentity)
	t.Run("a cancelled context ends", s.testCancelled)
	t.Run("many use it at once", s.testConcurrency)
	if s.Seals {
		t.Run("a sealing key belongs to one program and label", s.testSealKey)
		t.Run("a sealer opens under the same settings only", s.testSealer)
	} else {
		t.Run("it says that it cannot seal", s.testNoSealing)
	}
	if s.Hanging != nil {
		t.Run("a device that hangs is given up", s.testHanging)
	}
	for _, fault := range s.Faults {
		t.Run("fault: "+fault.Name, fault.test)
	}
}

func reportData() (rd attest.ReportData) {
	_, _ = rand.Read(rd[:]) // never fails
	return rd
}

func (s Suite) verify(ev attest.Evidence) (attest.Result, error) {
	at := s.At
	if at.IsZero() {
		at = time.Now()
	}
	return s.Verifier.Verify(ev, at)
}

func (s Suite) evidence(t *testing.T, p tee.Platform, rd attest.ReportData) (attest.Evidence, attest.Result) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	ev, err := p.Evidence(ctx, rd)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.verify(ev)
	if err != nil {
		t.Fatal(err)
	}
	return ev, r
}

func (s Suite) testEvidence(t *testing.T) {
	p := s.New(t, 0)
	var last attest.Evidence
	for range 2 {
		rd := reportData()
		ev, r := s.evidence(t, p, rd)
		if r.ReportData != rd {
			t.Errorf("it binds %v, asked for was %v", r.ReportData, rd)
		}
		if bytes.Equal(ev.Value, last.Value) {
			t.Error("two report data, one evidence")
		}
		last = ev
	}
	if _, r := s.evidence(t, p, attest.ReportData{}); r.ReportData != (attest.ReportData{}) {
		t.Errorf("asked for nothing it binds %v", r.ReportData)
	}
}

func (s Suite) testIdentity(t *testing.T) {
	identity := func(p tee.Platform) tee.Identity {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), long)
		defer cancel()
		id, err := p.Identity(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	p := s.New(t, 0)
	got := identity(p)
	_, r := s.evidence(t, p, reportData())
	want := tee.Identity{Kind: r.Kind, Measurements: r.Measurements, Signer: r.Signer, Debug: r.Debug, Lacks: got.Lacks}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("evidence proves -, the identity says +:\n%s", diff)
	}
	if diff := cmp.Diff(got, identity(s.New(t, 0))); diff != "" {
		t.Errorf("after another start of the same program:\n%s", diff)
	}
	if cmp.Equal(got.Measurements, identity(s.New(t, 1)).Measurements) {
		t.Errorf("two programs are measured alike: %v", got.Measurements)
	}
	for _, lack := range got.Lacks {
		if lack == "" || strings.ContainsAny(lack, "\n") {
			t.Errorf("what it lacks is no sentence: %q", lack)
		}
	}
}

// testCancelled lets what answers at once answer, and nothing hang.
func (s Suite) testCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, err := range errorsOf(ctx, s.New(t, 0)) {
		if err != nil && !errors.Is(err, context.Canceled) && (s.Seals || !errors.Is(err, tee.ErrNoSealing)) {
			t.Errorf("%s: got %v, want %v", name, err, context.Canceled)
		}
	}
}

// testHanging has a device that never answers.
func (s Suite) testHanging(t *testing.T) {
	p := s.Hanging(t)
	for range 2 { // also whoever comes after one that has given up
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if _, err := p.Evidence(ctx, reportData()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
		}
		cancel()
	}
}

// errorsOf calls every method once.
func errorsOf(ctx context.Context, p tee.Platform) map[string]error {
	_, identity := p.Identity(ctx)
	_, evidence := p.Evidence(ctx, reportData())
	_, sealKey := p.SealKey(ctx, "label")
	return map[string]error{"Identity": identity, "Evidence": evidence, "SealKey": sealKey}
}

// testConcurrency catches report data of one in the evidence of another.
func (s Suite) testConcurrency(t *testing.T) {
	p := s.New(t, 0)
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	work := func() error {
		rd := reportData()
		ev, err := p.Evidence(ctx, rd)
		if err != nil {
			return err
		}
		r, err := s.verify(ev)
		if err != nil {
			return err
		}
		if r.ReportData != rd {
			return errors.New("one's evidence binds another's report data")
		}
		if _, err := p.Identity(ctx); err != nil {
			return err
		}
		if _, err := p.SealKey(ctx, "label"); err != nil && (s.Seals || !errors.Is(err, tee.ErrNoSealing)) {
			return err
		}
		return nil
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := work(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func sealKey(t *testing.T, p tee.Platform, label string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	key, err := p.SealKey(ctx, label)
	if err != nil {
		t.Fatal(err)
	}
	if len(key) != 32 || bytes.Equal(key, make([]byte, 32)) {
		t.Fatalf("the key for %q is no key: %d bytes", label, len(key))
	}
	return key
}

func (s Suite) testSealKey(t *testing.T) {
	p := s.New(t, 0)
	first := sealKey(t, p, "one")
	again := sealKey(t, p, "one")
	if !bytes.Equal(first, again) {
		t.Error("one label, two keys")
	}
	clear(again)
	if !bytes.Equal(first, sealKey(t, p, "one")) {
		t.Error("who wipes his key changes that of others")
	}
	for _, label := range []string{"two", "", "one\x00", strings.Repeat("one", 100)} {
		if bytes.Equal(first, sealKey(t, p, label)) {
			t.Errorf("the labels %q and %q have one key", "one", label)
		}
	}
	if !bytes.Equal(first, sealKey(t, s.New(t, 0), "one")) {
		t.Error("the same program gets another key when it has been started anew")
	}
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	if other, err := s.New(t, 1).SealKey(ctx, "one"); err == nil && bytes.Equal(first, other) {
		t.Error("another program gets the same key")
	}
}

func (s Suite) testSealer(t *testing.T) {
	secret, settings := []byte("a vault's data key of 32 bytes.."), [32]byte{1}
	p := s.New(t, 0)
	wrapped, err := tee.NewSealer(p, settings).Wrap(secret)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(wrapped, secret[:8]) {
		t.Error("what is wrapped can be read")
	}
	got, err := tee.NewSealer(s.New(t, 0), settings).Unwrap(wrapped)
	if err != nil || !bytes.Equal(got, secret) {
		t.Errorf("after another start: %q, %v", got, err)
	}
	if got, err := tee.NewSealer(p, [32]byte{2}).Unwrap(wrapped); !errors.Is(err, tee.ErrOtherSeal) {
		t.Errorf("under other settings: %q, %v", got, err)
	}
	for i := range wrapped {
		changed := bytes.Clone(wrapped)
		changed[i] ^= 1
		if _, err := tee.NewSealer(p, settings).Unwrap(changed); err == nil {
			t.Errorf("opened with byte %d changed", i)
		}
	}
	if got, err := tee.NewSealer(s.New(t, 1), settings).Unwrap(wrapped); err == nil {
		t.Errorf("by another program: %q", got)
	}
}

func (s Suite) testNoSealing(t *testing.T) {
	p := s.New(t, 0)
	if key, err := p.SealKey(t.Context(), "label"); !errors.Is(err, tee.ErrNoSealing) || key != nil {
		t.Errorf("got %d bytes, %v", len(key), err)
	}
	if id, err := p.Identity(t.Context()); err != nil || !strings.Contains(fmt.Sprint(id.Lacks), "seal") {
		t.Errorf("it lacks %q, %v", id.Lacks, err)
	}
}

func (f Fault) test(t *testing.T) {
	p := f.New(t)
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	failed := false
	for name, err := range errorsOf(ctx, p) {
		if err == nil || errors.Is(err, tee.ErrNoSealing) {
			continue
		}
		failed = true
		if !strings.Contains(err.Error(), f.Want) {
			t.Errorf("%s: got %v, want %q in it", name, err, f.Want)
		}
	}
	if !failed {
		t.Error("nothing failed")
	}
}
