// Package tlsfiles keeps the certificate of a listener, and the rules for those
// of its clients, in files that may change while it listens.
//
// # Guaranteed
//
//   - Files are read whole and checked together before any of them counts, and
//     then count all at once. A Reload that fails changes nothing and says why.
//   - Where clients are asked for a certificate, a connection is made only with
//     one that is valid now and that is either listed by its fingerprint and its
//     common name, or issued by the private CA for use as a client's. No public
//     CA counts.
//   - Check holds a connection that was made earlier to the rules of now.
//   - TLS 1.2 at least, HTTP/1.1 only. No session is resumed: each connection
//     proves anew that it has the private key.
//
// # Not guaranteed
//
//   - Revocation lists are not read: take a client off the list, or replace the CA.
//   - The listener's private key lies in ordinary memory.
//
// Sources: RFC 8446, RFC 5280; the known-clients file is Web3Signer's.
package tlsfiles

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// A Config names the files, all but the known clients in PEM. With neither known
// clients nor a CA every client is let in, and none is asked for a certificate.
type Config struct {
	CertFile     string // with the intermediates, if any, after it
	KeyFile      string
	KnownClients string // lines of a common name and a SHA-256 fingerprint
	ClientCA     string
}

// AsksClients tells whether clients must show a certificate.
func (c Config) AsksClients() bool { return c.KnownClients != "" || c.ClientCA != "" }

// ErrNoClient is the error for files that would let nobody in.
var ErrNoClient = errors.New("lists no client, and there is no CA")

// Files are what a listener uses. They are safe for concurrent use.
type Files struct {
	config Config
	now    func() time.Time
	inUse  atomic.Pointer[material]
}

// material is what the files hold, at one moment. It never changes.
type material struct {
	certificate tls.Certificate
	clients     *clients // nil: whoever comes
	warnings    []string
}

// Open reads and checks the files.
func Open(c Config) (*Files, error) { return open(c, time.Now) }

func open(c Config, now func() time.Time) (*Files, error) {
	f := &Files{config: c, now: now}
	return f, f.Reload()
}

// Reload reads the files again. New connections use what it finds, and Check
// does. After an error everything is as it was.
func (f *Files) Reload() error {
	m, err := read(f.config, f.now())
	if err != nil {
		return err
	}
	f.inUse.Store(m)
	return nil
}

// Warnings says what is in use and should not be.
func (f *Files) Warnings() []string { return f.inUse.Load().warnings }

// Expires is when the listener's certificate does.
func (f *Files) Expires() time.Time { return f.inUse.Load().certificate.Leaf.NotAfter }

// Server returns the configuration of the listener. It calls refused, in the
// connection's goroutine, for a client whose certificate is not let in: all that
// the client is told is that it is bad.
func (f *Files) Server(refused func(client net.Addr, reason error)) *tls.Config {
	return &tls.Config{
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			m := f.inUse.Load()
			if shown, ok := hello.Context().Value(shownKey{}).(*shown); ok {
				shown.key = m.certificate.Leaf.RawSubjectPublicKeyInfo
			}
			c := &tls.Config{
				MinVersion:             tls.VersionTLS12,
				NextProtos:             []string{"http/1.1"},
				Certificates:           []tls.Certificate{m.certificate},
				SessionTicketsDisabled: true,
			}
			if m.clients != nil {
				// Not RequireAnyClientCert: a client that shows none is refused below,
				// where the reason can be told.
				c.ClientAuth = tls.RequestClientCert
				c.VerifyConnection = func(state tls.ConnectionState) error {
					err := m.clients.check(state.PeerCertificates, f.now())
					if err != nil {
						refused(hello.Conn.RemoteAddr(), err)
					}
					return err
				}
			}
			return c, nil
		},
	}
}

// shown is which certificate a connection was made with: a Reload changes it for
// those that come after.
type shown struct{ key []byte }

type shownKey struct{}

// Remember is the ConnContext of an http.Server that listens with Server: ShownKey
// then knows the certificate of each connection.
func Remember(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, shownKey{}, new(shown))
}

