package main

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/internal/httpjson"
	"github.com/secure-signer/secure-signer/internal/tlsfiles"
	"github.com/secure-signer/secure-signer/web3signer"
)

// accessFlags say who is let in, and to what.
type accessFlags struct {
	tls            tlsfiles.Config
	hosts          []string
	metricsHosts   []string
	pageHosts      []string
	origins        []string
	keymanagerAuth string
}

// The ways to be let in to the keymanager API.
const (
	authToken = "token"
	authMTLS  = "mtls"
	authNone  = "none"
)

func (f *accessFlags) define(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.tls.CertFile, "tls-cert-file", "", "PEM `file` with the certificate of the signing API, which then speaks HTTPS only")
	flags.StringVar(&f.tls.KeyFile, "tls-key-file", "", "PEM `file` with its private key")
	flags.StringVar(&f.tls.KnownClients, "tls-known-clients-file", "", "let in clients by this `file`: on each line a certificate's common name and SHA-256 fingerprint")
	flags.StringVar(&f.tls.ClientCA, "tls-client-ca-file", "", "let in clients whose certificates a CA of this PEM `file` has issued")
	flags.StringSliceVar(&f.hosts, "http-host-allowlist", nil, "`names` under which clients reach the signing API, besides localhost and its address; * for any")
	flags.StringSliceVar(&f.metricsHosts, "metrics-host-allowlist", nil, "the same of the metrics: their `names`")
	flags.StringSliceVar(&f.pageHosts, "management-host-allowlist", nil, "the same of the status page: its `names`")
	flags.StringSliceVar(&f.origins, "http-cors-origins", nil, "`origins` of web pages that may use the signing API, such as https://host; or all")
	flags.StringVar(&f.keymanagerAuth, "keymanager-auth", authToken, "what the keymanager API asks for: token, mtls (a client's certificate is enough) or none (on loopback only)")
}

// An access is who is let in, and to what.
type access struct {
	tls            *tlsfiles.Files // nil: plain HTTP
	asksClients    bool            // for a certificate
	hosts          httpjson.Hosts
	metricsHosts   httpjson.Hosts
	pageHosts      httpjson.Hosts
	origins        httpjson.Origins
	keymanagerAuth string
}

// open checks the flags against each other and reads the files. Half of a
// configuration is an error: it would let in whom its author wanted out.
func (f accessFlags) open(httpHost, metricsHost, pageHost string) (*access, error) {
	a := &access{
		hosts:          httpjson.NewHosts(httpHost, f.hosts...),
		metricsHosts:   httpjson.NewHosts(metricsHost, f.metricsHosts...),
		pageHosts:      httpjson.NewHosts(pageHost, f.pageHosts...),
		asksClients:    f.tls.AsksClients(),
		keymanagerAuth: f.keymanagerAuth,
	}
	var err error
	if a.tls, err = f.openTLS(); err != nil {
		return nil, err
	}
	if a.origins, err = httpjson.ParseOrigins(f.origins); err != nil {
		return nil, fmt.Errorf("%w: --http-cors-origins: %w", cli.ErrUsage, err)
	}
	return a, a.checkKeymanager(httpHost)
}

// checkKeymanager refuses ways to the keys that are open to more than their name
// says.
func (a *access) checkKeymanager(httpHost string) error {
	switch a.keymanagerAuth {
	case authToken:
		return nil
	case authMTLS:
		if !a.asksClients {
			return fmt.Errorf("%w: --keymanager-auth mtls lets in whoever has a client certificate, and none is asked for: give --tls-known-clients-file or --tls-client-ca-file, too", cli.ErrUsage)
		}
		return nil
	case authNone:
		switch {
		case !isLoopback(httpHost):
			return fmt.Errorf("%w: --keymanager-auth none would let everyone who reaches %s delete keys and add their own: use token or mtls, or --http-listen-host 127.0.0.1", cli.ErrUsage, httpHost)
		case a.origins.Any():
			return fmt.Errorf("%w: --keymanager-auth none with --http-cors-origins all would let every web page delete keys: name the origins, or use token", cli.ErrUsage)
		case a.hosts.Any():
			return fmt.Errorf("%w: --keymanager-auth none with --http-host-allowlist * would let web pages delete keys, by DNS rebinding: name the hosts, or use token", cli.ErrUsage)
		}
		return nil
	}
	return fmt.Errorf("%w: --keymanager-auth %q: use token, mtls or none", cli.ErrUsage, a.keymanagerAuth)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// warn says at the start what an operator may not have meant.
func (a *access) warn(log *slog.Logger, address net.Addr) {
	a.warnTLS(log)
	if tcp, ok := address.(*net.TCPAddr); ok && !tcp.IP.IsLoopback() && !a.asksClients {
		log.Warn("everyone who reaches this address can have duties signed: keep it to a private network, or let in clients by certificate with --tls-known-clients-file or --tls-client-ca-file", "address", address.String())
	}
	if a.keymanagerAuth == authNone {
		log.Warn("everyone on this machine can add and delete keys: --keymanager-auth token asks for the token")
	}
	if a.origins.Any() {
		log.Warn("every web page that a browser on this machine shows can have duties signed: name the origins in --http-cors-origins")
	}
}

// degraded shows in /healthcheck what is better changed.
func (a *access) degraded() []web3signer.Check {
	var checks []web3signer.Check
	if a.keymanagerAuth == authNone {
		checks = append(checks, web3signer.Check{ID: "keymanager-check/no-authentication"})
	}
	return append(checks, a.degradedTLS()...)
}

// keymanager asks for what the keymanager API is guarded with. A token that is
// not asked for is not looked at: some clients send one that means nothing.
func (a *access) keymanager(token func() string, h http.Handler) http.Handler {
	if a.keymanagerAuth == authToken {
		return httpjson.RequireToken(token, h)
	}
	return h
}

// guard is what every request to the signing listener passes first.
func (a *access) guard(h http.Handler) http.Handler {
	return a.requireCertificate(httpjson.RequireHost(a.hosts, "--http-host-allowlist", httpjson.SameOrigin(a.origins, h)))
}

// guardMetrics is the same of the metrics, which are only read.
func (a *access) guardMetrics(h http.Handler) http.Handler {
	return httpjson.RequireHost(a.metricsHosts, "--metrics-host-allowlist", h)
}

// guardPage is the same of the status page.
func (a *access) guardPage(h http.Handler) http.Handler {
	return httpjson.RequireHost(a.pageHosts, "--management-host-allowlist", h)
}

// signerctlFlags are what signerctl on this machine needs, besides the data
// folder, to reach the signing API at address.
func (a *access) signerctlFlags(address net.Addr) string {
	at := address.String()
	if tcp, ok := address.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		at = net.JoinHostPort("127.0.0.1", strconv.Itoa(tcp.Port))
	}
	switch {
	case a.tls == nil && at == "127.0.0.1:9000": // where it looks by itself
		return ""
	case a.tls == nil:
		return " --url http://" + at
	case !a.asksClients:
		return " --url https://" + at + " --tls-ca-file FILE"
	}
	return " --url https://" + at + " --tls-ca-file FILE --tls-cert-file FILE --tls-key-file FILE"
}
