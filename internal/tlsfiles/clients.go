package tlsfiles

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// A fingerprint is the SHA-256 hash of a certificate.
type fingerprint [sha256.Size]byte

// clients are those that are let in.
type clients struct {
	known   map[fingerprint][]string // with the common names that each is listed under
	issuers *x509.CertPool           // nil: none

	// issued remembers until when a certificate is good that an issuer was found
	// for: each request is checked, and that search costs as much as a signature.
	// It holds no more than the issuers have signed, and ends with the next Reload.
	issued sync.Map // fingerprint → time.Time
}

// check says why the client that shows these certificates is not let in, or nil.
// The first is its own, whose private key it has; the others may link it to a CA.
func (c *clients) check(shown []*x509.Certificate, now time.Time) error {
	if len(shown) == 0 {
		return errors.New("the client shows no certificate: give it one, and let that in")
	}
	own := shown[0]
	name, sum := own.Subject.CommonName, fingerprint(sha256.Sum256(own.Raw))
	refuse := func(why string, err error) error {
		return fmt.Errorf("the client's certificate, %.64q with fingerprint %x, %s%w", name, sum, why, err)
	}
	if now.Before(own.NotBefore) || now.After(own.NotAfter) {
		return refuse("", fmt.Errorf("is valid from %s to %s only",
			own.NotBefore.UTC().Format(time.RFC3339), own.NotAfter.UTC().Format(time.RFC3339)))
	}
	names, listed := c.known[sum]
	if slices.Contains(names, name) {
		return nil
	}
	if c.issuers != nil {
		err := c.checkIssued(shown, sum, now)
		if err == nil {
			return nil
		}
		return refuse("is not known, and not the CA's for a client: ", err)
	}
	if listed {
		return refuse("", fmt.Errorf("is listed under %q, which is not its common name", names))
	}
	return refuse("", errors.New("is not known: to let it in, list its common name and fingerprint"))
}

// checkIssued looks for a chain to one of the issuers. A certificate that does
// not say what it may be used for may be used for anything (RFC 5280, 4.2.1.12).
func (c *clients) checkIssued(shown []*x509.Certificate, sum fingerprint, now time.Time) error {
	if until, ok := c.issued.Load(sum); ok && !now.After(until.(time.Time)) {
		return nil
	}
	links := x509.NewCertPool()
	for _, cert := range shown[1:] {
		links.AddCert(cert)
	}
	chains, err := shown[0].Verify(x509.VerifyOptions{
		Roots:         c.issuers,
		Intermediates: links,
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return err
	}
	until := shown[0].NotAfter
	for _, cert := range chains[0] {
		if cert.NotAfter.Before(until) {
			until = cert.NotAfter
		}
	}
	c.issued.Store(sum, until)
	return nil
}

// parseKnown reads Web3Signer's file: on each line a common name and, after the
// last space, a fingerprint, with or without colons, in any case. Lines that are
// empty or begin with # say nothing.
func parseKnown(text []byte) (map[fingerprint][]string, error) {
	known := make(map[fingerprint][]string)
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		at := strings.LastIndexAny(line, " \t")
		digits, err := hex.DecodeString(strings.ReplaceAll(line[at+1:], ":", ""))
		if at < 0 || err != nil || len(digits) != sha256.Size {
			return nil, fmt.Errorf("line %d: want a common name, a space and a fingerprint of 64 hex digits, as openssl x509 -noout -fingerprint -sha256 prints it", n)
		}
		sum := fingerprint(digits)
		known[sum] = append(known[sum], strings.TrimSpace(line[:at]))
	}
	if err := lines.Err(); err != nil { // a line of more than 64 KiB
		return nil, fmt.Errorf("a line is too long: is this the right file? %w", err)
	}
	return known, nil
}
