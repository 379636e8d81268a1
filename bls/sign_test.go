package bls

import (
	"errors"
	"strings"
	"testing"
	"unsafe"

	blst "github.com/supranational/blst/bindings/go"
)

func TestSignOfficialCases(t *testing.T) {
	var official struct {
		Sign []struct {
			Case   string
			Input  struct{ Privkey, Message string }
			Output string
		}
	}
	readJSON(t, "official-v0.12.3/bls.json", &official)
	if len(official.Sign) == 0 {
		t.Fatal("no cases")
	}
	k := openKeyring(t, Config{})
	for _, c := range official.Sign {
		t.Run(c.Case, func(t *testing.T) {
			sk := parseSecret(t, hexBytes(t, c.Input.Privkey))
			pub := sk.PublicKey()
			key, err := k.Add(pub, sk)
			if errors.Is(err, ErrDuplicate) {
				key, _ = k.Key(pub)
			} else if err != nil {
				t.Fatal(err)
			}
			sig, err := k.Sign(t.Context(), key, [32]byte(hexBytes(t, c.Input.Message)))
			if err != nil {
				t.Fatal(err)
			}
			if got := sig.String(); got != c.Output {
				t.Errorf("got %s, want %s", got, c.Output)
			}
		})
	}
}

func TestSignVectorsOfOtherImplementations(t *testing.T) {
	k := openKeyring(t, Config{})
	key := add(t, k, 0)
	for _, preset := range []string{"mainnet", "minimal"} {
		for _, file := range []string{"phase0", "altair", "bellatrix", "capella", "deneb", "electra", "fulu", "edge-uint64"} {
			t.Run(preset+"/"+file, func(t *testing.T) {
				var vectors struct {
					Vectors []struct {
						Root   string `json:"signing_root"`
						Pubkey string
						Sig    string `json:"signature"`
					}
				}
				readJSON(t, "vectors/"+preset+"/"+file+".json", &vectors)
				if len(vectors.Vectors) == 0 {
					t.Fatal("no vectors")
				}
				for i, v := range vectors.Vectors {
					if v.Pubkey != key.PublicKey().String() {
						t.Fatalf("vector %d: key %s is not interop key 0", i, v.Pubkey)
					}
					sig, err := k.Sign(t.Context(), key, [32]byte(hexBytes(t, v.Root)))
					if err != nil {
						t.Fatal(err)
					}
					if got := sig.String(); got != v.Sig {
						t.Errorf("vector %d: got %s, want %s", i, got, v.Sig)
					}
				}
			})
		}
	}
}

// TestFaultySignaturesAreWithheld breaks one of the inputs of the multiplication
// as a flipped bit in memory would.
func TestFaultySignaturesAreWithheld(t *testing.T) {
	root := [32]byte{1}
	sk := interopKey(t, 0)
	want := map[string]string{"x": "not on the curve", "y": "not on the curve"}
	for i, coordinate := range []string{"x", "y"} {
		t.Run("the hash's "+coordinate, func(t *testing.T) {
			hashed := *hashToCurve(root)
			words := (*[36]uint64)(unsafe.Pointer(&hashed)) // x, y, z of 12 words each
			words[12*i] ^= 1 << 17
			sig, err := sign(&hashed, sk.secret())
			if !errors.Is(err, ErrFault) || !strings.Contains(err.Error(), want[coordinate]) || sig != (Signature{}) {
				t.Errorf("got %v, %v, want %q and no signature", sig, err, want[coordinate])
			}
		})
		t.Run("the product's "+coordinate, func(t *testing.T) {
			product := hashToCurve(root).Mult(sk.secret()).ToAffine()
			words := (*[24]uint64)(unsafe.Pointer(product))
			words[12*i] ^= 1 << 17
			if sig, err := encode(product); !errors.Is(err, ErrFault) || sig != (Signature{}) {
				t.Errorf("got %v, %v, want %v and no signature", sig, err, ErrFault)
			}
		})
	}
	t.Run("a secret overwritten by zeros", func(t *testing.T) {
		sig, err := sign(hashToCurve(root), new(blst.Scalar))
		if !errors.Is(err, ErrFault) || !strings.Contains(err.Error(), "infinity") || sig != (Signature{}) {
			t.Errorf("got %v, %v, want infinity withheld", sig, err)
		}
	})
}

func TestSelfTestNoticesAnyDifference(t *testing.T) {
	if err := official.check(); err != nil {
		t.Fatal(err)
	}
	flip := func(s string) string {
		digit := byte('0')
		if s[len(s)-1] == digit {
			digit = '1'
		}
		return s[:len(s)-1] + string(digit)
	}
	tests := map[string]func(*knownAnswer){
		"secret":     func(a *knownAnswer) { a.secret = flip(a.secret) },
		"root":       func(a *knownAnswer) { a.root = flip(a.root) },
		"public key": func(a *knownAnswer) { a.pub = flip(a.pub) },
		"signature":  func(a *knownAnswer) { a.sig = flip(a.sig) },
		"length":     func(a *knownAnswer) { a.sig += "00" },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			answer := official
			change(&answer)
			if answer.check() == nil {
				t.Error("a wrong answer passes")
			}
		})
	}
}
