package tpm_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"math/big"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/secure-signer/secure-signer/attest"
	attesttpm "github.com/secure-signer/secure-signer/attest/tpm"
	"github.com/secure-signer/secure-signer/tee"
	"github.com/secure-signer/secure-signer/tee/teetest"
	"github.com/secure-signer/secure-signer/tee/tpm"
	"github.com/secure-signer/secure-signer/tpmlink"
	"github.com/secure-signer/secure-signer/tpmlink/tpmtest"
)

func dial(t *testing.T, path string) *tpmlink.Link {
	t.Helper()
	link, err := tpmlink.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { link.Close() })
	return link
}

func endorse(t *testing.T, m *tpmtest.TPM) tpmlink.Endorsement {
	t.Helper()
	roots, err := tpmlink.LoadRoots(m.Roots)
	if err != nil {
		t.Fatal(err)
	}
	e, err := dial(t, m.Path).Endorse(t.Context(), tpmlink.Trust{Roots: roots})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func open(t *testing.T, m *tpmtest.TPM, path string, cfg tpm.Config) *tpm.Platform {
	t.Helper()
	p, err := tpm.Open(t.Context(), dial(t, path), endorse(t, m), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// akID is the name by which a verifier pins the attestation key.
func akID(t *testing.T, p *tpm.Platform) attest.Digest {
	t.Helper()
	ev, err := p.Evidence(t.Context(), attest.ReportData{})
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(ev.Collateral[attesttpm.AKPublic])
}

// extend measures something into a PCR, as a boot loader does.
func extend(t *testing.T, m *tpmtest.TPM, pcr uint32) {
	t.Helper()
	err := dial(t, m.Path).Do(t.Context(), func(t transport.TPM) error {
		digest := sha256.Sum256([]byte("another kernel"))
		_, err := tpm2.PCRExtend{
			PCRHandle: tpm2.AuthHandle{Handle: tpm2.TPMHandle(pcr), Auth: tpm2.PasswordAuth(nil)},
			Digests:   tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{{HashAlg: tpm2.TPMAlgSHA256, Digest: digest[:]}}},
		}.Execute(t)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTheSuite(t *testing.T) {
	m, stranger := tpmtest.Start(t), tpmtest.Start(t)
	cfg := tpm.Config{PCRs: []int{7, 11}}
	id := akID(t, open(t, m, m.Path, cfg))
	broken := func(relay func(command []byte, send tpmtest.Wire) ([]byte, error)) func(t *testing.T) tee.Platform {
		return func(t *testing.T) tee.Platform {
			var on atomic.Bool
			p := open(t, m, m.Interpose(t, func(command []byte, send tpmtest.Wire) ([]byte, error) {
				if on.Load() {
					return relay(command, send)
				}
				return send(command)
			}), cfg)
			on.Store(true)
			return p
		}
	}
	teetest.Run(t, teetest.Suite{
		New: func(t *testing.T, program int) tee.Platform {
			m.PowerOff(t)
			m.PowerOn(t)
			if program == 1 {
				extend(t, m, 11)
			}
			return open(t, m, m.Path, cfg)
		},
		Verifier: attesttpm.Verifier{Roots: []attest.Digest{id}},
		Seals:    true,
		Hanging: func(t *testing.T) tee.Platform {
			ended := make(chan struct{})
			p := broken(func([]byte, tpmtest.Wire) ([]byte, error) {
				<-ended
				return nil, errors.New("the test has ended")
			})(t)
			t.Cleanup(func() { close(ended) }) // before the wire's, which waits
			return p
		},
		Faults: []teetest.Fault{
			{Name: "the TPM is gone", Want: "talk to the TPM", New: broken(func([]byte, tpmtest.Wire) ([]byte, error) {
				return nil, errors.New("gone")
			})},
			{Name: "the TPM failed its self-test", Want: "switch the machine off and on", New: broken(func([]byte, tpmtest.Wire) ([]byte, error) {
				return []byte{0x80, 0x01, 0, 0, 0, 10, 0, 0, 0x01, 0x01}, nil
			})},
			{Name: "an answer is cut", Want: "TPM", New: broken(func([]byte, tpmtest.Wire) ([]byte, error) {
				return []byte{0x80, 0x01, 0, 0, 0, 11, 0, 0, 0, 0, 0}, nil
			})},
			{Name: "another TPM answers", Want: "this is another TPM", New: broken(func(command []byte, _ tpmtest.Wire) ([]byte, error) {
				return stranger.Send(command)
			})},
		},
	})
}

func sealKey(t *testing.T, p *tpm.Platform) []byte {
	t.Helper()
	key, err := p.SealKey(t.Context(), "label")
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestAKeyBelongsToTheMachineAndToWhatItBooted(t *testing.T) {
	m, stranger := tpmtest.Start(t), tpmtest.Start(t)
	cfg := tpm.Config{PCRs: []int{4, 7}}
	key := sealKey(t, open(t, m, m.Path, cfg))
	if bytes.Equal(key, sealKey(t, open(t, stranger, stranger.Path, cfg))) {
		t.Error("another machine has the same key")
	}
	if bytes.Equal(key, sealKey(t, open(t, m, m.Path, tpm.Config{PCRs: []int{7}}))) {
		t.Error("the same key for other PCRs")
	}
	if !bytes.Equal(key, sealKey(t, open(t, m, m.Path, tpm.Config{PCRs: []int{7, 4, 7}}))) {
		t.Error("the order in which PCRs are named matters")
	}
	p := open(t, m, m.Path, cfg)
	extend(t, m, 11)
	if !bytes.Equal(key, sealKey(t, p)) {
		t.Error("a PCR that was not chosen changes the key")
	}
	extend(t, m, 4)
	if bytes.Equal(key, sealKey(t, p)) {
		t.Error("after another boot loader the same key")
	}
	if err := dial(t, m.Path).Do(t.Context(), func(t transport.TPM) error {
		_, err := tpm2.Clear{AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHLockout, Auth: tpm2.PasswordAuth(nil)}}.Execute(t)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	m.PowerOff(t)
	m.PowerOn(t)
	if !bytes.Equal(key, sealKey(t, p)) {
		t.Error("after TPM2_Clear and a start of the same system it is another key")
	}
}

// Codes of commands.
const (
	tpmHMAC       = 0x155
	tpmQuote      = 0x158
	tpmPolicyPCR  = 0x17f
	tpmPCRRead    = 0x17e
	tpmPrimary    = 0x131
	tpmStartsAuth = 0x176
)

func codeOf(command []byte) uint32 { return binary.BigEndian.Uint32(command[6:]) }

// TestTheBusIsTheHosts: who sits between can refuse a key, and neither know nor
// choose it, nor free it from the PCRs.
func TestTheBusIsTheHosts(t *testing.T) {
	m := tpmtest.Start(t)
	key := sealKey(t, open(t, m, m.Path, tpm.Config{}))
	success := []byte{0x80, 0x01, 0, 0, 0, 10, 0, 0, 0, 0}
	var recorded []byte
	for name, test := range map[string]struct {
		relay  func(command []byte, send tpmtest.Wire) ([]byte, error)
		passes bool
	}{
		"it listens": {func(command []byte, send tpmtest.Wire) ([]byte, error) {
			answer, err := send(command)
			if bytes.Contains(answer, key) || bytes.Contains(command, key) {
				t.Errorf("command %#x shows the key", codeOf(command))
			}
			return answer, err
		}, true},
		"it replays a key": {func(command []byte, send tpmtest.Wire) ([]byte, error) {
			if codeOf(command) != tpmHMAC {
				return send(command)
			}
			if recorded == nil {
				var err error
				if recorded, err = send(command); err != nil {
					return nil, err
				}
				return nil, errors.New("kept for later")
			}
			return recorded, nil
		}, false},
		"it changes a key": {func(command []byte, send tpmtest.Wire) ([]byte, error) {
			answer, err := send(command)
			if codeOf(command) == tpmHMAC && err == nil && len(answer) > 20 {
				answer[20] ^= 1
			}
			return answer, err
		}, false},
		"it leaves the PCRs out of the policy": {func(command []byte, send tpmtest.Wire) ([]byte, error) {
			if codeOf(command) == tpmPolicyPCR {
				return success, nil
			}
			return send(command)
		}, false},
		"it lies about the PCRs": {func(command []byte, send tpmtest.Wire) ([]byte, error) {
			answer, err := send(command)
			if codeOf(command) == tpmPCRRead && err == nil {
				answer[len(answer)-1] ^= 1
			}
			return answer, err
		}, false},
		"it changes the seal key's template": {func(command []byte, send tpmtest.Wire) ([]byte, error) {
			if i := bytes.Index(command, []byte("secure-signer seal")); codeOf(command) == tpmPrimary && i >= 0 {
				command[i] ^= 1
			}
			return send(command)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			var on atomic.Bool
			p := open(t, m, m.Interpose(t, func(command []byte, send tpmtest.Wire) ([]byte, error) {
				if on.Load() {
					return test.relay(command, send)
				}
				return send(command)
			}), tpm.Config{})
			on.Store(true)
			for range 2 {
				got, err := p.SealKey(t.Context(), "label")
				if (err == nil) != test.passes {
					t.Errorf("got %v", err)
				}
				if err == nil && !bytes.Equal(got, key) {
					t.Error("it has chosen the key")
				}
			}
		})
	}
}

// TestATPMThatQuotesNoMoreThanADigest: the report data goes beside the quote.
func TestATPMThatQuotesNoMoreThanADigest(t *testing.T) {
	m := tpmtest.Start(t)
	p := open(t, m, m.Interpose(t, func(command []byte, send tpmtest.Wire) ([]byte, error) {
		if codeOf(command) == tpmQuote && bytes.Contains(command, append([]byte{0, 64}, make([]byte, 10)...)) {
			return []byte{0x80, 0x01, 0, 0, 0, 10, 0, 0, 0x01, 0xd5}, nil // TPM_RC_SIZE, of parameter 1
		}
		return send(command)
	}), tpm.Config{})
	ev, err := p.Evidence(t.Context(), attest.ReportData{}) // of zeros, as the wire above expects
	if err != nil {
		t.Fatal(err)
	}
	result, err := attesttpm.Verifier{Roots: []attest.Digest{akID(t, p)}}.Verify(ev, time.Now())
	if err != nil || ev.Collateral[attesttpm.ReportData] == nil || result.ReportData != (attest.ReportData{}) {
		t.Errorf("got %v, %v", ev.Collateral, err)
	}
}

// issue certifies a key by a root of its own, as whoever has seen the AK in its TPM
// does.
func issue(t *testing.T, spki []byte) (chain []byte, root attest.Digest) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "pool"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: ca.NotBefore, NotAfter: ca.NotAfter}
	rootDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, public, key)
	if err != nil {
		t.Fatal(err)
	}
	return append(leafDER, rootDER...), sha256.Sum256(rootDER)
}

func TestAnAttestationKeyMayBeCertified(t *testing.T) {
	m := tpmtest.Start(t)
	bare, err := open(t, m, m.Path, tpm.Config{}).Evidence(t.Context(), attest.ReportData{})
	if err != nil {
		t.Fatal(err)
	}
	chain, root := issue(t, bare.Collateral[attesttpm.AKPublic])
	p := open(t, m, m.Path, tpm.Config{AKChain: chain})
	ev, err := p.Evidence(t.Context(), attest.ReportData{1})
	if err != nil {
		t.Fatal(err)
	}
	result, err := attesttpm.Verifier{Roots: []attest.Digest{root}}.Verify(ev, time.Now())
	if err != nil || result.ReportData != (attest.ReportData{1}) {
		t.Errorf("got %v, %v", result.ReportData, err)
	}
	id, err := p.Identity(t.Context())
	if err != nil || strings.Contains(strings.Join(id.Lacks, " "), "certified") {
		t.Errorf("it lacks %q, %v", id.Lacks, err)
	}
	certs, err := x509.ParseCertificates(chain)
	if err != nil {
		t.Fatal(err)
	}
	for want, chain := range map[string][]byte{
		"is not that of this TPM's key": certs[1].Raw,
		"chain of the attestation key":  []byte("junk"),
	} {
		if _, err := tpm.Open(t.Context(), dial(t, m.Path), endorse(t, m), tpm.Config{AKChain: chain}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestWhatIsRefused(t *testing.T) {
	m := tpmtest.Start(t)
	for pcr, want := range map[int]string{-1: "0 to 23", 24: "0 to 23", 16: "software may reset it", 23: "software may reset it"} {
		if _, err := tpm.Open(t.Context(), dial(t, m.Path), endorse(t, m), tpm.Config{PCRs: []int{7, pcr}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("PCR %d: got %v, want %q", pcr, err, want)
		}
	}
}

func TestAnUnverifiedTPMSaysSo(t *testing.T) {
	m := tpmtest.Start(t)
	link := dial(t, m.Path)
	e, err := link.Endorse(t.Context(), tpmlink.Trust{Unverified: true})
	if err != nil {
		t.Fatal(err)
	}
	p, err := tpm.Open(t.Context(), link, e, tpm.Config{})
	if err != nil {
		t.Fatal(err)
	}
	id, err := p.Identity(t.Context())
	if lacks := strings.Join(id.Lacks, "\n"); err != nil || !strings.Contains(lacks, "unverified") || !strings.Contains(lacks, "pcr7 is zero") {
		t.Errorf("it lacks %q, %v", id.Lacks, err)
	}
	extend(t, m, 7)
	if id, err = p.Identity(t.Context()); err != nil || strings.Contains(strings.Join(id.Lacks, "\n"), "zero") {
		t.Errorf("after a measurement it lacks %q, %v", id.Lacks, err)
	}
}

// TestNothingIsLeftInTheTPM: it has room for three keys and three sessions.
func TestNothingIsLeftInTheTPM(t *testing.T) {
	m := tpmtest.Start(t)
	loaded := 0
	p := open(t, m, m.Interpose(t, func(command []byte, send tpmtest.Wire) ([]byte, error) {
		answer, err := send(command)
		if err == nil && binary.BigEndian.Uint32(answer[6:]) == 0 {
			switch codeOf(command) {
			case tpmPrimary:
				loaded++
			case tpmStartsAuth:
				loaded++
				if key := tpm2.TPMHandle(binary.BigEndian.Uint32(command[10:])); key == tpm2.TPMRHNull {
					t.Error("a session without a salt: who listens knows what it is encrypted by")
				}
			case 0x165: // TPM2_FlushContext
				loaded--
			}
		}
		return answer, err
	}), tpm.Config{})
	sealKey(t, p)
	if _, err := p.Evidence(t.Context(), attest.ReportData{}); err != nil {
		t.Fatal(err)
	}
	if loaded != 0 {
		t.Errorf("%d keys and sessions were loaded and not flushed", loaded)
	}
}
