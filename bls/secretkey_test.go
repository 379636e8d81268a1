package bls

import (
	"bytes"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"testing"

	blst "github.com/supranational/blst/bindings/go"
)

func TestParseSecretKey(t *testing.T) {
	r := hexBytes(t, order)
	atR := func(delta int64) []byte {
		n := new(big.Int).SetBytes(r)
		return n.Add(n, big.NewInt(delta)).FillBytes(make([]byte, 32))
	}
	tests := []struct {
		name  string
		in    []byte
		valid bool
	}{
		{"one", append(make([]byte, 31), 1), true},
		{"the order less one", atR(-1), true},
		{"zero", make([]byte, 32), false},
		{"the order", atR(0), false},
		{"the order and one", atR(1), false},
		{"the largest number", bytes.Repeat([]byte{0xff}, 32), false},
		{"nothing", nil, false},
		{"one byte short", append(make([]byte, 30), 1), false},
		{"one byte long", append(make([]byte, 32), 1), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			sk, err := ParseSecretKey(test.in)
			if !test.valid {
				if sk != nil || !errors.Is(err, ErrInvalidSecretKey) {
					t.Errorf("got %v, %v, want no key and %v", sk, err, ErrInvalidSecretKey)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := sk.Bytes(); !bytes.Equal(got, test.in) {
				t.Errorf("got %x, want %x", got, test.in)
			}
		})
	}
}

func TestParseSecretKeyCopies(t *testing.T) {
	b := append(make([]byte, 31), 7)
	sk := parseSecret(t, b)
	clear(b)
	if got := sk.Bytes()[31]; got != 7 {
		t.Errorf("wiping the input changed the key to %d", got)
	}
	clear(sk.Bytes())
	if got := sk.Bytes()[31]; got != 7 {
		t.Errorf("wiping the output changed the key to %d", got)
	}
}

func TestInteropPublicKey(t *testing.T) {
	if got, want := interopKey(t, 0).PublicKey().String(), "0x"+interop0; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestGenerateKey(t *testing.T) {
	seen := make(map[PublicKey]bool)
	for range 16 {
		sk, err := GenerateKey()
		if err != nil {
			t.Fatal(err)
		}
		pub := sk.PublicKey()
		if err := pub.Validate(); err != nil {
			t.Error(err)
		}
		if seen[pub] {
			t.Fatalf("%v was drawn twice", pub)
		}
		seen[pub] = true
	}
}

func TestWipedKeyIsUnusable(t *testing.T) {
	uses := map[string]func(*SecretKey){
		"PublicKey": func(sk *SecretKey) { sk.PublicKey() },
		"Bytes":     func(sk *SecretKey) { sk.Bytes() },
	}
	wiped := interopKey(t, 0)
	wiped.Wipe()
	wiped.Wipe()
	if *wiped.scalar.reveal() != (blst.Scalar{}) {
		t.Error("the scalar is not zero after Wipe")
	}
	var unmade SecretKey
	unmade.Wipe()
	for name, use := range uses {
		for _, sk := range []*SecretKey{wiped, &unmade} {
			t.Run(name, func(t *testing.T) {
				defer func() {
					if recover() == nil {
						t.Error("no panic")
					}
				}()
				use(sk)
			})
		}
	}
}

// TestSecretsAreNeverPrinted looks for the secret's bytes in every spelling that
// a formatter or an encoder could give them.
func TestSecretsAreNeverPrinted(t *testing.T) {
	secret := make([]byte, 32)
	for i := range secret {
		secret[i] = byte(0x30 + i) // printable, recognisable in any base
	}
	sk := parseSecret(t, secret)
	k := openKeyring(t, Config{Workers: 1})
	key, err := k.Add(sk.PublicKey(), sk)
	if err != nil {
		t.Fatal(err)
	}
	check := func(t *testing.T, out string) {
		t.Helper()
		// Four adjacent bytes, in both orders of the scalar, are a leak.
		part, reversed := secret[8:12], []byte{secret[11], secret[10], secret[9], secret[8]}
		for _, p := range [][]byte{part, reversed} {
			for _, spelling := range []string{
				string(p), hex.EncodeToString(p), strings.ToUpper(hex.EncodeToString(p)),
				fmt.Sprint(p[:3]), strings.Trim(fmt.Sprint(p), "[]"), strings.Trim(fmt.Sprintf("%#v", p), "[]byte{}"),
				strings.Trim(fmt.Sprintf("%b", p), "[]"), strings.Trim(fmt.Sprintf("%o", p), "[]"),
				fmt.Sprintf("%d,%d,%d", p[0], p[1], p[2]),
			} {
				if strings.Contains(out, strings.Trim(spelling, "[]")) {
					t.Fatalf("the secret appears as %q in %.200q", spelling, out)
				}
			}
		}
	}
	holders := map[string]any{
		"pointer":               sk,
		"value":                 *sk,
		"pointer to pointer":    &sk,
		"exported field":        struct{ Key *SecretKey }{sk},
		"unexported field":      struct{ key *SecretKey }{sk},
		"unexported value":      struct{ key SecretKey }{*sk},
		"pointer to a holder":   &struct{ key SecretKey }{*sk},
		"slice":                 []*SecretKey{sk},
		"slice of values":       []SecretKey{*sk},
		"map":                   map[string]SecretKey{"k": *sk},
		"handle in the keyring": key,
		"value of the handle":   struct{ key *Key }{key},
		"keyring":               k,
	}
	for name, v := range holders {
		t.Run(name, func(t *testing.T) {
			for verb := rune('A'); verb <= 'z'; verb++ {
				for _, flags := range []string{"", "+", "#", " ", "0", "-", "#+ 080.40"} {
					check(t, fmt.Sprintf("%"+flags+string(verb), v))
				}
			}
			check(t, fmt.Sprint(v))
			check(t, fmt.Errorf("wrapped: %v", v).Error())
			if b, err := json.Marshal(v); err == nil {
				check(t, string(b))
			}
			var out bytes.Buffer
			if gob.NewEncoder(&out).Encode(v) == nil {
				check(t, out.String())
			}
			slog.New(slog.NewTextHandler(&out, nil)).Info("m", "k", v, slog.Group("g", "k", v))
			slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "k", v, slog.Group("g", "k", v))
			check(t, out.String())
		})
	}
	for _, got := range []string{fmt.Sprintf("%v", sk), fmt.Sprintf("%#v", *sk), fmt.Sprintf("%x", sk), fmt.Sprintf("%d", sk), sk.String(), sk.GoString(), sk.LogValue().String()} {
		if got != redacted {
			t.Errorf("got %q, want %q", got, redacted)
		}
	}
}

// FuzzParseSecretKey asserts that exactly the numbers from 1 to below the order
// are keys, and that a key gives back its bytes.
func FuzzParseSecretKey(f *testing.F) {
	r := hexBytes(f, order)
	f.Add(r)
	f.Add(make([]byte, 32))
	f.Add(append(make([]byte, 31), 1))
	f.Add([]byte("short"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := new(big.Int).SetBytes(b)
		want := len(b) == 32 && n.Sign() > 0 && n.Cmp(new(big.Int).SetBytes(r)) < 0
		sk, err := ParseSecretKey(b)
		if (err == nil) != want {
			t.Fatalf("%x: got %v, want a key: %v", b, err, want)
		}
		if err == nil && !bytes.Equal(sk.Bytes(), b) {
			t.Errorf("%x became %x", b, sk.Bytes())
		}
	})
}
