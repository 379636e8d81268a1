package dev_test

import (
	"bytes"
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/attest"
	attestdev "github.com/secure-signer/secure-signer/attest/dev"
	"github.com/secure-signer/secure-signer/tee"
	"github.com/secure-signer/secure-signer/tee/dev"
)

func open(t *testing.T, file string) *dev.Platform {
	t.Helper()
	p, err := dev.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestItMeasuresTheProgramThatRuns(t *testing.T) {
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	id, err := open(t, filepath.Join(t.TempDir(), "root")).Identity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := sha256.Sum256(program); id.Kind != attest.KindDev || !bytes.Equal(id.Measurements["measurement"], want[:]) {
		t.Errorf("got %s %v, want dev %x", id.Kind, id.Measurements, want)
	}
	if len(id.Lacks) == 0 || !strings.Contains(id.Lacks[0], "no hardware") {
		t.Errorf("it does not say that it is no hardware: %q", id.Lacks)
	}
}

func TestItsEvidenceIsThatOfItsRootAlone(t *testing.T) {
	p := open(t, filepath.Join(t.TempDir(), "root"))
	other := open(t, filepath.Join(t.TempDir(), "root"))
	rd := attest.ReportData{1, 2, 3}
	ev, err := p.Evidence(t.Context(), rd)
	if err != nil {
		t.Fatal(err)
	}
	result, err := attestdev.Verifier{Roots: []attest.Digest{p.Root()}}.Verify(ev, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if result.ReportData != rd || !bytes.Equal(result.Measurements["measurement"], p.Measurement) || result.Debug {
		t.Errorf("got %+v", result)
	}
	p.Debug = true
	if ev, err = p.Evidence(t.Context(), rd); err != nil {
		t.Fatal(err)
	}
	if result, err = (attestdev.Verifier{Roots: []attest.Digest{p.Root()}}).Verify(ev, time.Now()); err != nil || !result.Debug {
		t.Errorf("debug is not told: %+v, %v", result, err)
	}
	if _, err := (attestdev.Verifier{Roots: []attest.Digest{other.Root()}}).Verify(ev, time.Now()); err == nil {
		t.Error("another test root vouches for it")
	}
}

func TestItsRootIsKeptAndGuarded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "root")
	first := open(t, file)
	if again := open(t, file); again.Root() != first.Root() {
		t.Error("the root has changed")
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	tests := []struct {
		name, text string
		mode       os.FileMode
		says       string
	}{
		{"readable by others", strings.Repeat("ab", 32), 0o640, "chmod 600"},
		{"cut off", strings.Repeat("ab", 31), 0o600, "64 hex digits"},
		{"empty", "", 0o600, "64 hex digits"},
		{"no key", strings.Repeat("xy", 32), 0o600, "64 hex digits"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "root")
			if err := os.WriteFile(file, []byte(test.text), test.mode); err != nil {
				t.Fatal(err)
			}
			if _, err := dev.Open(file); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want an error that says %q", err, test.says)
			}
			if text, _ := os.ReadFile(file); string(text) != test.text {
				t.Error("the file was changed")
			}
		})
	}
}

func TestWhatItSealsOnlyTheSameProgramOpens(t *testing.T) {
	file := filepath.Join(t.TempDir(), "root")
	p, same, another := open(t, file), open(t, file), open(t, file)
	another.Measurement = bytes.Repeat([]byte{7}, 32)
	elsewhere := open(t, filepath.Join(t.TempDir(), "root"))
	wrapped, err := tee.NewSealer(p, [32]byte{1}).Wrap([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := tee.NewSealer(same, [32]byte{1}).Unwrap(wrapped); err != nil || string(got) != "secret" {
		t.Errorf("the same program: %q, %v", got, err)
	}
	for name, p := range map[string]*dev.Platform{"another program": another, "another root": elsewhere} {
		if got, err := tee.NewSealer(p, [32]byte{1}).Unwrap(wrapped); err == nil {
			t.Errorf("%s opens it: %q", name, got)
		}
	}
}

// TestTheMeasurementEndsWhereTheLabelBegins: joined without its length, a shorter
// measurement with a longer label would have the key of another program.
func TestTheMeasurementEndsWhereTheLabelBegins(t *testing.T) {
	p := open(t, filepath.Join(t.TempDir(), "root"))
	p.Measurement = attest.Hex("ab")
	long, err := p.SealKey(t.Context(), "c")
	if err != nil {
		t.Fatal(err)
	}
	p.Measurement = attest.Hex("a")
	short, err := p.SealKey(t.Context(), "bc")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(long, short) {
		t.Error("two programs have one key")
	}
}
