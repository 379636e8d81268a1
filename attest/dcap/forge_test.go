package dcap

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
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/attest"
)

// A forge makes evidence below a root of its own. A test changes what it likes,
// and everything is signed afterwards.
type forge struct {
	version  uint16
	keyType  uint16
	vendor   string
	bodyType uint16 // written from version 5 on
	kind     attest.Kind
	body     []byte
	qe       []byte // report of the quoting enclave
	vouch    func(qe, key, auth []byte)

	cpuSVN  [16]uint8
	pceSVN  int
	fmspc   []byte
	extra   []attribute // after the extension's own
	tcb, qi map[string]any

	names      map[string]string // of certificates, instead of Intel's
	pckUntil   time.Time
	crls       bool
	pckByRoot  bool
	strangerQE bool     // another key than the PCK signs for the quoting enclave
	stranger   bool     // another key than the attestation key signs the quote
	revoked    []string // names of certificates in the lists
	crlUntil   time.Time
	wrongCRL   bool // the CA signs the root's list
	otherRoot  bool // the TCB signing chain has a root of its own
	tamper     func(*attest.Evidence)
}

var forgeTime = time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)

func components(svn ...int) []map[string]int {
	out := make([]map[string]int, 16)
	for i := range out {
		out[i] = map[string]int{"svn": 0}
		if i < len(svn) {
			out[i]["svn"] = svn[i]
		}
	}
	return out
}

// newForge is a platform that is up to date.
func newForge(kind attest.Kind, version, bodyType uint16) *forge {
	f := &forge{
		version: version, bodyType: bodyType, kind: kind, keyType: 2, vendor: intelQE,
		qe:       make([]byte, enclaveSize),
		cpuSVN:   [16]uint8{5, 5},
		pceSVN:   13,
		fmspc:    []byte{1, 2, 3, 4, 5, 6},
		crls:     true,
		names:    map[string]string{},
		pckUntil: forgeTime.AddDate(5, 0, 0),
		crlUntil: forgeTime.AddDate(0, 0, 10),
		vouch: func(qe, key, auth []byte) {
			bound := sha256.Sum256(append(slices.Clone(key), auth...))
			copy(qe[320:], bound[:])
		},
	}
	header := func(id string, version int) map[string]any {
		return map[string]any{
			"id": id, "version": version, "tcbEvaluationDataNumber": 20 + version,
			"issueDate": forgeTime.AddDate(0, 0, -10), "nextUpdate": forgeTime.AddDate(0, 0, 20),
		}
	}
	level := func(status string, tcb map[string]any, advisories ...string) map[string]any {
		return map[string]any{"tcb": tcb, "tcbDate": forgeTime.AddDate(-1, 0, 0), "tcbStatus": status, "advisoryIDs": advisories}
	}
	id, qe := "SGX", "QE"
	now := map[string]any{"sgxtcbcomponents": components(5, 5), "pcesvn": 13}
	old := map[string]any{"sgxtcbcomponents": components(5, 4), "pcesvn": 12}
	if kind == attest.KindTDX {
		id, qe = "TDX", "TD_QE"
		now["tdxtcbcomponents"], old["tdxtcbcomponents"] = components(4, 1, 7), components(3, 0, 6)
	}
	f.tcb = header(id, 3)
	f.tcb["fmspc"], f.tcb["pceId"], f.tcb["tcbType"] = hex.EncodeToString(f.fmspc), "0000", 0
	f.tcb["tcbLevels"] = []any{level("UpToDate", now), level("OutOfDate", old, "INTEL-SA-2", "INTEL-SA-1")}
	if kind == attest.KindTDX {
		module := func(id string) map[string]any {
			return map[string]any{
				"id": id, "mrsigner": hex.EncodeToString(make([]byte, 48)), "attributes": "0000000000000000", "attributesMask": "FFFFFFFFFFFFFFFF",
				"tcbLevels": []any{level("UpToDate", map[string]any{"isvsvn": 4}), level("OutOfDate", map[string]any{"isvsvn": 2}, "INTEL-SA-3")},
			}
		}
		f.tcb["tdxModule"] = module("")
		f.tcb["tdxModuleIdentities"] = []any{module("TDX_03"), module("TDX_01")}
	}
	f.qi = header(qe, 2)
	f.qi["miscselect"], f.qi["miscselectMask"] = "00000000", "FFFFFFFF"
	f.qi["attributes"], f.qi["attributesMask"] = "11000000000000000000000000000000", "FBFFFFFFFFFFFFFF0000000000000000"
	f.qi["mrsigner"], f.qi["isvprodid"] = hex.EncodeToString(make([]byte, 32)), 2
	f.qi["tcbLevels"] = []any{level("UpToDate", map[string]any{"isvsvn": 6}), level("OutOfDate", map[string]any{"isvsvn": 5}, "INTEL-SA-4")}
	f.qe[48], f.qe[256], f.qe[258] = 0x11, 2, 6

	switch {
	case kind == attest.KindSGX:
		f.body = make([]byte, enclaveSize)
		f.body[48] = 5 // INIT, MODE64BIT
	case bodyType == 3:
		f.body = make([]byte, domain15Size)
		copy(f.body[584:], []byte{4, 1, 7})
		copy(f.body, []byte{4, 1, 7})
	default:
		f.body = make([]byte, domainSize)
		copy(f.body, []byte{4, 1, 7})
	}
	return f
}

