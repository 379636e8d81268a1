package tee_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/tee"
)

// A fake is hardware with knobs.
type fake struct {
	secret     string            // of which sealing keys are derived; empty if it cannot seal
	collateral map[string][]byte // that it brings itself
	noEvidence error
	keySize    int
}

func (f fake) Identity(context.Context) (tee.Identity, error) {
	return tee.Identity{Kind: attest.KindDev, Lacks: []string{"everything"}}, nil
}

func (f fake) Evidence(_ context.Context, rd attest.ReportData) (attest.Evidence, error) {
	return attest.Evidence{Type: attest.TypeDev, Value: rd[:], Collateral: f.collateral}, f.noEvidence
}

func (f fake) SealKey(_ context.Context, label string) ([]byte, error) {
	if f.secret == "" {
		return nil, tee.ErrNoSealing
	}
	key := sha256.Sum256([]byte(f.secret + "\x00" + label))
	if f.keySize > 0 {
		return key[:f.keySize], nil
	}
	return key[:], nil
}

var settings = [32]byte{1}

func wrap(t *testing.T) []byte {
	t.Helper()
	wrapped, err := tee.NewSealer(fake{secret: "a"}, settings).Wrap([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	return wrapped
}

func TestASealOpensOnlyWhereItWasMade(t *testing.T) {
	wrapped := wrap(t)
	if got, err := tee.NewSealer(fake{secret: "a"}, settings).Unwrap(wrapped); err != nil || string(got) != "secret" {
		t.Errorf("where it was made: %q, %v", got, err)
	}
	for name, s := range map[string]tee.Sealer{
		"other hardware, or another program": tee.NewSealer(fake{secret: "b"}, settings),
		"other settings":                     tee.NewSealer(fake{secret: "a"}, [32]byte{2}),
	} {
		if got, err := s.Unwrap(wrapped); !errors.Is(err, tee.ErrOtherSeal) {
			t.Errorf("%s: %q, %v; want %v", name, got, err, tee.ErrOtherSeal)
		}
	}
}

func TestNoBitOfASealCanChange(t *testing.T) {
	whole := wrap(t)
	s := tee.NewSealer(fake{secret: "a"}, settings)
	for bit := range len(whole) * 8 {
		b := bytes.Clone(whole)
		b[bit/8] ^= 1 << (bit % 8)
		if got, err := s.Unwrap(b); err == nil {
			t.Errorf("bit %d: %q", bit, got)
		}
	}
	for n := range whole {
		if got, err := s.Unwrap(whole[:n]); err == nil {
			t.Errorf("%d bytes: %q", n, got)
		}
	}
}

func TestHardwareThatCannotSealSaysSo(t *testing.T) {
	s := tee.NewSealer(fake{}, settings)
	if _, err := s.Wrap([]byte("secret")); !errors.Is(err, tee.ErrNoSealing) {
		t.Errorf("wrap: %v, want %v", err, tee.ErrNoSealing)
	}
	if _, err := s.Unwrap(wrap(t)); !errors.Is(err, tee.ErrNoSealing) {
		t.Errorf("unwrap: %v, want %v", err, tee.ErrNoSealing)
	}
	if _, err := tee.NewSealer(fake{secret: "a", keySize: 16}, settings).Wrap([]byte("secret")); err == nil {
		t.Error("a key of 16 bytes seals")
	}
	if _, err := tee.NewSealer(fake{secret: "a"}, settings).Unwrap([]byte("scrypt...")); !errors.Is(err, tee.ErrNotSealed) {
		t.Errorf("what a passphrase has sealed: %v, want %v", err, tee.ErrNotSealed)
	}
}

func TestCollateralIsAddedAndReadAnew(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	own := map[string][]byte{"pck_chain": []byte("own")}
	p := tee.WithCollateral(fake{collateral: own}, dir)
	for _, text := range []string{"old", "new"} {
		write("tcb_info", text)
		ev, err := p.Evidence(t.Context(), attest.ReportData{7})
		if err != nil || string(ev.Collateral["tcb_info"]) != text || string(ev.Collateral["pck_chain"]) != "own" || ev.Value[0] != 7 {
			t.Errorf("got %v, %v", ev, err)
		}
	}
	if len(own) != 1 {
		t.Error("what the hardware holds has changed")
	}
}

func TestCollateralThatIsNoneIsSaid(t *testing.T) {
	tests := []struct {
		name string
		fill func(t *testing.T, dir string) error
		says string
	}{
		{"no folder", func(_ *testing.T, dir string) error { return os.Remove(dir) }, "no such file"},
		{"an empty file", file("tcb_info", 0), "empty"},
		{"too much in all", func(t *testing.T, dir string) error {
			return errors.Join(file("tcb_info", attest.MaxEvidence/2)(t, dir), file("qe_identity", attest.MaxEvidence/2)(t, dir))
		}, "more than"},
		{"a name that is none", file("tcb_info.json~", 3), "no name"},
		{"one that the hardware brings", file("own", 3), "hardware itself"},
		{"a folder in it", func(_ *testing.T, dir string) error { return os.Mkdir(filepath.Join(dir, "certs"), 0o700) }, "is no file"},
		{"a pipe", func(_ *testing.T, dir string) error { return syscall.Mkfifo(filepath.Join(dir, "crl"), 0o600) }, "is no file"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "collateral")
			if err := errors.Join(os.Mkdir(dir, 0o700), test.fill(t, dir)); err != nil {
				t.Fatal(err)
			}
			p := tee.WithCollateral(fake{collateral: map[string][]byte{"own": []byte("x")}}, dir)
			if _, err := p.Evidence(t.Context(), attest.ReportData{}); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want an error that says %q", err, test.says)
			}
		})
	}
}