// ShownKey returns the public key (SubjectPublicKeyInfo, DER) of the certificate that
// was shown on the connection of a request, whose context is given; nil if it has
// none.
func ShownKey(ctx context.Context) []byte {
	if shown, ok := ctx.Value(shownKey{}).(*shown); ok {
		return shown.key
	}
	return nil
}

// Check says why the client of a connection would not be let in now, or nil.
func (f *Files) Check(state *tls.ConnectionState) error {
	m := f.inUse.Load()
	if m.clients == nil {
		return nil
	}
	return m.clients.check(state.PeerCertificates, f.now())
}

// read reads everything that c names.
func read(c Config, now time.Time) (*material, error) {
	m := &material{}
	var err error
	if m.certificate, err = pair(c.CertFile, c.KeyFile); err != nil {
		return nil, err
	}
	m.warnings = warnings(c, m.certificate.Leaf, now)
	if !c.AsksClients() {
		return m, nil
	}
	m.clients = &clients{}
	if c.KnownClients != "" {
		text, err := readFile(c.KnownClients)
		if err != nil {
			return nil, err
		}
		if m.clients.known, err = parseKnown(text); err != nil {
			return nil, fmt.Errorf("%s, %w", c.KnownClients, err)
		}
	}
	if c.ClientCA == "" {
		if len(m.clients.known) == 0 {
			return nil, fmt.Errorf("%s %w", c.KnownClients, ErrNoClient)
		}
		return m, nil
	}
	m.clients.issuers, err = pool(c.ClientCA, func(cert *x509.Certificate) error {
		if !cert.IsCA {
			return errors.New("it is no CA: list a client's own certificate among the known clients")
		}
		return nil
	})
	return m, err
}

// warnings are about what works here, and perhaps not with the clients.
func warnings(c Config, cert *x509.Certificate, now time.Time) []string {
	var all []string
	switch {
	case now.After(cert.NotAfter):
		all = append(all, fmt.Sprintf("%s has expired on %s: clients will not connect", c.CertFile, cert.NotAfter.UTC().Format(time.RFC3339)))
	case now.Before(cert.NotBefore):
		all = append(all, fmt.Sprintf("%s is valid from %s only: until then clients will not connect", c.CertFile, cert.NotBefore.UTC().Format(time.RFC3339)))
	}
	if len(cert.DNSNames) == 0 && len(cert.IPAddresses) == 0 {
		all = append(all, c.CertFile+" has no subjectAltName: most clients will not connect")
	}
	if info, err := os.Stat(c.KeyFile); err == nil && info.Mode().Perm()&0o077 != 0 {
		all = append(all, fmt.Sprintf("%s has mode %#o, so others can read it: chmod 600 %s", c.KeyFile, info.Mode().Perm(), c.KeyFile))
	}
	return all
}

// pair reads a certificate and the private key that belongs to it.
func pair(certFile, keyFile string) (tls.Certificate, error) {
	cert, err := readFile(certFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := readFile(keyFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	p, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%s and %s must be a certificate and its private key, both in PEM and not encrypted: %w", certFile, keyFile, err)
	}
	return p, nil
}

// pool reads the certificates of a PEM file, each of which must be fit.
func pool(path string, fit func(*x509.Certificate) error) (*x509.CertPool, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, err
	}
	certs := x509.NewCertPool()
	n := 0
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		n++
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("%s, part %d: want certificates, not a %s", path, n, block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err == nil {
			err = fit(cert)
		}
		if err != nil {
			return nil, fmt.Errorf("%s, part %d: %w", path, n, err)
		}
		certs.AddCert(cert)
	}
	if n == 0 {
		return nil, fmt.Errorf("%s holds no certificate in PEM", path)
	}
	return certs, nil
}

// maxFile bounds what is read: a wrong path must not fill the memory.
const maxFile = 4 << 20

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s has more than %d bytes: is this the right file?", path, maxFile)
	}
	return text, nil
}
