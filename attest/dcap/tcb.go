package dcap

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/secure-signer/secure-signer/attest"
)

// documents are what Intel says of platforms and quoting enclaves.
type documents struct {
	tcb tcbInfo
	qe  qeIdentity
}

// A document begins every one of them.
type document struct {
	ID         string    `json:"id"`
	Version    int       `json:"version"`
	IssueDate  time.Time `json:"issueDate"`
	NextUpdate time.Time `json:"nextUpdate"`
	Evaluation uint64    `json:"tcbEvaluationDataNumber"`
}

type tcbInfo struct {
	document
	FMSPC   attest.Hex     `json:"fmspc"`
	PCEID   attest.Hex     `json:"pceId"`
	TCBType int            `json:"tcbType"`
	Module  *seamIdentity  `json:"tdxModule"`           // of version 0
	Modules []seamIdentity `json:"tdxModuleIdentities"` // of later versions, by ID
	Levels  []level        `json:"tcbLevels"`           // best first
}

// A seamIdentity describes a TDX module.
type seamIdentity struct {
	ID     string     `json:"id"`
	Signer attest.Hex `json:"mrsigner"`
	masked
	Levels []level `json:"tcbLevels"`
}

// masked attributes: those under the mask must be as given.
type masked struct {
	Attributes attest.Hex `json:"attributes"`
	Mask       attest.Hex `json:"attributesMask"`
}

type qeIdentity struct {
	document
	MiscSelect     attest.Hex `json:"miscselect"`
	MiscSelectMask attest.Hex `json:"miscselectMask"`
	masked
	Signer  attest.Hex `json:"mrsigner"`
	Product uint16     `json:"isvprodid"`
	Levels  []level    `json:"tcbLevels"`
}

// A level is a TCB, and what Intel says of it.
type level struct {
	TCB struct {
		SGX    []component `json:"sgxtcbcomponents"`
		TDX    []component `json:"tdxtcbcomponents"`
		PCESVN uint16      `json:"pcesvn"`
		ISVSVN uint16      `json:"isvsvn"`
	} `json:"tcb"`
	Date       time.Time        `json:"tcbDate"`
	Status     attest.TCBStatus `json:"tcbStatus"`
	Advisories []string         `json:"advisoryIDs"`
}

type component struct {
	SVN uint8 `json:"svn"`
}

func openDocuments(collateral map[string][]byte, signer crypto.PublicKey, kind attest.Kind, span *validity) (*documents, error) {
	d := &documents{}
	for _, part := range []struct {
		name, member string
		into         any
	}{{TCBInfo, "tcbInfo", &d.tcb}, {QEIdentity, "enclaveIdentity", &d.qe}} {
		body, err := openSigned(collateral[part.name], part.member, signer)
		if err == nil {
			err = json.Unmarshal(body, part.into)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", attest.ErrCollateral, part.name, err)
		}
	}
	tcb, qe := "SGX", "QE"
	if kind == attest.KindTDX {
		tcb, qe = "TDX", "TD_QE"
	}
	if err := d.tcb.expect(TCBInfo, tcb, 3, span); err != nil {
		return nil, err
	}
	if d.tcb.TCBType != 0 {
		return nil, fmt.Errorf("%w: TCB type %d is not read here", attest.ErrCollateral, d.tcb.TCBType)
	}
	return d, d.qe.expect(QEIdentity, qe, 2, span)
}

// openSigned returns the signed bytes of a document of the one form
//
//	{"<member>":<signed>,"signature":"<128 lower-case hexadecimal digits>"}
//
// which is how Intel's service writes it; a line feed may follow. What is read
// later are exactly the bytes that were signed: nobody can put another document
// beside them.
func openSigned(text []byte, member string, signer crypto.PublicKey) ([]byte, error) {
	const digits = 2 * signatureSize
	text = bytes.TrimSuffix(text, []byte("\n"))
	start, middle, end := `{"`+member+`":`, `,"signature":"`, `"}`
	if len(text) < len(start)+len(middle)+digits+len(end) {
		return nil, errors.New("it is too short to be signed")
	}
	body := text[len(start) : len(text)-len(middle)-digits-len(end)]
	number := text[len(text)-len(end)-digits : len(text)-len(end)]
	if string(text) != start+string(body)+middle+strings.ToLower(string(number))+end {
		return nil, errors.New("it is not in the form in which Intel's service sends it")
	}
	signature, err := hex.DecodeString(string(number))
	if err != nil {
		return nil, err
	}
	if !verifyRaw(signer, body, signature) {
		return nil, errors.New("the TCB signing key did not sign it")
	}
	return body, nil
}

func (d document) expect(what, id string, version int, span *validity) error {
	if d.ID != id || d.Version != version {
		return fmt.Errorf("%w: %s: it is %q version %d, want %q version %d", attest.ErrCollateral, what, d.ID, d.Version, id, version)
	}
	if err := span.coversFresh(what, d.IssueDate, d.NextUpdate); err != nil {
		return fmt.Errorf("%w: %w", attest.ErrCollateral, err)
	}
	return nil
}

// evaluation is the older of the two documents' numbers. Intel raises it with
// each recovery from a hole, so that a policy can insist on a recovery at once.
func (d *documents) evaluation() uint64 { return min(d.tcb.Evaluation, d.qe.Evaluation) }

// A status is what Intel says of all parts of a platform together.
type status struct {
	tcb        attest.TCBStatus
	date       time.Time
	advisories []string
}

