package tlsfiles

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// now is when the tests take place.
var now = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// An identity is a certificate and its private key.
type identity struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// A request changes the certificate that is made by default: a leaf for
// 127.0.0.1, good for a day before and after now, for any use.
type request func(*x509.Certificate)

func named(name string) request {
	return func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: name} }
}

func valid(from, to time.Duration) request {
	return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.Add(from), now.Add(to) }
}

func authority(c *x509.Certificate) {
	c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
}

func use(usages ...x509.ExtKeyUsage) request {
	return func(c *x509.Certificate) { c.ExtKeyUsage = usages }
}

// issue makes an identity, signed by issuer or, if that is nil, by itself.
func issue(t *testing.T, issuer *identity, requests ...request) *identity {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: serial, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	for _, r := range append([]request{named("someone"), valid(-24*time.Hour, 24*time.Hour)}, requests...) {
		r(template)
	}
	parent, signer := template, key
	if issuer != nil {
		parent, signer = issuer.cert, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &identity{cert, key}
}

func (i *identity) fingerprint() [32]byte { return sha256.Sum256(i.cert.Raw) }

// shown is what a client shows: its own certificate and links to an issuer.
func (i *identity) shown(links ...*identity) tls.Certificate {
	c := tls.Certificate{Certificate: [][]byte{i.cert.Raw}, PrivateKey: i.key}
	for _, l := range links {
		c.Certificate = append(c.Certificate, l.cert.Raw)
	}
	return c
}

func (i *identity) certPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.cert.Raw})
}

func (i *identity) keyPEM(t *testing.T) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(i.key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// A folder holds the files of a test.
type folder struct {
	t    *testing.T
	path string
}

func newFolder(t *testing.T) folder { return folder{t, t.TempDir()} }

// put writes a file of these parts and returns its path.
func (f folder) put(name string, parts ...[]byte) string {
	f.t.Helper()
	path := filepath.Join(f.path, name)
	if err := os.WriteFile(path, bytes.Join(parts, nil), 0o600); err != nil {
		f.t.Fatal(err)
	}
	return path
}

// listener puts a certificate of its own and returns a Config that names it.
func (f folder) listener(i *identity) Config {
	f.t.Helper()
	return Config{CertFile: f.put("cert.pem", i.certPEM()), KeyFile: f.put("key.pem", i.keyPEM(f.t))}
}