// An authority is a certificate and its key.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

var intelNames = map[string]string{"root": "Intel SGX Root CA", "ca": namePlatform, "pck": namePCK, "tcb": nameTCB}

func (f *forge) issue(t testing.TB, role string, serial int64, by *authority, until time.Time, extensions []pkix.Extension) *authority {
	t.Helper()
	name := intelNames[role]
	if other, ok := f.names[role]; ok {
		name = other
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: forgeTime.AddDate(-1, 0, 0), NotAfter: until,
		BasicConstraintsValid: true, IsCA: role == "root" || role == "ca",
		KeyUsage: x509.KeyUsageDigitalSignature, ExtraExtensions: extensions,
	}
	if c.IsCA {
		c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	}
	parent, signer := c, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key}
}

func (f *forge) sgxExtension(t testing.TB) []pkix.Extension {
	value := func(v any) asn1.RawValue { return asn1.RawValue{FullBytes: mustASN1(t, v)} }
	var tcb []attribute
	for i, svn := range f.cpuSVN {
		tcb = append(tcb, attribute{oidSGX(2, i+1), value(int(svn))})
	}
	tcb = append(tcb, attribute{oidSGX(2, 17), value(f.pceSVN)})
	all := append([]attribute{
		{oidSGX(1), value(make([]byte, 16))},
		{oidSGX(2), value(tcb)},
		{oidSGX(3), value([]byte{0, 0})},
		{oidSGX(4), value(f.fmspc)},
	}, f.extra...)
	return []pkix.Extension{{Id: oidSGX(), Value: mustASN1(t, all)}}
}

func mustASN1(t testing.TB, v any) []byte {
	t.Helper()
	der, err := asn1.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func chainPEM(chain ...*authority) (out []byte) {
	for _, a := range chain {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})...)
	}
	return out
}

func signRaw(t testing.TB, key *ecdsa.PrivateKey, message []byte) []byte {
	t.Helper()
	digest := sha256.Sum256(message)
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, signatureSize)
	r.FillBytes(out[:32])
	s.FillBytes(out[32:])
	return out
}

func signDocument(t testing.TB, key *ecdsa.PrivateKey, member string, doc any) []byte {
	t.Helper()
	body, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(`{"` + member + `":` + string(body) + `,"signature":"` + hex.EncodeToString(signRaw(t, key, body)) + `"}`)
}