// add worsens the status by one more part.
func (s *status) add(l level) error {
	if !l.Status.Known() {
		return fmt.Errorf("%w: TCB status %q is unknown here: a newer release may know it", attest.ErrCollateral, l.Status)
	}
	if s.tcb == "" {
		s.tcb, s.date = attest.TCBUpToDate, l.Date
	}
	s.tcb = s.tcb.Worse(l.Status)
	if l.Date.Before(s.date) {
		s.date = l.Date
	}
	s.advisories = slices.Compact(slices.Sorted(slices.Values(append(s.advisories, l.Advisories...))))
	return nil
}

// rate holds the quoting enclave, the platform and the TDX module against
// Intel's documents.
func (d *documents) rate(q *quote, p platform) (status, error) {
	var s status
	qe, err := d.qe.match(q.qeReport)
	if err != nil {
		return s, err
	}
	if !bytes.Equal(d.tcb.FMSPC, p.fmspc) || !bytes.Equal(d.tcb.PCEID, p.pceID) {
		return s, fmt.Errorf("%w: TCB info is for FMSPC %v and PCE %v, the platform has %v and %v: fetch that", attest.ErrCollateral, d.tcb.FMSPC, d.tcb.PCEID, p.fmspc, p.pceID)
	}
	parts := []level{qe}
	if q.kind == attest.KindSGX {
		l, err := d.tcb.match(p, nil)
		if err != nil {
			return s, err
		}
		parts = append(parts, l)
	} else {
		more, err := d.tcb.matchDomain(domainReport(q.body), p)
		if err != nil {
			return s, err
		}
		parts = append(parts, more...)
	}
	for _, l := range parts {
		if err := s.add(l); err != nil {
			return s, err
		}
	}
	return s, nil
}

// match finds the best level of which the platform has every component. Source:
// PCS API v4, "Get TCB Info", and Intel's quote verification library: of a TDX
// module with a version, the first two components are judged by matchModule.
func (t *tcbInfo) match(p platform, tdx []byte) (level, error) {
	for _, l := range t.Levels {
		if len(l.TCB.SGX) != 16 || tdx != nil && len(l.TCB.TDX) != 16 {
			return level{}, fmt.Errorf("%w: TCB info: a level without 16 components", attest.ErrCollateral)
		}
		if p.pceSVN < l.TCB.PCESVN || !reaches(p.cpuSVN[:], l.TCB.SGX) {
			continue
		}
		if tdx != nil {
			from := 0
			if tdx[1] > 0 {
				from = 2
			}
			if !reaches(tdx[from:], l.TCB.TDX[from:]) {
				continue
			}
		}
		return l, nil
	}
	return level{}, errors.New("the platform is older than every TCB level that Intel lists: update firmware and microcode")
}

func reaches(got []byte, want []component) bool {
	return slices.EqualFunc(got, want, func(have byte, c component) bool { return have >= c.SVN })
}

// matchDomain judges each TCB that a domain reports.
func (t *tcbInfo) matchDomain(d domainReport, p platform) ([]level, error) {
	var parts []level
	for _, svn := range d.tcbSVNs() {
		l, err := t.match(p, svn)
		if err != nil {
			return nil, err
		}
		parts = append(parts, l)
		m, err := t.matchModule(d, svn)
		if err != nil {
			return nil, err
		}
		parts = append(parts, m...)
	}
	return parts, nil
}

// matchModule checks who signed the TDX module, and from version 1 on its level.
func (t *tcbInfo) matchModule(d domainReport, svn []byte) ([]level, error) {
	identity := t.Module
	if version := svn[1]; version > 0 {
		id := fmt.Sprintf("TDX_%02X", version)
		i := slices.IndexFunc(t.Modules, func(m seamIdentity) bool { return strings.EqualFold(m.ID, id) })
		if i < 0 {
			return nil, fmt.Errorf("TDX module: Intel lists none of version %d: update it", version)
		}
		identity = &t.Modules[i]
	}
	if identity == nil {
		return nil, fmt.Errorf("%w: TCB info: it describes no TDX module", attest.ErrCollateral)
	}
	if !bytes.Equal(identity.Signer, d.seamSigner()) || !identity.allows(d.seamAttributes()) {
		return nil, errors.New("TDX module: it is not the one that Intel describes")
	}
	if svn[1] == 0 {
		return nil, nil
	}
	l, err := matchSVN(identity.Levels, uint16(svn[0]))
	if err != nil {
		return nil, fmt.Errorf("TDX module: %w", err)
	}
	return []level{l}, nil
}

// match checks that the quoting enclave is Intel's, and finds its level. A debug
// one would sign whatever the host likes.
func (id *qeIdentity) match(report enclaveReport) (level, error) {
	if report.debug() || !bytes.Equal(id.Signer, report.mrSigner()) || id.Product != report.product() ||
		!id.allows(report.attributes()) || !equalUnder(id.MiscSelectMask, report.miscSelect(), id.MiscSelect) {
		return level{}, errors.New("quoting enclave: it is not the one that Intel describes")
	}
	l, err := matchSVN(id.Levels, report.svn())
	if err != nil {
		return level{}, fmt.Errorf("quoting enclave: %w", err)
	}
	return l, nil
}

// matchSVN finds the best level that an SVN reaches.
func matchSVN(levels []level, svn uint16) (level, error) {
	i := slices.IndexFunc(levels, func(l level) bool { return svn >= l.TCB.ISVSVN })
	if i < 0 {
		return level{}, fmt.Errorf("SVN %d is older than every level that Intel lists: update it", svn)
	}
	return levels[i], nil
}

func (m masked) allows(attributes []byte) bool { return equalUnder(m.Mask, attributes, m.Attributes) }

// equalUnder compares the bits under a mask. Anything of another length differs.
func equalUnder(mask, got, want []byte) bool {
	if len(got) == 0 || len(mask) != len(got) || len(want) != len(got) {
		return false
	}
	for i := range mask {
		if got[i]&mask[i] != want[i]&mask[i] {
			return false
		}
	}
	return true
}
