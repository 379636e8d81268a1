package tsm

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/tee"
)

// A report is what hardware says of this machine. Read here it proves nothing.
type report interface {
	kind() attest.Kind
	identity() tee.Identity
	reportData() []byte
}

// A tdxReport is the body of a quote, at least that of TDX 1.0.
type tdxReport []byte

func (tdxReport) kind() attest.Kind    { return attest.KindTDX }
func (r tdxReport) reportData() []byte { return r[520:584] }

func (r tdxReport) identity() tee.Identity {
	return tee.Identity{
		Kind: attest.KindTDX,
		Measurements: map[string]attest.Hex{
			"mrtd":  attest.Hex(r[136:184]),
			"rtmr0": attest.Hex(r[328:376]),
			"rtmr1": attest.Hex(r[376:424]),
			"rtmr2": attest.Hex(r[424:472]),
			"rtmr3": attest.Hex(r[472:520]),
		},
		Debug: r[120] != 0, // the attributes that make a domain untrusted (TUD)
		Lacks: []string{"TDX 1.5 has no sealing key for its guests: another machine must keep it"},
	}
}

// Sizes in a quote, in bytes.
const (
	headerSize   = 48
	domainSize   = 584
	domain15Size = 648
)

// parseQuote finds the body. Version 5 says itself what follows.
func parseQuote(quote []byte) (report, error) {
	if len(quote) < headerSize {
		return nil, fmt.Errorf("%d bytes are no quote: see the log of the host's quoting service", len(quote))
	}
	version, kind := binary.LittleEndian.Uint16(quote), binary.LittleEndian.Uint32(quote[4:])
	body, size := quote[headerSize:], domainSize
	switch {
	case kind == 0x81 && version == 4:
	case kind == 0x81 && version == 5 && len(body) >= 6:
		if binary.LittleEndian.Uint16(body) == 3 {
			size = domain15Size
		}
		if n := binary.LittleEndian.Uint32(body[2:]); n != uint32(size) {
			return nil, fmt.Errorf("its body has %d bytes, want %d", n, size)
		}
		body = body[6:]
	default:
		return nil, fmt.Errorf("a quote of version %d for TEE type %#x is not read here, only 4 and 5 of TDX", version, kind)
	}
	if len(body) < size {
		return nil, fmt.Errorf("its body is cut after %d bytes", len(body))
	}
	return tdxReport(body[:size:size]), nil
}

// An snpReport is an ATTESTATION_REPORT.
type snpReport []byte

const snpSize = 1184

func (snpReport) kind() attest.Kind    { return attest.KindSNP }
func (r snpReport) reportData() []byte { return r[0x50:0x90] }
func (r snpReport) hostData() []byte   { return r[0xC0:0xE0] }

// policyDebug is the bit of the guest's policy that lets the host decrypt its
// memory.
const policyDebug = 1 << 19

func (r snpReport) identity() tee.Identity {
	id := tee.Identity{
		Kind: attest.KindSNP,
		Measurements: map[string]attest.Hex{
			"measurement": attest.Hex(r[0x90:0xC0]),
			"host_data":   r.hostData(),
		},
		Debug: binary.LittleEndian.Uint64(r[0x08:])&policyDebug != 0,
		Lacks: []string{"its sealing key belongs to this one chip and perhaps its firmware: hand the keys over before either changes, or be able to import them again"},
	}
	if key := r[0xE0:0x110]; !bytes.Equal(key, make([]byte, len(key))) {
		id.Signer = attest.Hex(key)
	}
	return id
}

func parseSNP(b []byte) (report, error) {
	if len(b) != snpSize {
		return nil, fmt.Errorf("%d bytes, want %d of SEV-SNP", len(b), snpSize)
	}
	if version := binary.LittleEndian.Uint32(b); version < 2 || version > 5 {
		return nil, fmt.Errorf("version %d of SEV-SNP, only 2 to 5 are read", version)
	}
	return snpReport(b), nil
}
