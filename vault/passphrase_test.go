package vault

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/bls"
)

func TestPassphraseUnwrapsWhatItHasWrapped(t *testing.T) {
	dataKey := bytes.Repeat([]byte{7}, keySize)
	for _, p := range []string{"a", "long " + strings.Repeat("x", 1000), "\x00\xff not text", "naïve"} {
		wrapped, err := cheap(t, p).Wrap(dataKey)
		if err != nil {
			t.Fatal(err)
		}
		// What is wrapped carries its own cost.
		if got, err := Passphrase([]byte(p)).Unwrap(wrapped); err != nil || !bytes.Equal(got, dataKey) {
			t.Errorf("%q: got %x, %v", p, got, err)
		}
		if _, err := Passphrase([]byte(p + " ")).Unwrap(wrapped); !errors.Is(err, ErrWrongPassphrase) {
			t.Errorf("%q and a space: %v, want %v", p, err, ErrWrongPassphrase)
		}
	}
}

func TestPassphraseOfTheDefaultCost(t *testing.T) {
	s := Passphrase([]byte("p"))
	wrapped, err := s.Wrap(make([]byte, keySize))
	if err != nil {
		t.Fatal(err)
	}
	if got := wrapped[len(wrapTag)]; got != DefaultWork {
		t.Errorf("work is %d, want %d", got, DefaultWork)
	}
	if _, err := s.Unwrap(wrapped); err != nil {
		t.Error(err)
	}
}

func TestPassphraseNoticesEveryChangeOfWhatItWrapped(t *testing.T) {
	s, err := PassphraseWork([]byte("p"), MinWork)
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := s.Wrap(make([]byte, keySize))
	if err != nil {
		t.Fatal(err)
	}
	for i := range wrapped {
		changed := bytes.Clone(wrapped)
		changed[i] ^= 1 << (i % 8)
		if got, err := s.Unwrap(changed); err == nil {
			t.Errorf("byte %d changed: unwrapped %x", i, got)
		}
		if _, err := s.Unwrap(wrapped[:i]); err == nil {
			t.Errorf("cut at %d: unwrapped", i)
		}
	}
	if _, err := s.Unwrap(append(wrapped, 0)); err == nil {
		t.Error("unwrapped with a byte too many")
	}
}

func TestWorkIsBoundedBeforeAnyIsDone(t *testing.T) {
	for _, work := range []int{-1, 0, MinWork - 1, MaxWork + 1, 64, 266} {
		if _, err := PassphraseWork([]byte("p"), work); err == nil {
			t.Errorf("wraps with work %d", work)
		}
	}
	s := cheap(t, "p")
	wrapped, err := s.Wrap(make([]byte, keySize))
	if err != nil {
		t.Fatal(err)
	}
	for _, work := range []byte{0, MinWork - 1, MaxWork + 1, 63, 64, 255} {
		wrapped[len(wrapTag)] = work
		if _, err := s.Unwrap(wrapped); err == nil || !strings.Contains(err.Error(), "scrypt work") {
			t.Errorf("work %d: %v, want a refusal", work, err)
		}
	}
}

func TestAnEmptyOrWipedPassphraseSealsNothing(t *testing.T) {
	for _, p := range [][]byte{nil, {}, make([]byte, 12)} {
		if _, err := Passphrase(p).Wrap(make([]byte, keySize)); err == nil {
			t.Errorf("sealed with passphrase %q", p)
		}
	}
}

func TestNoSecretIsEverPrinted(t *testing.T) {
	const passphrase = "correct horse battery"
	path, _ := newVault(t)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	s := cheap(t, passphrase)
	if err := Create(path, s); err != nil {
		t.Fatal(err)
	}
	v := mustOpen(t, path, s)
	keys := newKeys(t, 2)
	k := keys[0]
	mustAddAll(t, v, k)

	printed := []string{
		fmt.Sprint(v.Add(t.Context(), k.Secret, k.Public)),
		fmt.Sprint(v.AddAll(t.Context(), []Key{{keys[1].Public, k.Secret}})),
		fmt.Sprint(v.Delete(t.Context(), keys[1].Public)),
		fmt.Sprint(Create(path, s)),
	}
	plain := Passphrase([]byte(passphrase))
	inside := struct {
		exported Sealer
		v        *Vault
		k        Key
	}{plain, v, k}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		printed = append(printed, fmt.Sprintf(verb, v), fmt.Sprintf(verb, plain), fmt.Sprintf(verb, k), fmt.Sprintf(verb, inside))
	}
	b := mustRead(t, path)
	for _, i := range []int{0, 9, 70, 250, len(b) - 1} {
		changed := bytes.Clone(b)
		changed[i] ^= 0x10
		_, err := openBytes(t, path, changed, s)
		printed = append(printed, fmt.Sprint(err))
	}
	_, err := Open(path, cheap(t, passphrase+"!"))
	printed = append(printed, fmt.Sprint(err))
	v.broken = errors.New("disk lost")
	printed = append(printed, fmt.Sprint(v.Keys(func(bls.PublicKey, *bls.SecretKey) bool { return true })))

	for _, secret := range [][]byte{[]byte(passphrase), k.Secret.Bytes(), v.key[:]} {
		for _, form := range []string{
			string(secret), hex.EncodeToString(secret), strings.ToUpper(hex.EncodeToString(secret)),
			base64.StdEncoding.EncodeToString(secret), strings.Trim(fmt.Sprint(secret), "[]"),
		} {
			for _, text := range printed {
				if strings.Contains(text, form) {
					t.Errorf("a secret is in %q", text)
				}
			}
		}
	}
	if text := strings.Join(printed, "\n"); !strings.Contains(text, "REDACTED") {
		t.Error("nothing was redacted: this test looks at the wrong things")
	}
}
