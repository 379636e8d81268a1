package tpm

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/attest"
)

var (
	now  = time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	data = attest.ReportData(bytes.Repeat([]byte{7}, 64))
)

// sample is a quote of PCR 0, 7 and 16 that swtpm made, with the AK's key: what
// tpm2_quote returned, in one file.
func sample(t testing.TB, scheme string) (attest.Evidence, Verifier) {
	t.Helper()
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join("testdata", scheme+"."+name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	ev := attest.Evidence{Type: attest.TypeTPM, Value: read("quote"), Collateral: map[string][]byte{AKPublic: read("ak"), PCRs: read("pcrs")}}
	if scheme == "ecdsa" { // whose qualifying data is a digest
		ev.Collateral[ReportData] = data[:]
	}
	return ev, Verifier{Roots: []attest.Digest{sha256.Sum256(ev.Collateral[AKPublic])}}
}

func TestQuotesOfATPM(t *testing.T) {
	for _, scheme := range []string{"rsassa", "rsapss", "ecdsa"} {
		t.Run(scheme, func(t *testing.T) {
			ev, v := sample(t, scheme)
			got, err := v.Verify(ev, now)
			if err != nil {
				t.Fatal(err)
			}
			if slices.Sorted(maps.Keys(got.Measurements))[2] != "pcr7" || len(got.Measurements) != 3 ||
				!bytes.Equal(got.Measurements["pcr0"], make([]byte, 32)) || bytes.Equal(got.Measurements["pcr7"], make([]byte, 32)) {
				t.Errorf("got %v", got.Measurements)
			}
			if got.Kind != attest.KindTPM || got.ReportData != data || got.Root != v.Roots[0] || got.HardwareID == nil || got.Revocation != attest.RevocationNone {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestNoByteOfAQuoteCanBeChanged(t *testing.T) {
	for _, scheme := range []string{"rsassa", "rsapss", "ecdsa"} {
		ev, v := sample(t, scheme)
		parts := maps.Clone(ev.Collateral)
		parts[""] = ev.Value
		for name, part := range parts {
			for i := range part {
				for bit := range 8 {
					flipped := bytes.Clone(part)
					flipped[i] ^= 1 << bit
					changed := attest.Evidence{Type: ev.Type, Value: ev.Value, Collateral: maps.Clone(ev.Collateral)}
					if name == "" {
						changed.Value = flipped
					} else {
						changed.Collateral[name] = flipped
					}
					if _, err := v.Verify(changed, now); err == nil {
						t.Errorf("%s: accepted %q with bit %d of byte %d changed", scheme, name, bit, i)
					}
				}
			}
		}
		for n := range ev.Value {
			changed := ev
			changed.Value = ev.Value[:n]
			if _, err := v.Verify(changed, now); err == nil {
				t.Errorf("%s: accepted %d of %d bytes", scheme, n, len(ev.Value))
			}
		}
	}
}

// A forge makes quotes with a key below a root of its own.
type forge struct {
	magic      uint32
	kind       uint16
	qualifying []byte
	banks      uint32
	bank       uint16
	selection  []byte
	pcrs       []byte
	scheme     uint16
	hash       uint16
	tail       []byte // after the attested structure
	rsaBits    int    // 0: ECDSA
	leafIsCA   bool
	until      time.Time
	stranger   bool
	tamper     func(*attest.Evidence)
}

func newForge() *forge {
	return &forge{
		magic: magic, kind: typeQuote, qualifying: data[:], banks: 1, bank: algSHA256, selection: []byte{0x81, 0, 0},
		pcrs: bytes.Repeat([]byte{9}, 64), scheme: schemeECDSA, hash: algSHA256, until: now.AddDate(1, 0, 0),
	}
}

func (f *forge) attested() []byte {
	be := binary.BigEndian
	sized := func(b, v []byte) []byte { return append(be.AppendUint16(b, uint16(len(v))), v...) }
	b := be.AppendUint32(nil, f.magic)
	b = be.AppendUint16(b, f.kind)
	b = sized(b, []byte("qualified name"))
	b = sized(b, f.qualifying)
	b = append(b, make([]byte, 8+4+4+1+8)...)
	b = be.AppendUint32(b, f.banks)
	b = be.AppendUint16(b, f.bank)
	b = append(append(b, byte(len(f.selection))), f.selection...)
	digest := sha256.Sum256(f.pcrs)
	return append(sized(b, digest[:]), f.tail...)
}

func (f *forge) make(t testing.TB) (attest.Evidence, Verifier) {
	t.Helper()
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issue := func(name string, ca bool, key any, parent *x509.Certificate) *x509.Certificate {
		c := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: now.AddDate(-1, 0, 0), NotAfter: f.until,
			BasicConstraintsValid: true, IsCA: ca, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		}
		if parent == nil {
			parent, c.NotAfter = c, now.AddDate(9, 0, 0)
		}
		der, err := x509.CreateCertificate(rand.Reader, c, parent, key, rootKey)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	root := issue("root", true, &rootKey.PublicKey, nil)
	be := binary.BigEndian
	attested := f.attested()
	value := append(be.AppendUint16(nil, uint16(len(attested))), attested...)
	value = be.AppendUint16(value, f.scheme)
	value = be.AppendUint16(value, f.hash)
	digest := sha256.Sum256(attested)
	var leaf *x509.Certificate
	if f.rsaBits > 0 {
		key, err := rsa.GenerateKey(rand.Reader, f.rsaBits)
		if err != nil {
			t.Fatal(err)
		}
		leaf = issue("ak", f.leafIsCA, &key.PublicKey, root)
		s, err := rsa.SignPKCS1v15(rand.Reader, key, 5, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		value = append(be.AppendUint16(value, uint16(len(s))), s...)
	} else {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		leaf = issue("ak", f.leafIsCA, &key.PublicKey, root)
		if f.stranger {
			key = rootKey
		}
		r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []*big.Int{r, s} {
			value = append(be.AppendUint16(value, 32), n.FillBytes(make([]byte, 32))...)
		}
	}
	ev := attest.Evidence{Type: attest.TypeTPM, Value: value, Collateral: map[string][]byte{AKChain: slices.Concat(leaf.Raw, root.Raw), PCRs: f.pcrs}}
	if f.tamper != nil {
		f.tamper(&ev)
	}
	return ev, Verifier{Roots: []attest.Digest{sha256.Sum256(root.Raw)}}
}

func TestAnAKMayHaveACertificate(t *testing.T) {
	ev, v := newForge().make(t)
	got, err := v.Verify(ev, now)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]attest.Hex{"pcr0": bytes.Repeat([]byte{9}, 32), "pcr7": bytes.Repeat([]byte{9}, 32)}
	if diff := cmp.Diff(want, got.Measurements); diff != "" {
		t.Error(diff)
	}
	if got.Revocation != attest.RevocationUnchecked || !got.ValidUntil.Equal(now.AddDate(1, 0, 0)) || got.Root != v.Roots[0] || got.Root == attest.Digest(got.HardwareID) {
		t.Errorf("got %+v", got)
	}
}

func TestForgeriesAreRefused(t *testing.T) {
	tests := []struct {
		name   string
		change func(*forge)
		want   string
	}{
		{"a stranger's signature", func(f *forge) { f.stranger = true }, "did not sign it"},
		{"something that is not of the TPM", func(f *forge) { f.magic = 0 }, "made no quote"},
		{"another attestation of the TPM", func(f *forge) { f.kind = 0x8014 }, "made no quote"},
		{"two banks", func(f *forge) { f.banks = 2 }, "PCRs of 2 banks"},
		{"the bank of SHA-1", func(f *forge) { f.bank = 4 }, "algorithm 0x4"},
		{"no PCR", func(f *forge) { f.selection = []byte{0, 0, 0} }, "of no PCR"},
		{"something after the quote", func(f *forge) { f.tail = []byte{0} }, "follow after the end"},
		{"something after the signature", func(f *forge) {
			f.tamper = func(ev *attest.Evidence) { ev.Value = append(ev.Value, 0) }
		}, "follow after the end"},
		{"RSA's scheme with a key of ECDSA", func(f *forge) {
			f.tamper = func(ev *attest.Evidence) {
				ev.Value = ev.Value[:len(ev.Value)-34]
				binary.BigEndian.PutUint16(ev.Value[2+binary.BigEndian.Uint16(ev.Value):], schemeRSASSA)
			}
		}, "did not sign it"},
		{"another scheme", func(f *forge) { f.scheme = 5 }, "scheme 0x5"},
		{"SHA-1", func(f *forge) { f.hash = 4 }, "hash algorithm 0x4"},
		{"a short RSA key", func(f *forge) { f.rsaBits, f.scheme = 1024, schemeRSASSA }, "1024 bits is too weak"},
		{"other PCR values", func(f *forge) {
			f.tamper = func(ev *attest.Evidence) { ev.Collateral[PCRs] = make([]byte, 64) }
		}, "not the values that were quoted"},
		{"too few PCR values", func(f *forge) {
			f.tamper = func(ev *attest.Evidence) { ev.Collateral[PCRs] = ev.Collateral[PCRs][:32] }
		}, "of 2 registers"},
		{"no PCR values", func(f *forge) {
			f.tamper = func(ev *attest.Evidence) { delete(ev.Collateral, PCRs) }
		}, "pcrs did not come"},
		{"an ended certificate", func(f *forge) { f.until = now.Add(-time.Second) }, "expired"},
		{"a CA's certificate as the AK's", func(f *forge) { f.leafIsCA = true }, "is a CA's"},
		{"neither chain nor key", func(f *forge) {
			f.tamper = func(ev *attest.Evidence) { delete(ev.Collateral, AKChain) }
		}, "one of ak_chain and ak_public"},
		{"a key that nobody pinned beside a chain", func(f *forge) {
			f.tamper = func(ev *attest.Evidence) { ev.Collateral[AKPublic] = []byte{1} }
		}, "one of ak_chain and ak_public"},
		{"report data that was not hashed", func(f *forge) {
			f.tamper = func(ev *attest.Evidence) { ev.Collateral[ReportData] = data[:] }
		}, "is not what the qualifying data"},
		{"another type", func(f *forge) {
			f.tamper = func(ev *attest.Evidence) { ev.Type = attest.TypeNitro }
		}, "use the verifier for that type"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("GODEBUG", "rsa1024min=0") // for the key that is too short
			f := newForge()
			tt.change(f)
			ev, v := f.make(t)
			got, err := v.Verify(ev, now)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if diff := cmp.Diff(attest.Result{}, got); diff != "" {
				t.Errorf("a result beside the error: %s", diff)
			}
		})
	}
}

func TestNobodyIsTrustedUnlessNamed(t *testing.T) {
	ev, _ := newForge().make(t)
	_, other := newForge().make(t)
	for _, v := range []Verifier{{}, other} {
		if _, err := v.Verify(ev, now); err == nil || !strings.Contains(err.Error(), "not trusted") {
			t.Errorf("chain: %v", err)
		}
	}
	ev, _ = sample(t, "rsassa")
	for _, v := range []Verifier{{}, other} {
		if _, err := v.Verify(ev, now); err == nil || !strings.Contains(err.Error(), "not trusted") {
			t.Errorf("key: %v", err)
		}
	}
}

func TestOtherQualifyingDataMatchesNoPolicy(t *testing.T) {
	for _, n := range []int{0, 32, 63, 65} {
		f := newForge()
		f.qualifying = bytes.Repeat([]byte{7}, n)
		ev, v := f.make(t)
		got, err := v.Verify(ev, now)
		if err != nil || got.ReportData != (attest.ReportData{}) {
			t.Errorf("%d bytes: %v, %v", n, got.ReportData, err)
		}
	}
}

func FuzzQuote(f *testing.F) {
	for _, scheme := range []string{"rsassa", "ecdsa"} {
		ev, _ := sample(f, scheme)
		f.Add(ev.Value)
	}
	genuine, v := sample(f, "ecdsa")
	f.Fuzz(func(t *testing.T, value []byte) {
		q, err := parseQuote(value)
		if err == nil && (len(q.selected) == 0 || len(q.signed) > len(value)) {
			t.Errorf("got %+v", q)
		}
		changed := genuine
		changed.Value = value
		if _, err := v.Verify(changed, now); err == nil && !bytes.Equal(q.signed, genuine.Value[2:2+len(q.signed)]) {
			t.Error("a quote that the TPM did not sign")
		}
	})
}
