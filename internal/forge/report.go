package forge

import (
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"math/big"
	"slices"
	"sync"
	"time"

	"github.com/secure-signer/secure-signer/attest"
)

// Sizes in a report of SEV-SNP, in bytes.
const (
	ReportSize = 1184
	signedSize = 672
	numberSize = 72
)

// A Report makes reports of SEV-SNP, with their certificates.
type Report struct {
	Line   string // Milan, Genoa or Turin
	Name   string // vcek or vlek
	Report []byte
	TCB    map[int]int // of the certificate, by extension
	Chip   []byte      // of the certificate

	ARK       *x509.Certificate // of NewARK; made anew for each report if nil
	Names     map[string]string // of certificates, instead of AMD's
	Until     time.Time
	Algorithm x509.SignatureAlgorithm
	CRL       bool
	Revoked   bool
	CRLUntil  time.Time
	CRLByASK  bool
	Curve     elliptic.Curve
	Stranger  bool // another key signs the report
	Unsigned  func(report []byte)
	Tamper    func(*attest.Evidence)
}

// NewReport is of a line, signed with a vcek or a vlek.
func NewReport(line, name string) *Report {
	f := &Report{
		Line: line, Name: name, Report: make([]byte, ReportSize), Names: map[string]string{},
		Until: Time.AddDate(5, 0, 0), Algorithm: x509.SHA384WithRSAPSS,
		CRL: true, CRLUntil: Time.AddDate(0, 1, 0), Curve: elliptic.P384(),
		TCB:  map[int]int{1: 3, 2: 0, 3: 20, 8: 209},
		Chip: slices.Repeat([]byte{0xC}, 64),
	}
	le := binary.LittleEndian
	le.PutUint32(f.Report, 3)
	le.PutUint64(f.Report[0x08:], 0x30000|1<<20)
	le.PutUint32(f.Report[0x34:], 1)
	f.Report[0x188], f.Report[0x189] = 0x19, map[string]byte{"Milan": 1, "Genoa": 0x11}[line]
	copy(f.Report[0x180:], []byte{3, 0, 0, 0, 0, 0, 20, 209})
	if line == "Turin" {
		f.Report[0x188], f.Report[0x189] = 0x1A, 2
		copy(f.Report[0x180:], []byte{1, 3, 0, 20, 0, 0, 0, 209})
		f.TCB[9] = 1
		f.Chip = f.Chip[:8]
	}
	copy(f.Report[0x1A0:], f.Chip)
	if name == "vlek" {
		f.Report[0x48] = 1 << 2
	}
	copy(f.Report[0x50:], "report data")
	copy(f.Report[0x90:], "measurement")
	copy(f.Report[0xC0:], "host data")
	return f
}

// Keys of RSA take long to make: two do for all.
var rsaKeys = sync.OnceValue(func() (keys [2]*rsa.PrivateKey) {
	for i := range keys {
		keys[i] = must(rsa.GenerateKey(rand.Reader, 2048))
	}
	return keys
})

// OIDAMD is one of AMD's for its certificates.
func OIDAMD(below ...int) asn1.ObjectIdentifier {
	return append(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 3704, 1}, below...)
}

func (f *Report) certificate(role, name string, serial int64, key crypto.Signer, by *x509.Certificate, signer crypto.Signer, extensions []pkix.Extension) *x509.Certificate {
	if other, ok := f.Names[role]; ok {
		name = other
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: Time.AddDate(-1, 0, 0), NotAfter: f.Until,
		SignatureAlgorithm: f.Algorithm, ExtraExtensions: extensions,
	}
	if role != "leaf" {
		c.NotAfter = Time.AddDate(20, 0, 0)
		c.BasicConstraintsValid, c.IsCA, c.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
	}
	return issue(c, by, key.Public(), signer)
}

// NewARK makes a root that several reports can share.
func (f *Report) NewARK() *x509.Certificate {
	keys := rsaKeys()
	return f.certificate("ark", "ARK-"+f.Line, 1, keys[0], nil, keys[0], nil)
}

// Make signs everything, and returns the root to trust for the line.
func (f *Report) Make() (attest.Evidence, attest.Digest) {
	keys := rsaKeys()
	leafKey := newKey(f.Curve)
	between, leaf := "SEV-"+f.Line, "SEV-VCEK"
	if f.Name == "vlek" {
		between, leaf = "SEV-VLEK-"+f.Line, "SEV-VLEK"
	}
	extensions := []pkix.Extension{{Id: OIDAMD(1), Value: []byte{2, 1, 0}}}
	for number, version := range f.TCB {
		extensions = append(extensions, pkix.Extension{Id: OIDAMD(3, number), Value: must(asn1.Marshal(version))})
	}
	if f.Name == "vcek" && f.Chip != nil {
		extensions = append(extensions, pkix.Extension{Id: OIDAMD(4), Value: f.Chip})
	}
	ark := f.ARK
	if ark == nil {
		ark = f.NewARK()
	}
	ask := f.certificate("ask", between, 2, keys[1], ark, keys[0], nil)
	vcek := f.certificate("leaf", leaf, 0, leafKey, ask, keys[1], extensions)

	if f.Stranger {
		leafKey = newKey(f.Curve)
	}
	digest := sha512.Sum384(f.Report[:signedSize])
	r, s := sign(leafKey, digest[:])
	report := slices.Clone(f.Report)
	for i, number := range [][]byte{r, s} {
		slices.Reverse(number)
		copy(report[signedSize+i*numberSize:], number)
	}
	if f.Unsigned != nil {
		f.Unsigned(report)
	}
	ev := attest.Evidence{Type: attest.TypeSNP, Value: report, Collateral: map[string][]byte{
		f.Name: vcek.Raw, "ask": ask.Raw, "ark": ark.Raw,
	}}
	if f.CRL {
		ev.Collateral["crl"] = f.revocations(ark, ask)
	}
	if f.Tamper != nil {
		f.Tamper(&ev)
	}
	return ev, sha256.Sum256(ark.Raw)
}

func (f *Report) revocations(ark, ask *x509.Certificate) []byte {
	list := &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: Time.AddDate(0, 0, -3), NextUpdate: f.CRLUntil, SignatureAlgorithm: x509.SHA384WithRSAPSS,
	}
	if f.Revoked {
		list.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: ask.SerialNumber, RevocationTime: list.ThisUpdate}}
	}
	issuer, signer := ark, rsaKeys()[0]
	if f.CRLByASK {
		issuer, signer = ask, rsaKeys()[1]
	}
	return must(x509.CreateRevocationList(rand.Reader, list, issuer, signer))
}
