package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/internal/tlsfiles"
)

// tlsFlags say how to speak to a signer at an https address.
type tlsFlags struct {
	ca, cert, key string
}

func (f *tlsFlags) define(cmd *cobra.Command) {
	flags := cmd.PersistentFlags()
	flags.StringVar(&f.ca, "tls-ca-file", "", "PEM `file` with the CA of the signer's certificate, or that certificate; else what this machine trusts counts")
	flags.StringVar(&f.cert, "tls-cert-file", "", "PEM `file` with a certificate to show to the signer")
	flags.StringVar(&f.key, "tls-key-file", "", "PEM `file` with its private key")
}

// open reads the files. That they are given where nothing is encrypted is a
// mistake that would show the token to others.
func (f tlsFlags) open(encrypted bool) (*tls.Config, error) {
	switch {
	case (f.cert == "") != (f.key == ""):
		return nil, fmt.Errorf("%w: --tls-cert-file and --tls-key-file belong together", cli.ErrUsage)
	case f != tlsFlags{} && !encrypted:
		return nil, fmt.Errorf("%w: the TLS files are for a signer that speaks TLS: give its address with --url https://…, or leave them out", cli.ErrUsage)
	}
	return tlsfiles.Dial(f.ca, f.cert, f.key)
}

// adviseTLS says what to do where the two sides do not agree on who they are, or
// returns nil where that is not what err is about.
func (c *client) adviseTLS(err error) error {
	var untrusted *tls.CertificateVerificationError
	var told *net.OpError
	switch {
	case errors.As(err, &untrusted):
		return fmt.Errorf("the certificate of %s is not trusted: %w: give its CA, or the certificate itself, with --tls-ca-file, and the signer's name as the certificate has it with --url", c.base, untrusted.Err)
	case errors.As(err, &told) && told.Op == "remote error": // an alert of crypto/tls, which has no type
		return fmt.Errorf("the signer at %s does not let this client in (%w): give a certificate that it knows with --tls-cert-file and --tls-key-file; its log says why it refuses", c.base, told.Err)
	case errors.Is(err, http.ErrSchemeMismatch):
		return fmt.Errorf("the signer at %s does not speak TLS: use http://, on its own machine or through a tunnel", c.base)
	}
	return nil
}
