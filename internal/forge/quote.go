package forge

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"slices"
	"time"

	"github.com/secure-signer/secure-signer/attest"
)

// The names in Intel's certificates.
const (
	NamePCK      = "Intel SGX PCK Certificate"
	NamePlatform = "Intel SGX PCK Platform CA"
	NameTCB      = "Intel SGX TCB Signing"
)

// Sizes of what a quote is about, in bytes.
const (
	EnclaveSize  = 384
	DomainSize   = 584 // TDX 1.0
	Domain15Size = 648 // TDX 1.5
)

// A Quote makes quotes of SGX and TDX, with their collateral.
type Quote struct {
	Version  uint16
	KeyType  uint16
	Vendor   string
	BodyType uint16 // written from version 5 on
	Kind     attest.Kind
	Body     []byte
	QE       []byte // report of the quoting enclave
	Vouch    func(qe, key, auth []byte)

	CPUSVN        [16]uint8
	PCESVN        int
	FMSPC         []byte
	Extra         []Attribute // after the extension's own
	TCB, Identity map[string]any

	Root       *Authority        // made anew for each quote if nil
	Names      map[string]string // of certificates, instead of Intel's
	PCKUntil   time.Time
	CRLs       bool
	PCKByRoot  bool
	StrangerQE bool     // another key than the PCK signs for the quoting enclave
	Stranger   bool     // another key than the attestation key signs the quote
	Revoked    []string // names of certificates in the lists
	CRLUntil   time.Time
	WrongCRL   bool // the CA signs the root's list
	OtherRoot  bool // the TCB signing chain has a root of its own
	Tamper     func(*attest.Evidence)
}

// An Attribute is one pair of the extension of a PCK certificate.
type Attribute struct {
	ID    asn1.ObjectIdentifier
	Value asn1.RawValue
}

// SGXAttribute makes one. Below are the numbers after the extension's own.
func SGXAttribute(value any, below ...int) Attribute {
	return Attribute{oidSGX(below...), asn1.RawValue{FullBytes: must(asn1.Marshal(value))}}
}

func oidSGX(below ...int) asn1.ObjectIdentifier {
	return append(asn1.ObjectIdentifier{1, 2, 840, 113741, 1, 13, 1}, below...)
}

// Components are the 16 of a CPU's SVN, in a TCB level.
func Components(svn ...int) []map[string]int {
	out := make([]map[string]int, 16)
	for i := range out {
		out[i] = map[string]int{"svn": 0}
		if i < len(svn) {
			out[i]["svn"] = svn[i]
		}
	}
	return out
}

// NewQuote is of a platform that is up to date. The body type counts from version
// 5 on.
func NewQuote(kind attest.Kind, version, bodyType uint16) *Quote {
	f := &Quote{
		Version: version, BodyType: bodyType, Kind: kind, KeyType: 2,
		Vendor:   "\x93\x9a\x72\x33\xf7\x9c\x4c\xa9\x94\x0a\x0d\xb3\x95\x7f\x06\x07",
		QE:       make([]byte, EnclaveSize),
		CPUSVN:   [16]uint8{5, 5},
		PCESVN:   13,
		FMSPC:    []byte{1, 2, 3, 4, 5, 6},
		CRLs:     true,
		Names:    map[string]string{},
		PCKUntil: Time.AddDate(5, 0, 0),
		CRLUntil: Time.AddDate(0, 0, 10),
		Vouch: func(qe, key, auth []byte) {
			bound := sha256.Sum256(append(slices.Clone(key), auth...))
			copy(qe[320:], bound[:])
		},
	}
	f.QE[48], f.QE[256], f.QE[258] = 0x11, 2, 6
	f.describe()
	switch {
	case kind == attest.KindSGX:
		f.Body = make([]byte, EnclaveSize)
		f.Body[48] = 5 // INIT, MODE64BIT
	case bodyType == 3:
		f.Body = make([]byte, Domain15Size)
		copy(f.Body[584:], []byte{4, 1, 7})
		copy(f.Body, []byte{4, 1, 7})
	default:
		f.Body = make([]byte, DomainSize)
		copy(f.Body, []byte{4, 1, 7})
	}
	return f
}

// NewRoot makes a root that several quotes can share.
func (f *Quote) NewRoot() *Authority { return f.issue("root", 1, nil, long, nil) }

// long is the end of the certificates that outlive all others.
var long = Time.AddDate(20, 0, 0)

