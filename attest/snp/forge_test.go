package snp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"math/big"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/attest"
)

var forgeTime = time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)

// A forge makes reports below a root of its own. A test changes what it likes,
// and everything is signed afterwards.
type forge struct {
	line   Line
	name   string // VCEK or VLEK
	report []byte
	tcb    map[int]int // of the certificate, by extension
	chip   []byte      // of the certificate

	names     map[string]string // of certificates, instead of AMD's
	until     time.Time
	algorithm x509.SignatureAlgorithm
	crl       bool
	revoked   bool
	crlUntil  time.Time
	crlByASK  bool
	curve     elliptic.Curve
	stranger  bool // another key signs the report
	unsigned  func(report []byte)
	tamper    func(*attest.Evidence)
}

func newForge(line Line, name string) *forge {
	f := &forge{
		line: line, name: name, report: make([]byte, reportSize), names: map[string]string{},
		until: forgeTime.AddDate(5, 0, 0), algorithm: x509.SHA384WithRSAPSS,
		crl: true, crlUntil: forgeTime.AddDate(0, 1, 0), curve: elliptic.P384(),
		tcb:  map[int]int{1: 3, 2: 0, 3: 20, 8: 209},
		chip: slices.Repeat([]byte{0xC}, 64),
	}
	le := binary.LittleEndian
	le.PutUint32(f.report, 3)
	le.PutUint64(f.report[0x08:], 0x30000|1<<20)
	le.PutUint32(f.report[0x34:], 1)
	f.report[0x188], f.report[0x189] = 0x19, map[Line]byte{Milan: 1, Genoa: 0x11}[line]
	copy(f.report[0x180:], []byte{3, 0, 0, 0, 0, 0, 20, 209})
	if line == Turin {
		f.report[0x188], f.report[0x189] = 0x1A, 2
		copy(f.report[0x180:], []byte{1, 3, 0, 20, 0, 0, 0, 209})
		f.tcb[9] = 1
		f.chip = f.chip[:8]
	}
	copy(f.report[0x1A0:], f.chip)
	if name == VLEK {
		f.report[0x48] = 1 << 2
	}
	copy(f.report[0x50:], "report data")
	copy(f.report[0x90:], "measurement")
	copy(f.report[0xC0:], "host data")
	return f
}

// Keys of RSA take long to make: two do for all.
var rsaKeys = sync.OnceValue(func() (keys [2]*rsa.PrivateKey) {
	for i := range keys {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		keys[i] = key
	}
	return keys
})

func (f *forge) certificate(t testing.TB, role, name string, serial int64, key crypto.Signer, by *x509.Certificate, signer crypto.Signer, extensions []pkix.Extension) *x509.Certificate {
	t.Helper()
	if other, ok := f.names[role]; ok {
		name = other
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: forgeTime.AddDate(-1, 0, 0), NotAfter: f.until,
		SignatureAlgorithm: f.algorithm, ExtraExtensions: extensions,
	}
	if role != "leaf" {
		c.NotAfter = forgeTime.AddDate(20, 0, 0)
		c.BasicConstraintsValid, c.IsCA, c.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
	}
	if by == nil {
		by = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func (f *forge) make(t testing.TB) (attest.Evidence, Verifier) {
	t.Helper()
	keys := rsaKeys()
	leafKey, err := ecdsa.GenerateKey(f.curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	between, leaf := "SEV-"+string(f.line), "SEV-VCEK"
	if f.name == VLEK {
		between, leaf = "SEV-VLEK-"+string(f.line), "SEV-VLEK"
	}
	extensions := []pkix.Extension{{Id: oid(1), Value: []byte{2, 1, 0}}}
	for number, version := range f.tcb {
		value := []byte{2, 1, byte(version)}
		if version > 127 {
			value = []byte{2, 2, byte(version >> 8), byte(version)}
		}
		extensions = append(extensions, pkix.Extension{Id: oid(3, number), Value: value})
	}
	if f.name == VCEK && f.chip != nil {
		extensions = append(extensions, pkix.Extension{Id: oid(4), Value: f.chip})
	}
	ark := f.certificate(t, "ark", "ARK-"+string(f.line), 1, keys[0], nil, keys[0], nil)
	ask := f.certificate(t, "ask", between, 2, keys[1], ark, keys[0], nil)
	vcek := f.certificate(t, "leaf", leaf, 0, leafKey, ask, keys[1], extensions)

	ev := attest.Evidence{Type: attest.TypeSNP, Value: f.sign(t, leafKey), Collateral: map[string][]byte{
		f.name: vcek.Raw, ASK: ask.Raw, ARK: ark.Raw,
	}}
	if f.crl {
		list := &x509.RevocationList{
			Number: big.NewInt(1), ThisUpdate: forgeTime.AddDate(0, 0, -3), NextUpdate: f.crlUntil, SignatureAlgorithm: x509.SHA384WithRSAPSS,
		}
		if f.revoked {
			list.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: ask.SerialNumber, RevocationTime: list.ThisUpdate}}
		}
		issuer, signer := ark, keys[0]
		if f.crlByASK {
			issuer, signer = ask, keys[1]
		}
		der, err := x509.CreateRevocationList(rand.Reader, list, issuer, signer)
		if err != nil {
			t.Fatal(err)
		}
		ev.Collateral[CRL] = der
	}
	if f.tamper != nil {
		f.tamper(&ev)
	}
	return ev, Verifier{Roots: map[Line]attest.Digest{f.line: sha256.Sum256(ark.Raw)}}
}

func (f *forge) sign(t testing.TB, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	if f.stranger {
		other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		key = other
	}
	digest := sha512.Sum384(f.report[:signedSize])
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	out := slices.Clone(f.report)
	for i, number := range []*big.Int{r, s} {
		b := number.FillBytes(make([]byte, 48))
		slices.Reverse(b)
		copy(out[signedSize+i*numberSize:], b)
	}
	if f.unsigned != nil {
		f.unsigned(out)
	}
	return out
}
