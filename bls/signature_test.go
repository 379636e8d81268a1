package bls

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestVerifyOfficialCases(t *testing.T) {
	var official struct {
		Verify []struct {
			Case   string
			Input  struct{ Pubkey, Message, Signature string }
			Output bool
		}
	}
	readJSON(t, "official-v0.12.3/bls.json", &official)
	if len(official.Verify) == 0 {
		t.Fatal("no cases")
	}
	for _, c := range official.Verify {
		t.Run(c.Case, func(t *testing.T) {
			var sig Signature
			if err := sig.UnmarshalText([]byte(c.Input.Signature)); err != nil {
				t.Fatal(err)
			}
			want := c.Output
			if c.Case == "verify_infinity_pubkey_and_infinity_signature" {
				want = false // since v1.0 of the specs: KeyValidate refuses infinity
			}
			got := Verify(publicKey(t, c.Input.Pubkey), [32]byte(hexBytes(t, c.Input.Message)), sig)
			if got != want {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func TestVerifyRefusesAnotherRoot(t *testing.T) {
	sk := interopKey(t, 0)
	sig, err := sign(hashToCurve([32]byte{1}), sk.secret())
	if err != nil {
		t.Fatal(err)
	}
	if !Verify(sk.PublicKey(), [32]byte{1}, sig) {
		t.Error("its own root does not verify")
	}
	if Verify(sk.PublicKey(), [32]byte{2}, sig) {
		t.Error("another root verifies")
	}
}

func TestSignatureAsJSON(t *testing.T) {
	digits := "b2" + strings.Repeat("3C", 95)
	for _, in := range []string{digits, "0x" + digits} {
		var sig Signature
		if err := json.Unmarshal([]byte(`"`+in+`"`), &sig); err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(sig)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := string(b), `"0x`+strings.ToLower(digits)+`"`; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	sig := Signature{1}
	for _, in := range []string{"", "0x", digits[:190], digits + "00", "zz" + digits[2:]} {
		if err := sig.UnmarshalText([]byte(in)); err == nil || sig != (Signature{1}) {
			t.Errorf("%q: got %v, %v, want an error and the value unchanged", in, sig, err)
		}
	}
}