// describe writes what Intel's service says of the platform.
func (f *Quote) describe() {
	header := func(id string, version int) map[string]any {
		return map[string]any{
			"id": id, "version": version, "tcbEvaluationDataNumber": 20 + version,
			"issueDate": Time.AddDate(0, 0, -10), "nextUpdate": Time.AddDate(0, 0, 20),
		}
	}
	level := func(status string, tcb map[string]any, advisories ...string) map[string]any {
		return map[string]any{"tcb": tcb, "tcbDate": Time.AddDate(-1, 0, 0), "tcbStatus": status, "advisoryIDs": advisories}
	}
	id, qe := "SGX", "QE"
	now := map[string]any{"sgxtcbcomponents": Components(5, 5), "pcesvn": 13}
	old := map[string]any{"sgxtcbcomponents": Components(5, 4), "pcesvn": 12}
	if f.Kind == attest.KindTDX {
		id, qe = "TDX", "TD_QE"
		now["tdxtcbcomponents"], old["tdxtcbcomponents"] = Components(4, 1, 7), Components(3, 0, 6)
	}
	f.TCB = header(id, 3)
	f.TCB["fmspc"], f.TCB["pceId"], f.TCB["tcbType"] = hex.EncodeToString(f.FMSPC), "0000", 0
	f.TCB["tcbLevels"] = []any{level("UpToDate", now), level("OutOfDate", old, "INTEL-SA-2", "INTEL-SA-1")}
	if f.Kind == attest.KindTDX {
		module := func(id string) map[string]any {
			return map[string]any{
				"id": id, "mrsigner": hex.EncodeToString(make([]byte, 48)), "attributes": "0000000000000000", "attributesMask": "FFFFFFFFFFFFFFFF",
				"tcbLevels": []any{level("UpToDate", map[string]any{"isvsvn": 4}), level("OutOfDate", map[string]any{"isvsvn": 2}, "INTEL-SA-3")},
			}
		}
		f.TCB["tdxModule"] = module("")
		f.TCB["tdxModuleIdentities"] = []any{module("TDX_03"), module("TDX_01")}
	}
	f.Identity = header(qe, 2)
	f.Identity["miscselect"], f.Identity["miscselectMask"] = "00000000", "FFFFFFFF"
	f.Identity["attributes"], f.Identity["attributesMask"] = "11000000000000000000000000000000", "FBFFFFFFFFFFFFFF0000000000000000"
	f.Identity["mrsigner"], f.Identity["isvprodid"] = hex.EncodeToString(make([]byte, 32)), 2
	f.Identity["tcbLevels"] = []any{level("UpToDate", map[string]any{"isvsvn": 6}), level("OutOfDate", map[string]any{"isvsvn": 5}, "INTEL-SA-4")}
}

func (f *Quote) issue(role string, serial int64, by *Authority, until time.Time, extensions []pkix.Extension) *Authority {
	name := map[string]string{"root": "Intel SGX Root CA", "ca": NamePlatform, "pck": NamePCK, "tcb": NameTCB}[role]
	if other, ok := f.Names[role]; ok {
		name = other
	}
	key := newKey(elliptic.P256())
	c := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: Time.AddDate(-1, 0, 0), NotAfter: until,
		BasicConstraintsValid: true, IsCA: role == "root" || role == "ca",
		KeyUsage: x509.KeyUsageDigitalSignature, ExtraExtensions: extensions,
	}
	if c.IsCA {
		c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	}
	if by == nil {
		return &Authority{issue(c, nil, &key.PublicKey, key), key}
	}
	return &Authority{issue(c, by.Cert, &key.PublicKey, by.Key), key}
}

// SGXExtension is that of the PCK certificate.
func (f *Quote) SGXExtension() pkix.Extension {
	var tcb []Attribute
	for i, svn := range f.CPUSVN {
		tcb = append(tcb, SGXAttribute(int(svn), 2, i+1))
	}
	tcb = append(tcb, SGXAttribute(f.PCESVN, 2, 17))
	all := append([]Attribute{
		SGXAttribute(make([]byte, 16), 1), SGXAttribute(tcb, 2), SGXAttribute([]byte{0, 0}, 3), SGXAttribute(f.FMSPC, 4),
	}, f.Extra...)
	return pkix.Extension{Id: oidSGX(), Value: must(asn1.Marshal(all))}
}

func chainPEM(chain ...*Authority) (out []byte) {
	for _, a := range chain {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Cert.Raw})...)
	}
	return out
}

// signRaw signs as in quotes: r and s of 32 bytes each.
func signRaw(key *ecdsa.PrivateKey, message []byte) []byte {
	digest := sha256.Sum256(message)
	r, s := sign(key, digest[:])
	return append(r, s...)
}

