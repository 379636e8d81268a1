package attest

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Nobody's chain is longer, and no maker's key larger. Without bounds a stranger's
// certificates, of which any number can be had, would cost as much time as he
// likes before the root is reached.
const (
	maxChain = 8
	maxRSA   = 8192 // bits
)

// VerifyChain verifies certificates, the leaf first and the root last, each
// signed by the next, all valid at the given time. It returns which of the roots
// it was, by the SHA-256 of its certificate. The name of a root proves nothing.
//
// No other path is looked for than the one given: what the chain says is what
// was verified, and no certificate in it is unproved.
func VerifyChain(certs []*x509.Certificate, roots []Digest, at time.Time) (Digest, error) {
	if len(certs) < 2 || len(certs) > maxChain {
		return Digest{}, fmt.Errorf("%d certificates are no chain: want a leaf, a root, and at most %d in all", len(certs), maxChain)
	}
	for _, c := range certs {
		if key, ok := c.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > maxRSA {
			return Digest{}, fmt.Errorf("certificate %q has an RSA key of %d bits, at most %d are used", c.Subject, key.N.BitLen(), maxRSA)
		}
	}
	last := certs[len(certs)-1]
	root := Digest(sha256.Sum256(last.Raw))
	if !slices.Contains(roots, root) {
		return Digest{}, fmt.Errorf("root %v is not trusted, whatever its name (%q)", root, last.Subject)
	}
	pool, between := x509.NewCertPool(), x509.NewCertPool()
	pool.AddCert(last)
	for _, c := range certs[1 : len(certs)-1] {
		between.AddCert(c)
	}
	paths, err := certs[0].Verify(x509.VerifyOptions{
		Roots: pool, Intermediates: between, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return Digest{}, err
	}
	if !slices.ContainsFunc(paths, func(path []*x509.Certificate) bool {
		return slices.EqualFunc(path, certs, (*x509.Certificate).Equal)
	}) {
		return Digest{}, errors.New("not each certificate is signed by the next")
	}
	return root, nil
}
