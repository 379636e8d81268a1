package dcap

import (
	"encoding/binary"

	"github.com/secure-signer/secure-signer/attest"
)

// An enclaveReport is the report of an SGX enclave. Source: Intel SDM, volume 3D,
// "REPORT".
type enclaveReport []byte

func (e enclaveReport) miscSelect() []byte { return e[16:20] }
func (e enclaveReport) attributes() []byte { return e[48:64] } // flags and XFRM
func (e enclaveReport) mrEnclave() []byte  { return e[64:96] }
func (e enclaveReport) mrSigner() []byte   { return e[128:160] }
func (e enclaveReport) configID() []byte   { return e[192:256] }
func (e enclaveReport) product() uint16    { return binary.LittleEndian.Uint16(e[256:]) }
func (e enclaveReport) svn() uint16        { return binary.LittleEndian.Uint16(e[258:]) }
func (e enclaveReport) configSVN() []byte  { return e[260:262] }
func (e enclaveReport) familyID() []byte   { return e[304:320] }
func (e enclaveReport) reportData() []byte { return e[320:384] }

// debug is bit 1 of the flags: the host may read and write the enclave's memory.
func (e enclaveReport) debug() bool { return e[48]&2 != 0 }

func (e enclaveReport) result() attest.Result {
	return attest.Result{
		Kind:         attest.KindSGX,
		Measurements: map[string]attest.Hex{"mrenclave": e.mrEnclave()},
		Details: map[string]attest.Hex{
			"attributes":     e.attributes(),
			"misc_select":    e.miscSelect(),
			"config_id":      e.configID(),
			"config_svn":     e.configSVN(),
			"family_id":      e.familyID(),
			"ext_product_id": attest.Hex(e[32:48]),
		},
		Signer:     e.mrSigner(),
		Product:    uint64(e.product()),
		SVN:        uint64(e.svn()),
		Debug:      e.debug(),
		ReportData: attest.ReportData(e.reportData()),
	}
}

// A domainReport is that of a TDX domain; from 584 on, what TDX 1.5 added.
// Source: Intel TDX DCAP Quoting Library API, "TD Quote Body".
type domainReport []byte

func (d domainReport) tcbSVN() []byte         { return d[0:16] }
func (d domainReport) seamSigner() []byte     { return d[64:112] }
func (d domainReport) seamAttributes() []byte { return d[112:120] }
func (d domainReport) attributes() []byte     { return d[120:128] }

// tcbSVNs are those at the start of the domain and, from TDX 1.5 on, of now: a
// module can be updated beneath a running domain.
func (d domainReport) tcbSVNs() [][]byte {
	if len(d) == domain15Size {
		return [][]byte{d.tcbSVN(), d[584:600]}
	}
	return [][]byte{d.tcbSVN()}
}

// debug is any of the attributes that make a domain untrusted (TUD). Their
// other seven bits are reserved, and nobody knows what they will allow.
func (d domainReport) debug() bool { return d.attributes()[0] != 0 }

// migratable is bit 29: a service domain may take the state elsewhere.
func (d domainReport) migratable() bool { return d.attributes()[3]&0x20 != 0 }

func (d domainReport) result() attest.Result {
	r := attest.Result{
		Kind: attest.KindTDX,
		// MRTD is the virtual firmware only. What it started is in the RTMRs.
		Measurements: map[string]attest.Hex{
			"mrtd":  attest.Hex(d[136:184]),
			"rtmr0": attest.Hex(d[328:376]),
			"rtmr1": attest.Hex(d[376:424]),
			"rtmr2": attest.Hex(d[424:472]),
			"rtmr3": attest.Hex(d[472:520]),
		},
		Details: map[string]attest.Hex{
			"mrseam":        attest.Hex(d[16:64]),
			"attributes":    d.attributes(),
			"xfam":          attest.Hex(d[128:136]),
			"mrconfigid":    attest.Hex(d[184:232]),
			"mrowner":       attest.Hex(d[232:280]),
			"mrownerconfig": attest.Hex(d[280:328]),
		},
		Debug:      d.debug(),
		Migratable: d.migratable(),
		ReportData: attest.ReportData(d[520:584]),
	}
	if len(d) == domain15Size {
		r.Details["mrservicetd"] = attest.Hex(d[600:648])
	}
	return r
}

func (q *quote) result() attest.Result {
	if q.kind == attest.KindSGX {
		return enclaveReport(q.body).result()
	}
	return domainReport(q.body).result()
}
