package tlsfiles

import (
	"crypto/tls"
	"crypto/x509"
)

// Dial returns the configuration of who connects to such a listener: caFile
// holds what it trusts, a CA or the listener's own certificate, and if it is
// empty what the machine trusts counts; certFile and keyFile are what it shows,
// if they are not empty.
func Dial(caFile, certFile, keyFile string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	var err error
	if caFile != "" {
		if c.RootCAs, err = pool(caFile, func(*x509.Certificate) error { return nil }); err != nil {
			return nil, err
		}
	}
	if certFile != "" {
		own, err := pair(certFile, keyFile)
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{own}
	}
	return c, nil
}
