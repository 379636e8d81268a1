package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/internal/httpjson"
	"github.com/secure-signer/secure-signer/internal/tlsfiles"
	"github.com/secure-signer/secure-signer/web3signer"
)

// openTLS reads the files of the signing listener; nil where it speaks plain
// HTTP.
func (f accessFlags) openTLS() (*tlsfiles.Files, error) {
	switch {
	case f.tls == tlsfiles.Config{}:
		return nil, nil
	case f.tls.CertFile == "" && f.tls.KeyFile == "":
		return nil, fmt.Errorf("%w: clients show certificates over TLS only: give --tls-cert-file and --tls-key-file, too", cli.ErrUsage)
	case f.tls.CertFile == "":
		return nil, fmt.Errorf("%w: --tls-key-file needs --tls-cert-file, the certificate that belongs to the key", cli.ErrUsage)
	case f.tls.KeyFile == "":
		return nil, fmt.Errorf("%w: --tls-cert-file needs --tls-key-file, the private key that belongs to the certificate", cli.ErrUsage)
	}
	files, err := tlsfiles.Open(f.tls)
	switch {
	case errors.Is(err, tlsfiles.ErrNoClient):
		return nil, fmt.Errorf("%w: --tls-known-clients-file: %w: list one, or give --tls-client-ca-file", cli.ErrUsage, err)
	case err != nil:
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return files, nil
}

// secure makes l speak TLS where that is asked for. A handshake is over when
// the server's ReadHeaderTimeout is, and holds up no other.
func (a *access) secure(l net.Listener, log *slog.Logger) net.Listener {
	if a.tls == nil {
		return l
	}
	return tls.NewListener(l, a.tls.Server(func(client net.Addr, reason error) {
		log.Warn("client refused", "address", client.String(), "error", reason)
	}))
}

// scheme is how clients address the signing API.
func (a *access) scheme() string {
	if a.tls == nil {
		return "http"
	}
	return "https"
}

// requireCertificate holds connections that were made before a reload, or before
// their client's certificate expired, to what counts now.
func (a *access) requireCertificate(h http.Handler) http.Handler {
	if !a.asksClients {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := a.tls.Check(r.TLS); err != nil {
			w.Header().Set("Connection", "close")
			httpjson.WriteError(w, http.StatusForbidden, httpjson.ReasonClientNotAllowed, err.Error())
			return
		}
		h.ServeHTTP(w, r)
	})
}

func (a *access) warnTLS(log *slog.Logger) {
	if a.tls == nil {
		return
	}
	for _, warning := range a.tls.Warnings() {
		log.Warn("the TLS files need care", "detail", warning)
	}
}

// expiryNotice is how long before its end a certificate shows in /healthcheck.
const expiryNotice = 7 * 24 * time.Hour

func (a *access) degradedTLS() []web3signer.Check {
	if a.tls == nil || time.Until(a.tls.Expires()) > expiryNotice {
		return nil
	}
	return []web3signer.Check{{ID: "tls-check/certificate", Data: map[string]any{"expires": a.tls.Expires().UTC().Format(time.RFC3339)}}}
}
