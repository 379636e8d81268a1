package bls

import (
	"encoding/json"
	"strings"
	"testing"
)

const interop0 = "a99a76ed7796f7be22d5b7e85deeb7c5677e88e511e0b337618f8c4eb61349b4bf2d153f649f7b53359fe8b94a38e44c"

func TestParsePublicKey(t *testing.T) {
	accepted := map[string]string{
		"with 0x":                 "0x" + interop0,
		"without 0x":              interop0,
		"in upper case":           strings.ToUpper(interop0),
		"in upper case with 0X":   "0X" + strings.ToUpper(interop0),
		"in upper case with 0x":   "0x" + strings.ToUpper(interop0),
		"in mixed case, with a 0": "0x" + strings.ToUpper(interop0[:48]) + interop0[48:],
	}
	for name, in := range accepted {
		t.Run(name, func(t *testing.T) {
			p, err := ParsePublicKey(in)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := p.String(), "0x"+interop0; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
	refused := map[string]string{
		"empty":                     "",
		"a prefix alone":            "0x",
		"one digit short":           interop0[:95],
		"one byte short":            interop0[:94],
		"one byte long":             interop0 + "00",
		"two prefixes":              "0x0x" + interop0[4:],
		"a prefix instead of bytes": "0x" + interop0[2:],
		"a letter that is no digit": "g" + interop0[1:],
		"a space before":            " " + interop0,
		"a sign":                    "+" + interop0[1:],
		"digits of another script":  strings.Repeat("٣", 48),
	}
	for name, in := range refused {
		t.Run(name, func(t *testing.T) {
			if p, err := ParsePublicKey(in); err == nil || p != (PublicKey{}) {
				t.Errorf("got %v, %v, want an error and no key", p, err)
			}
		})
	}
}

func TestErrorsDoNotRepeatTheInput(t *testing.T) {
	const mistaken = "not a key but a secret pasted into the wrong field"
	_, err := ParsePublicKey(mistaken)
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v, want an error without the input", err)
	}
}

func TestPublicKeyAsJSON(t *testing.T) {
	want := publicKey(t, interop0)
	b, err := json.Marshal(map[PublicKey]PublicKey{want: want})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(b), `{"0x`+interop0+`":"0x`+interop0+`"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	var back map[PublicKey]PublicKey
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if got := back[want]; got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	kept := want
	if err := json.Unmarshal([]byte(`"0x00"`), &kept); err == nil || kept != want {
		t.Errorf("got %v, %v, want an error and the value unchanged", kept, err)
	}
}

func TestValidate(t *testing.T) {
	const notOnCurve, notInGroup = "not a point on the curve", "infinity or outside the subgroup"
	tests := []struct {
		name, key, want string
	}{
		{"a public key", interop0, ""},
		{"zero", strings.Repeat("00", 48), notOnCurve},
		{"infinity", "c0" + strings.Repeat("00", 47), notInGroup},
		{"infinity with another bit set", "c0" + strings.Repeat("00", 46) + "01", notOnCurve},
		{"the compression bit missing", "29" + interop0[2:], notOnCurve},
		{"x without a point on the curve", "80" + strings.Repeat("00", 46) + "01", notOnCurve},
		{"x not below the field's modulus", strings.Repeat("ff", 48), notOnCurve},
		{"a point outside the subgroup", "80" + strings.Repeat("00", 46) + "04", notInGroup},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := publicKey(t, test.key).Validate()
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// FuzzParsePublicKey asserts that what is accepted is the same key in its
// canonical form, and that no bytes make the library misbehave.
func FuzzParsePublicKey(f *testing.F) {
	f.Add("0x" + interop0)
	f.Add(strings.ToUpper(interop0))
	f.Add("0xc0" + strings.Repeat("00", 47))
	f.Add("0x0x")
	f.Fuzz(func(t *testing.T, in string) {
		p, err := ParsePublicKey(in)
		if err != nil {
			return
		}
		canonical := strings.TrimPrefix(strings.ToLower(in), "0x")
		if got := p.String(); got != "0x"+canonical {
			t.Errorf("%q became %s", in, got)
		}
		if p.Validate() != nil && Verify(p, [32]byte{}, Signature{0xc0}) {
			t.Errorf("%s is no key and verifies the signature at infinity", p)
		}
	})
}
