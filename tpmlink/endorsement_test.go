package tpmlink_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/secure-signer/secure-signer/tpmlink"
	"github.com/secure-signer/secure-signer/tpmlink/tpmtest"
)

func rootsOf(t *testing.T, m *tpmtest.TPM) []*x509.Certificate {
	t.Helper()
	roots, err := tpmlink.LoadRoots(m.Roots)
	if err != nil {
		t.Fatal(err)
	}
	return roots
}

func endorse(t *testing.T, link *tpmlink.Link, m *tpmtest.TPM) tpmlink.Endorsement {
	t.Helper()
	e, err := link.Endorse(t.Context(), tpmlink.Trust{Roots: rootsOf(t, m)})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// key makes the endorsement key by a template, as anybody can, and returns what is
// public of it.
func key(t *testing.T, link *tpmlink.Link, template tpm2.TPMTPublic) (public any) {
	t.Helper()
	err := link.Do(t.Context(), func(tpm transport.TPM) error {
		made, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHEndorsement, InPublic: tpm2.New2B(template)}.Execute(tpm)
		if err != nil {
			return err
		}
		defer tpmlink.Flush(tpm, made.ObjectHandle)
		area, err := made.OutPublic.Contents()
		if err != nil {
			return err
		}
		public, err = tpm2.Pub(*area)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return public
}

// stored reads the certificate of an index, which anybody may.
func stored(t *testing.T, link *tpmlink.Link, index tpm2.TPMHandle) (der []byte) {
	t.Helper()
	err := link.Do(t.Context(), func(tpm transport.TPM) error {
		public, err := tpm2.NVReadPublic{NVIndex: index}.Execute(tpm)
		if err != nil {
			return err
		}
		area, err := public.NVPublic.Contents()
		if err != nil {
			return err
		}
		for len(der) < int(area.DataSize) {
			part, err := tpm2.NVRead{
				AuthHandle: tpm2.AuthHandle{Handle: index, Name: public.NVName, Auth: tpm2.PasswordAuth(nil)},
				NVIndex:    tpm2.NamedHandle{Handle: index, Name: public.NVName},
				Size:       min(256, area.DataSize-uint16(len(der))), Offset: uint16(len(der)),
			}.Execute(tpm)
			if err != nil {
				return err
			}
			der = append(der, part.Data.Buffer...)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// A maker is a CA of a maker of TPMs.
type maker struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newMaker(t *testing.T) maker {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "maker"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, root, root, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if root, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return maker{key, root}
}

// certify issues the certificate of an endorsement key, with whatever is wrong.
func (m maker) certify(t *testing.T, public any, change func(*x509.Certificate)) []byte {
	t.Helper()
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageKeyAgreement, UnknownExtKeyUsage: []asn1.ObjectIdentifier{{2, 23, 133, 8, 1}},
		ExtraExtensions: []pkix.Extension{alternativeName(t, 4)},
	}
	if change != nil {
		change(cert)
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, m.cert, public, m.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// alternativeName is critical, and has one name of that kind: 4 is the model's.
func alternativeName(t *testing.T, kind int) pkix.Extension {
	t.Helper()
	value, err := asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: kind, IsCompound: true, Bytes: []byte{0x30, 0}}})
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: true, Value: value}
}

func TestAnEndorsement(t *testing.T) {
	m := tpmtest.Start(t)
	for name, test := range map[string]func(*testing.T, *tpmtest.TPM){
		"is by the key of its certificate": testTemplates,
		"is refused where nobody vouches":  testUntrusted,
		"is refused without a certificate": testNoCertificate,
		"says so if nobody was to vouch":   testUnverified,
	} {
		t.Run(name, func(t *testing.T) { test(t, m) })
	}
}

func testTemplates(t *testing.T, m *tpmtest.TPM) {
	link := dial(t, m.Path)
	roots := rootsOf(t, m)
	mine := newMaker(t)
	for want, trust := range map[string]tpmlink.Trust{
		"ecc-p384": {Roots: roots}, // swtpm's is stored, and preferred to the one of RSA
		"rsa-2048": {Roots: roots, Certificate: stored(t, link, 0x01c00002)},
		"ecc-p256": {Roots: []*x509.Certificate{mine.cert}, Certificate: pem.EncodeToMemory(&pem.Block{
			Type: "CERTIFICATE", Bytes: mine.certify(t, key(t, link, tpm2.ECCEKTemplate), nil),
		})},
	} {
		t.Run(want, func(t *testing.T) {
			e, err := link.Endorse(t.Context(), trust)
			if err != nil {
				t.Fatal(err)
			}
			if e.Template != want || !e.Verified() || e.Certificate == "" || !strings.Contains(e.String(), e.Root) {
				t.Errorf("got %+v", e)
			}
			session := link.NewSession(e, nil)
			if err := session.Do(t.Context(), func(transport.TPM, tpm2.Session) error { return nil }); err != nil {
				t.Errorf("a session salted to it: %v", err)
			}
			if err := session.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func testUntrusted(t *testing.T, m *tpmtest.TPM) {
	stranger := tpmtest.Start(t)
	link := dial(t, m.Path)
	mine, other := newMaker(t), newMaker(t)
	public := key(t, link, tpm2.ECCEKTemplate)
	strangersKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	certified := func(change func(*x509.Certificate)) tpmlink.Trust {
		return tpmlink.Trust{Roots: []*x509.Certificate{mine.cert}, Certificate: mine.certify(t, public, change)}
	}
	for name, test := range map[string]struct {
		trust tpmlink.Trust
		want  string
	}{
		"without roots":                  {tpmlink.Trust{}, "--tpm-ek-roots"},
		"below another maker":            {tpmlink.Trust{Roots: rootsOf(t, stranger)}, "from the maker of your TPM"},
		"below a namesake":               {tpmlink.Trust{Roots: []*x509.Certificate{other.cert}, Certificate: mine.certify(t, public, nil)}, "from the maker of your TPM"},
		"below a root that is not there": {tpmlink.Trust{Roots: append(links(rootsOf(t, m)), mine.cert)}, "from the maker of your TPM"},
		"with another's":                 {tpmlink.Trust{Roots: rootsOf(t, stranger), Certificate: stored(t, dial(t, stranger.Path), 0x01c00016)}, "is not the one of its certificate"},
		"of a key outside":               {tpmlink.Trust{Roots: []*x509.Certificate{mine.cert}, Certificate: mine.certify(t, &strangersKey.PublicKey, nil)}, "is not the one of its certificate"},
		"that has ended":                 {certified(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), "expired"},
		"of a CA":                        {certified(func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }), "is a CA's"},
		"for signatures":                 {certified(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }), "not for the encryption"},
		"for web servers": {certified(func(c *x509.Certificate) {
			c.UnknownExtKeyUsage, c.ExtKeyUsage = nil, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}), "for another use"},
		"with a name of other kind": {certified(func(c *x509.Certificate) { c.ExtraExtensions = []pkix.Extension{alternativeName(t, 3)} }), "a name of kind 3"},
		"with a name that is none": {certified(func(c *x509.Certificate) {
			c.ExtraExtensions[0].Value = []byte{0x30, 0}
		}), "no list of names"},
		"with an unknown condition": {certified(func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}})
		}), "unhandled critical extension"},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := link.Endorse(t.Context(), test.trust)
			if !errors.Is(err, tpmlink.ErrUntrusted) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if e != (tpmlink.Endorsement{}) {
				t.Errorf("an endorsement beside the error: %v", e)
			}
		})
	}
	for want, trust := range map[string]tpmlink.Trust{
		"leave one out":           {Roots: rootsOf(t, m), Unverified: true},
		"certificate of the endo": {Roots: rootsOf(t, m), Certificate: []byte("junk")},
		"want one":                {Roots: rootsOf(t, m), Certificate: append(mine.certify(t, public, nil), mine.cert.Raw...)},
	} {
		if _, err := link.Endorse(t.Context(), trust); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func testUnverified(t *testing.T, m *tpmtest.TPM) {
	e, err := dial(t, m.Path).Endorse(t.Context(), tpmlink.Trust{Unverified: true})
	if err != nil {
		t.Fatal(err)
	}
	if e.Verified() || !strings.Contains(e.String(), "UNVERIFIED") {
		t.Errorf("got %v", e)
	}
}

func testNoCertificate(t *testing.T, m *tpmtest.TPM) {
	link := dial(t, m.Interpose(t, func(command []byte, send tpmtest.Wire) ([]byte, error) {
		if command[9] == 0x69 && command[8] == 1 { // TPM2_NV_ReadPublic
			return []byte{0x80, 0x01, 0, 0, 0, 10, 0, 0, 0x01, 0x8b}, nil // TPM_RC_HANDLE
		}
		return send(command)
	}))
	_, err := link.Endorse(t.Context(), tpmlink.Trust{Roots: rootsOf(t, m)})
	if !errors.Is(err, tpmlink.ErrUntrusted) || !strings.Contains(err.Error(), "--tpm-ek-cert") {
		t.Errorf("got %v", err)
	}
}

// links are those that did not sign themselves.
func links(certs []*x509.Certificate) []*x509.Certificate {
	return slices.DeleteFunc(certs, func(c *x509.Certificate) bool { return bytes.Equal(c.RawIssuer, c.RawSubject) })
}

func TestTheFolderOfRoots(t *testing.T) {
	maker := newMaker(t)
	asPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: maker.cert.Raw})
	link := maker.certify(t, &maker.key.PublicKey, nil) // stands for an intermediate
	for name, test := range map[string]struct {
		files map[string]string
		count int
		want  string
	}{
		"PEM":                   {map[string]string{"a.pem": string(asPEM)}, 1, ""},
		"DER":                   {map[string]string{"a.crt": string(maker.cert.Raw)}, 1, ""},
		"several in one":        {map[string]string{"a.pem": string(asPEM) + "comment\n" + string(asPEM)}, 2, ""},
		"nothing":               {nil, 0, "no root certificate"},
		"only a link":           {map[string]string{"a.crt": string(link)}, 0, "no root certificate"},
		"something else beside": {map[string]string{"a.pem": string(asPEM), "README": "read me"}, 0, "keep nothing but certificates"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range test.files {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Mkdir(filepath.Join(dir, "..data"), 0o700); err != nil {
				t.Fatal(err)
			}
			roots, err := tpmlink.LoadRoots(dir)
			if len(roots) != test.count || (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %d certificates, %v, want %d, %q", len(roots), err, test.count, test.want)
			}
		})
	}
	if _, err := tpmlink.LoadRoots(filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Error("a folder that is missing is taken for one")
	}
}
