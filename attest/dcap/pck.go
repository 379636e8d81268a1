package dcap

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"

	"github.com/secure-signer/secure-signer/attest"
)

// A platform is what its PCK certificate says. Intel signed it with the
// certificate, so it counts more than what the quote says of itself.
type platform struct {
	ppid   attest.Hex
	fmspc  attest.Hex // family, model, stepping: which TCB info applies
	pceID  attest.Hex
	cpuSVN [16]uint8
	pceSVN uint16
}

// oidSGX is the extension of a PCK certificate; what is in it hangs below.
func oidSGX(below ...int) asn1.ObjectIdentifier {
	return append(asn1.ObjectIdentifier{1, 2, 840, 113741, 1, 13, 1}, below...)
}

// An attribute is one pair of the extension.
type attribute struct {
	ID    asn1.ObjectIdentifier
	Value asn1.RawValue
}

func parsePCK(c *x509.Certificate) (platform, error) {
	var extension []byte
	for _, e := range c.Extensions {
		if e.Id.Equal(oidSGX()) {
			extension = e.Value
		}
	}
	return parseSGXExtension(extension)
}

func parseSGXExtension(der []byte) (platform, error) {
	var p platform
	attributes, err := parseAttributes(der)
	if err != nil {
		return p, fmt.Errorf("SGX extension: %w", err)
	}
	sizes := map[*attest.Hex]int{&p.ppid: 16, &p.fmspc: 6, &p.pceID: 2}
	for field, id := range map[*attest.Hex]asn1.ObjectIdentifier{&p.ppid: oidSGX(1), &p.pceID: oidSGX(3), &p.fmspc: oidSGX(4)} {
		value, err := find(attributes, id)
		if err != nil {
			return p, err
		}
		if value.Class != asn1.ClassUniversal || value.Tag != asn1.TagOctetString || len(value.Bytes) != sizes[field] {
			return p, fmt.Errorf("SGX extension: %v is not %d bytes", id, sizes[field])
		}
		*field = bytes.Clone(value.Bytes)
	}
	tcb, err := find(attributes, oidSGX(2))
	if err != nil {
		return p, err
	}
	return p, p.parseTCB(tcb.FullBytes)
}

// parseTCB reads the 16 components of the CPU's SVN, and the PCE's.
func (p *platform) parseTCB(der []byte) error {
	attributes, err := parseAttributes(der)
	if err != nil {
		return fmt.Errorf("SGX extension: TCB: %w", err)
	}
	for i := range 17 {
		id := oidSGX(2, i+1)
		value, err := find(attributes, id)
		if err != nil {
			return err
		}
		limit := 255
		if i == 16 {
			limit = 65535
		}
		var n int
		if rest, err := asn1.Unmarshal(value.FullBytes, &n); err != nil || len(rest) > 0 || n < 0 || n > limit {
			return fmt.Errorf("SGX extension: %v is not a number up to %d", id, limit)
		}
		if i == 16 {
			p.pceSVN = uint16(n)
		} else {
			p.cpuSVN[i] = uint8(n)
		}
	}
	return nil
}

func parseAttributes(der []byte) ([]attribute, error) {
	var out []attribute
	rest, err := asn1.Unmarshal(der, &out)
	if err == nil && len(rest) > 0 {
		err = errors.New("more follows after it")
	}
	return out, err
}

// find returns the one value of an attribute.
func find(attributes []attribute, id asn1.ObjectIdentifier) (asn1.RawValue, error) {
	is := func(a attribute) bool { return a.ID.Equal(id) }
	i := slices.IndexFunc(attributes, is)
	if i < 0 || slices.ContainsFunc(attributes[i+1:], is) {
		return asn1.RawValue{}, fmt.Errorf("SGX extension: it has not exactly one %v", id)
	}
	return attributes[i].Value, nil
}
