package dev

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/attest"
)

var (
	now       = time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	key       = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32))
	root      = Root(key.Public().(ed25519.PublicKey))
	statement = Statement{
		Measurement: attest.Hex{1}, Signer: attest.Hex{2}, Product: 3, SVN: 4, Debug: true, IssuedAt: now, ReportData: attest.ReportData{5},
	}
)

func sign(t testing.TB, s Statement) attest.Evidence {
	t.Helper()
	ev, err := Sign(key, s)
	if err != nil {
		t.Fatal(err)
	}
	return ev
}

func TestAStatementIsProved(t *testing.T) {
	got, err := Verifier{Roots: []attest.Digest{root}}.Verify(sign(t, statement), now)
	if err != nil {
		t.Fatal(err)
	}
	want := attest.Result{
		Kind:         attest.KindDev,
		Measurements: map[string]attest.Hex{"measurement": {1}},
		Signer:       attest.Hex{2},
		Product:      3,
		SVN:          4,
		Debug:        true,
		TCB:          attest.TCBUnrated,
		Root:         root,
		Revocation:   attest.RevocationNone,
		VerifiedAt:   now,
		IssuedAt:     now,
		ReportData:   attest.ReportData{5},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestForgeriesAreRefused(t *testing.T) {
	other := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, 32))
	trusted := Verifier{Roots: []attest.Digest{root}}
	foreign, err := Sign(other, statement)
	if err != nil {
		t.Fatal(err)
	}
	renamed := sign(t, statement)
	copy(renamed.Value[32:], foreign.Value[32:96])
	bare := sign(t, statement)
	copy(bare.Value[32:], ed25519.Sign(key, bare.Value[96:]))
	with := sign(t, statement)
	with.Collateral = map[string][]byte{"more": {1}}
	typed := sign(t, statement)
	typed.Type = attest.TypeSGX
	timeless, empty := statement, statement
	timeless.IssuedAt, empty.Measurement = time.Time{}, nil
	for _, tt := range []struct {
		name string
		v    Verifier
		ev   attest.Evidence
		want string
	}{
		{"another root", trusted, foreign, "is not trusted"},
		{"the zero verifier", Verifier{}, sign(t, statement), "is not trusted"},
		{"another root's signature", trusted, renamed, "did not sign it"},
		{"a signature of the key for something else", trusted, bare, "did not sign it"},
		{"collateral", trusted, with, "is no part of it"},
		{"another type", trusted, typed, "use the verifier for that type"},
		{"no time", trusted, sign(t, timeless), "are needed"},
		{"no measurement", trusted, sign(t, empty), "are needed"},
		{"nothing", trusted, attest.Evidence{Type: attest.TypeDev}, "0 bytes"},
	} {
		if _, err := tt.v.Verify(tt.ev, now); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestNoByteCanBeChanged(t *testing.T) {
	v := Verifier{Roots: []attest.Digest{root}}
	ev := sign(t, statement)
	whole := ev.Value
	for i := range whole {
		for bit := range 8 {
			ev.Value = bytes.Clone(whole)
			ev.Value[i] ^= 1 << bit
			if _, err := v.Verify(ev, now); err == nil {
				t.Errorf("accepted with bit %d of byte %d changed", bit, i)
			}
		}
		ev.Value = whole[:i]
		if _, err := v.Verify(ev, now); err == nil {
			t.Errorf("accepted %d of %d bytes", i, len(whole))
		}
	}
	ev.Value = append(bytes.Clone(whole), ' ')
	if _, err := v.Verify(ev, now); err == nil {
		t.Error("accepted with a byte more")
	}
}

func FuzzVerify(f *testing.F) {
	ev := sign(f, statement)
	f.Add(ev.Value)
	f.Fuzz(func(t *testing.T, value []byte) {
		// What the root signed, whatever it is: JSON must not be a way to panic.
		signed := append([]byte(domain), value...)
		forged := append(bytes.Clone(ev.Value[:32]), ed25519.Sign(key, signed)...)
		r, err := Verifier{Roots: []attest.Digest{root}}.Verify(attest.Evidence{Type: attest.TypeDev, Value: append(forged, value...)}, now)
		if err == nil && len(r.Measurements["measurement"]) == 0 {
			t.Error("a result that measures nothing")
		}
		if _, err := (Verifier{Roots: []attest.Digest{root}}).Verify(attest.Evidence{Type: attest.TypeDev, Value: value}, now); err == nil && !bytes.Equal(value, ev.Value) {
			t.Error("a statement that the root did not sign")
		}
	})
}

func ExampleVerifier() {
	nonce := attest.Nonce{1}
	claims := attest.Claims{HPKEKey: []byte("key")}
	ev, err := Sign(key, Statement{Measurement: attest.Hex{1}, IssuedAt: now, ReportData: claims.ReportData(nonce, nil)})
	if err != nil {
		panic(err)
	}
	result, err := Verifier{Roots: []attest.Digest{root}}.Verify(ev, now)
	if err != nil {
		panic(err)
	}
	policy := attest.Policy{
		Accept: []attest.Identity{{Kind: attest.KindDev, Measurements: map[string]attest.Hex{"measurement": {1}}}},
		Roots:  []attest.Digest{root},
		TCB:    []attest.TCBStatus{attest.TCBUnrated},
		MaxAge: attest.Duration(time.Minute),
	}
	fmt.Println(policy.Judge(result, claims.ReportData(nonce, nil)))
	fmt.Println(attest.Policy{}.Judge(result, claims.ReportData(nonce, nil)) != nil)
	// Output:
	// <nil>
	// true
}