// TCBDocument signs a document as Intel's service does.
func TCBDocument(key *ecdsa.PrivateKey, member string, body []byte) []byte {
	return []byte(`{"` + member + `":` + string(body) + `,"signature":"` + hex.EncodeToString(signRaw(key, body)) + `"}`)
}

func (f *Quote) crl(by *Authority, certs ...*Authority) []byte {
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: Time.AddDate(0, 0, -12), NextUpdate: f.CRLUntil}
	for _, c := range certs {
		if slices.Contains(f.Revoked, c.Cert.Subject.CommonName) {
			list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
				x509.RevocationListEntry{SerialNumber: c.Cert.SerialNumber, RevocationTime: list.ThisUpdate})
		}
	}
	return must(x509.CreateRevocationList(rand.Reader, list, by.Cert, by.Key))
}

// Make signs everything, and returns the roots to trust.
func (f *Quote) Make() (attest.Evidence, []attest.Digest) {
	root := f.Root
	if root == nil {
		root = f.NewRoot()
	}
	ca := f.issue("ca", 2, root, long, nil)
	above := ca
	if f.PCKByRoot {
		above = root
	}
	pck := f.issue("pck", 3, above, f.PCKUntil, []pkix.Extension{f.SGXExtension()})
	if f.StrangerQE {
		pck.Key = newKey(elliptic.P256())
	}
	tcbRoot := root
	if f.OtherRoot {
		tcbRoot = f.NewRoot()
	}
	tcb := f.issue("tcb", 4, tcbRoot, long, nil)

	ev := attest.Evidence{Type: attest.TypeTDX, Value: f.quote(pck, ca, root), Collateral: map[string][]byte{
		"tcb_info":    TCBDocument(tcb.Key, "tcbInfo", must(json.Marshal(f.TCB))),
		"qe_identity": TCBDocument(tcb.Key, "enclaveIdentity", must(json.Marshal(f.Identity))),
		"tcb_chain":   chainPEM(tcb, tcbRoot),
	}}
	if f.Kind == attest.KindSGX {
		ev.Type = attest.TypeSGX
	}
	if f.CRLs {
		ev.Collateral["root_crl"], ev.Collateral["pck_crl"] = f.crl(root, ca, tcb), f.crl(ca, pck)
		if f.WrongCRL {
			ev.Collateral["root_crl"] = f.crl(ca, ca, tcb)
		}
	}
	if f.Tamper != nil {
		f.Tamper(&ev)
	}
	roots := []attest.Digest{sha256.Sum256(root.Cert.Raw)}
	if f.OtherRoot {
		roots = append(roots, sha256.Sum256(tcbRoot.Cert.Raw))
	}
	return ev, roots
}

func (f *Quote) quote(pck, ca, root *Authority) []byte {
	le := binary.LittleEndian
	header := le.AppendUint16(nil, f.Version)
	header = le.AppendUint16(header, f.KeyType)
	tee := uint32(0)
	if f.Kind == attest.KindTDX {
		tee = 0x81
	}
	header = le.AppendUint32(header, tee)
	header = append(header, make([]byte, 4)...)
	header = append(header, f.Vendor...)
	header = append(header, make([]byte, 20)...)
	if f.Version == 5 {
		header = le.AppendUint16(header, f.BodyType)
		header = le.AppendUint32(header, uint32(len(f.Body)))
	}
	signed := append(header, f.Body...)

	key := newKey(elliptic.P256())
	point := must(key.PublicKey.Bytes())
	if f.Stranger {
		key = root.Key
	}
	auth := []byte("quoting enclave's own")
	report := slices.Clone(f.QE)
	f.Vouch(report, point[1:], auth)
	qe := append(slices.Clone(report), signRaw(pck.Key, report)...)
	qe = le.AppendUint16(qe, uint16(len(auth)))
	qe = append(qe, auth...)
	qe = le.AppendUint16(qe, 5) // the PCK's chain follows
	chain := append(chainPEM(pck, ca, root), 0)
	qe = le.AppendUint32(qe, uint32(len(chain)))
	qe = append(qe, chain...)

	data := append(signRaw(key, signed), point[1:]...)
	if f.Version > 3 {
		data = le.AppendUint16(data, 6) // the quoting enclave's report follows
		data = le.AppendUint32(data, uint32(len(qe)))
	}
	data = append(data, qe...)
	return append(le.AppendUint32(signed, uint32(len(data))), data...)
}