func file(name string, size int) func(*testing.T, string) error {
	return func(_ *testing.T, dir string) error {
		return os.WriteFile(filepath.Join(dir, name), bytes.Repeat([]byte{'x'}, size), 0o600)
	}
}

// A keeper keeps one key and can misbehave.
type keeper struct {
	key      []byte
	nonces   byte
	refuse   error
	answers  func(nonce attest.Nonce, ev attest.Evidence, label string) ([]byte, error) // instead of the right one
	answered [][]byte
}

func (k *keeper) Nonce(context.Context) (attest.Nonce, error) {
	k.nonces++
	return attest.Nonce{k.nonces}, k.refuse
}

func (k *keeper) Release(_ context.Context, nonce attest.Nonce, ev attest.Evidence, label string) ([]byte, error) {
	if want := ev.Claims.ReportData(nonce, nil); !bytes.Equal(ev.Value, want[:]) {
		return nil, errors.New("evidence of another nonce")
	}
	answer := k.answers
	if answer == nil {
		answer = k.right
	}
	sealed, err := answer(nonce, ev, label)
	k.answered = append(k.answered, sealed)
	return sealed, err
}

func (k *keeper) right(nonce attest.Nonce, ev attest.Evidence, label string) ([]byte, error) {
	return attest.SealTo(ev.Claims.HPKEKey, tee.ReleaseInfo(nonce, label), k.key)
}

func TestAKeeperStandsInForHardwareThatCannotSeal(t *testing.T) {
	k := &keeper{key: bytes.Repeat([]byte{5}, 32)}
	p := tee.WithRelease(fake{}, k)
	for range 2 {
		got, err := p.SealKey(t.Context(), "label")
		if err != nil || !bytes.Equal(got, k.key) {
			t.Errorf("got %x, %v", got, err)
		}
	}
	if bytes.Equal(k.answered[0], k.answered[1]) {
		t.Error("two answers are sealed alike")
	}
	id, err := p.Identity(t.Context())
	if err != nil || len(id.Lacks) != 2 || !strings.Contains(id.Lacks[1], "another machine") {
		t.Errorf("got %v, %v: want it said that another machine keeps the key", id.Lacks, err)
	}
}

func TestAKeepersAnswerToAnotherQuestionIsRefused(t *testing.T) {
	fault := errors.New("fault")
	key := bytes.Repeat([]byte{5}, 32)
	tests := []struct {
		name string
		k    keeper
		p    fake
		is   error
	}{
		{"no nonce", keeper{refuse: fault}, fake{}, fault},
		{"no evidence", keeper{key: key}, fake{noEvidence: fault}, fault},
		{"a refusal", keeper{answers: func(attest.Nonce, attest.Evidence, string) ([]byte, error) { return nil, fault }}, fake{}, fault},
		{"for another label", keeper{answers: func(n attest.Nonce, ev attest.Evidence, label string) ([]byte, error) {
			return attest.SealTo(ev.Claims.HPKEKey, tee.ReleaseInfo(n, label+"x"), key)
		}}, fake{}, nil},
		{"for another nonce", keeper{answers: func(n attest.Nonce, ev attest.Evidence, label string) ([]byte, error) {
			n[0]--
			return attest.SealTo(ev.Claims.HPKEKey, tee.ReleaseInfo(n, label), key)
		}}, fake{}, nil},
		{"a short key", keeper{key: key[:16]}, fake{}, nil},
		{"a long key", keeper{key: append(key, 1)}, fake{}, nil},
		{"no answer", keeper{answers: func(attest.Nonce, attest.Evidence, string) ([]byte, error) { return nil, nil }}, fake{}, nil},
		{"not sealed", keeper{answers: func(attest.Nonce, attest.Evidence, string) ([]byte, error) { return key, nil }}, fake{}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := tee.WithRelease(test.p, &test.k).SealKey(t.Context(), "label")
			if err == nil || got != nil || test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("got %x, %v", got, err)
			}
		})
	}
}

// TestReleaseInfoTellsItsPartsApart: a nonce's bytes must not pass for a label's.
func TestReleaseInfoTellsItsPartsApart(t *testing.T) {
	seen := map[string]string{}
	for _, label := range []string{"", "a", "ab", "a\x00", "\x00a", strings.Repeat("a", 256)} {
		for _, nonce := range []attest.Nonce{{}, {1}, {31: 1}} {
			info := string(tee.ReleaseInfo(nonce, label))
			if other, ok := seen[info]; ok {
				t.Errorf("%q has the info of %q", label, other)
			}
			seen[info] = label
		}
	}
}