func (f *forge) crl(t testing.TB, by *authority, certs ...*authority) []byte {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: forgeTime.AddDate(0, 0, -12), NextUpdate: f.crlUntil}
	for _, c := range certs {
		if slices.Contains(f.revoked, c.cert.Subject.CommonName) {
			list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
				x509.RevocationListEntry{SerialNumber: c.cert.SerialNumber, RevocationTime: list.ThisUpdate})
		}
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, by.cert, by.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// make signs everything, and returns the verifier that trusts the root.
func (f *forge) make(t testing.TB) (attest.Evidence, Verifier) {
	t.Helper()
	long := forgeTime.AddDate(20, 0, 0)
	root := f.issue(t, "root", 1, nil, long, nil)
	ca := f.issue(t, "ca", 2, root, long, nil)
	above := ca
	if f.pckByRoot {
		above = root
	}
	pck := f.issue(t, "pck", 3, above, f.pckUntil, f.sgxExtension(t))
	if f.strangerQE {
		pck.key = f.issue(t, "pck", 5, ca, f.pckUntil, nil).key
	}
	tcbRoot := root
	if f.otherRoot {
		tcbRoot = f.issue(t, "root", 1, nil, long, nil)
	}
	tcb := f.issue(t, "tcb", 4, tcbRoot, long, nil)

	ev := attest.Evidence{Type: attest.TypeTDX, Value: f.quote(t, pck, ca, root), Collateral: map[string][]byte{
		TCBInfo:    signDocument(t, tcb.key, "tcbInfo", f.tcb),
		QEIdentity: signDocument(t, tcb.key, "enclaveIdentity", f.qi),
		TCBChain:   chainPEM(tcb, tcbRoot),
	}}
	if f.kind == attest.KindSGX {
		ev.Type = attest.TypeSGX
	}
	if f.crls {
		ev.Collateral[RootCRL], ev.Collateral[PCKCRL] = f.crl(t, root, ca, tcb), f.crl(t, ca, pck)
		if f.wrongCRL {
			ev.Collateral[RootCRL] = f.crl(t, ca, ca, tcb)
		}
	}
	if f.tamper != nil {
		f.tamper(&ev)
	}
	v := Verifier{Roots: []attest.Digest{sha256.Sum256(root.cert.Raw)}}
	if f.otherRoot {
		v.Roots = append(v.Roots, sha256.Sum256(tcbRoot.cert.Raw))
	}
	return ev, v
}

func (f *forge) quote(t testing.TB, pck, ca, root *authority) []byte {
	t.Helper()
	le := binary.LittleEndian
	header := le.AppendUint16(nil, f.version)
	header = le.AppendUint16(header, f.keyType)
	tee := uint32(0)
	if f.kind == attest.KindTDX {
		tee = 0x81
	}
	header = le.AppendUint32(header, tee)
	header = append(header, make([]byte, 4)...)
	header = append(header, f.vendor...)
	header = append(header, make([]byte, 20)...)
	if f.version == 5 {
		header = le.AppendUint16(header, f.bodyType)
		header = le.AppendUint32(header, uint32(len(f.body)))
	}
	signed := append(header, f.body...)

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if f.stranger {
		key = root.key
	}
	auth := []byte("quoting enclave's own")
	f.vouch(f.qe, point[1:], auth)
	qe := append(slices.Clone(f.qe), signRaw(t, pck.key, f.qe)...)
	qe = le.AppendUint16(qe, uint16(len(auth)))
	qe = append(qe, auth...)
	qe = le.AppendUint16(qe, certPCKChain)
	chain := append(chainPEM(pck, ca, root), 0)
	qe = le.AppendUint32(qe, uint32(len(chain)))
	qe = append(qe, chain...)

	data := append(signRaw(t, key, signed), point[1:]...)
	if f.version > 3 {
		data = le.AppendUint16(data, certQEReport)
		data = le.AppendUint32(data, uint32(len(qe)))
	}
	data = append(data, qe...)
	return append(le.AppendUint32(signed, uint32(len(data))), data...)
}
