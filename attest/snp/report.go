package snp

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/secure-signer/secure-signer/attest"
)

// Sizes in a report, in bytes.
const (
	reportSize = 1184
	signedSize = 672
	numberSize = 72 // of the signature's two, of which 48 are used
)

// A report is an ATTESTATION_REPORT of the right size and a version known here.
type report []byte

func parseReport(b []byte) (report, error) {
	if len(b) != reportSize {
		return nil, fmt.Errorf("%d bytes, want %d: the certificates belong into the collateral", len(b), reportSize)
	}
	r := report(b)
	if v := r.uint32(0); v < 2 || v > 5 {
		return nil, fmt.Errorf("version %d, only 2 to 5 are read", v)
	}
	if algorithm := r.uint32(0x34); algorithm != 1 {
		return nil, fmt.Errorf("signature algorithm %d, only 1 is read (ECDSA on P-384)", algorithm)
	}
	first, second := r.signature()
	rest := b[signedSize+2*numberSize:]
	if !allZero(first[48:]) || !allZero(second[48:]) || !allZero(rest) {
		return nil, fmt.Errorf("something other than zeros follows the signature")
	}
	return r, nil
}

func (r report) uint32(at int) uint32 { return binary.LittleEndian.Uint32(r[at:]) }
func (r report) uint64(at int) uint64 { return binary.LittleEndian.Uint64(r[at:]) }

func (r report) signed() []byte { return r[:signedSize] }
func (r report) signature() (first, second []byte) {
	s := r[signedSize:]
	return s[:numberSize], s[numberSize : 2*numberSize]
}

func (r report) policy() uint64      { return r.uint64(0x08) }
func (r report) idKey() []byte       { return r[0xE0:0x110] }
func (r report) reportedTCB() uint64 { return r.uint64(0x180) }
func (r report) chipID() []byte      { return r[0x1A0:0x1E0] }

// signingKey is 0 for the VCEK, 1 for the VLEK, 7 for none.
func (r report) signingKey() uint32 { return r.uint32(0x48) >> 2 & 7 }

// Bits of the guest's policy.
const (
	policyMigrate = 1 << 18 // a migration agent may be bound to the guest
	policyDebug   = 1 << 19 // the host may decrypt the guest's memory
)

// line is that of the CPU, which reports name from version 3 on.
func (r report) line() (Line, bool) {
	if r.uint32(0) < 3 {
		return "", false
	}
	switch family, model := r[0x188], r[0x189]; {
	case family == 0x19 && model < 0x10:
		return Milan, true
	case family == 0x19 && (model < 0x20 || model>>4 == 0xA):
		return Genoa, true
	case family == 0x1A && model < 0x20:
		return Turin, true
	}
	return "unknown", true
}

// versions takes a TCB_VERSION apart. Turin put another part, FMC, in front.
func (l Line) versions(tcb uint64) map[string]uint64 {
	at := func(i int) uint64 { return tcb >> (8 * i) & 0xff }
	if l == Turin {
		return map[string]uint64{"fmc": at(0), "bootloader": at(1), "tee": at(2), "snp": at(3), "microcode": at(7)}
	}
	return map[string]uint64{"bootloader": at(0), "tee": at(1), "snp": at(6), "microcode": at(7)}
}

func (r report) result(line Line) attest.Result {
	out := attest.Result{
		Kind: attest.KindSNP,
		Measurements: map[string]attest.Hex{
			"measurement": attest.Hex(r[0x90:0xC0]),
			"host_data":   attest.Hex(r[0xC0:0xE0]),
		},
		Details: map[string]attest.Hex{
			"policy":            attest.Hex(r[0x08:0x10]),
			"family_id":         attest.Hex(r[0x10:0x20]),
			"image_id":          attest.Hex(r[0x20:0x30]),
			"platform_info":     attest.Hex(r[0x40:0x48]),
			"author_key_digest": attest.Hex(r[0x110:0x140]),
			"committed_tcb":     attest.Hex(r[0x1E0:0x1E8]),
			"launch_tcb":        attest.Hex(r[0x1F0:0x1F8]),
		},
		SVN:        uint64(r.uint32(0x04)),
		Debug:      r.policy()&policyDebug != 0,
		Migratable: r.policy()&policyMigrate != 0,
		Level:      r.uint32(0x30),
		TCB:        attest.TCBUnrated,
		TCBVersion: line.versions(r.reportedTCB()),
		ReportData: attest.ReportData(r[0x50:0x90]),
	}
	if !allZero(r.idKey()) {
		out.Signer = r.idKey()
	}
	return out
}

func allZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }
