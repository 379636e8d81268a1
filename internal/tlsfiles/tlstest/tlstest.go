// Package tlstest makes certificates for tests. They are good for an hour before
// and after now, unless a test changes that.
package tlstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

// An Identity is a certificate and its private key.
type Identity struct {
	Cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Issue makes a certificate for 127.0.0.1, changed as a test wants it, and has
// issuer sign it, or itself if that is nil.
func Issue(issuer *Identity, name string, changes ...func(*x509.Certificate)) *Identity {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes([]byte(rand.Text())),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	for _, change := range changes {
		change(template)
	}
	parent, signer := template, key
	if issuer != nil {
		parent, signer = issuer.Cert, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	check(err)
	cert, err := x509.ParseCertificate(der)
	check(err)
	return &Identity{cert, key}
}

// Authority makes a certificate one that may issue others.
func Authority(c *x509.Certificate) {
	c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
}

// Usage limits what a certificate is for.
func Usage(usage x509.ExtKeyUsage) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{usage} }
}

// Valid limits when a certificate is good, seen from now.
func Valid(from, to time.Duration) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Now().Add(from), time.Now().Add(to) }
}

// Shown is what i shows, with links to its issuer.
func (i *Identity) Shown(links ...*Identity) tls.Certificate {
	c := tls.Certificate{Certificate: [][]byte{i.Cert.Raw}, PrivateKey: i.key}
	for _, l := range links {
		c.Certificate = append(c.Certificate, l.Cert.Raw)
	}
	return c
}

// Fingerprint is the SHA-256 hash of the certificate.
func (i *Identity) Fingerprint() [32]byte { return sha256.Sum256(i.Cert.Raw) }

// KnownLine lists i in a known-clients file.
func (i *Identity) KnownLine() string {
	return fmt.Sprintf("%s %x\n", i.Cert.Subject.CommonName, i.Fingerprint())
}

// CertPEM is the certificate.
func (i *Identity) CertPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.Cert.Raw})
}

// KeyPEM is the private key.
func (i *Identity) KeyPEM() []byte {
	der, err := x509.MarshalPKCS8PrivateKey(i.key)
	check(err)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// check panics: none of this fails but for a bug of a test.
func check(err error) {
	if err != nil {
		panic("tlstest: " + err.Error())
	}
}
