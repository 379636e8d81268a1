package snp

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"slices"
)

// An endorsement is what AMD wrote into a VCEK or VLEK certificate.
type endorsement struct {
	tcb  map[string]uint64
	chip []byte // of 64 bytes, as in a report; nil in a VLEK
}

// oid is one of AMD's for these certificates.
func oid(below ...int) asn1.ObjectIdentifier {
	return append(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 3704, 1}, below...)
}

// parseEndorsement reads the certificate's extensions. The line is that of its
// root: the product's name in the certificate was printed wrongly at times.
func parseEndorsement(c *x509.Certificate, name string, line Line) (endorsement, error) {
	e := endorsement{tcb: make(map[string]uint64)}
	parts := map[string]int{"bootloader": 1, "tee": 2, "snp": 3, "microcode": 8}
	if line == Turin {
		parts["fmc"] = 9
	}
	for part, number := range parts {
		der, err := find(c, oid(3, number))
		if err != nil {
			return e, err
		}
		var version int
		if rest, err := asn1.Unmarshal(der, &version); err != nil || len(rest) > 0 || version < 0 || version > 255 {
			return e, fmt.Errorf("its %s version is no number up to 255", part)
		}
		e.tcb[part] = uint64(version)
	}
	if name == VLEK {
		return e, nil
	}
	size := 64
	if line == Turin {
		size = 8
	}
	chip, err := find(c, oid(4))
	if err != nil {
		return e, err
	}
	// AMD's service writes the bytes bare where its description has an OCTET STRING.
	if len(chip) == size+2 {
		chip = bytes.TrimPrefix(chip, []byte{asn1.TagOctetString, byte(size)})
	}
	if len(chip) != size || allZero(chip) {
		return e, fmt.Errorf("its chip identity is not %d bytes, or zero", size)
	}
	e.chip = append(slices.Clone(chip), make([]byte, 64-size)...)
	return e, nil
}

// find returns the one value of an extension.
func find(c *x509.Certificate, id asn1.ObjectIdentifier) ([]byte, error) {
	for _, extension := range c.Extensions { // crypto/x509 refuses what comes twice
		if extension.Id.Equal(id) {
			return extension.Value, nil
		}
	}
	return nil, fmt.Errorf("it has no extension %v", id)
}
