package main

import (
	"bytes"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/internal/httpjson"
	"github.com/secure-signer/secure-signer/internal/tlsfiles"
	"github.com/secure-signer/secure-signer/internal/tlsfiles/tlstest"
)

// TestSignerctlOverTLS lists the keys of signers that speak TLS, or do not.
func TestSignerctlOverTLS(t *testing.T) {
	dir := t.TempDir()
	put := func(name string, text []byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ca := tlstest.Issue(nil, "CA", tlstest.Authority)
	own, known, stranger := tlstest.Issue(ca, "signer"), tlstest.Issue(nil, "operator"), tlstest.Issue(nil, "stranger")
	token := put("token", []byte("t\n"))
	trusted, pinned := put("ca", ca.CertPEM()), put("own", own.CertPEM())
	cert, key := put("cert", known.CertPEM()), put("key", known.KeyPEM())
	strange, strangeKey := put("strange", stranger.CertPEM()), put("strange-key", stranger.KeyPEM())

	files, err := tlsfiles.Open(tlsfiles.Config{CertFile: pinned, KeyFile: put("own-key", own.KeyPEM()), KnownClients: put("known", []byte(known.KnownLine()))})
	if err != nil {
		t.Fatal(err)
	}
	routes := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		httpjson.WriteJSON(w, http.StatusOK, map[string][]string{"keys": {}})
	})
	secured, plain := httptest.NewUnstartedServer(routes), httptest.NewServer(routes)
	secured.Listener = tls.NewListener(secured.Listener, files.Server(func(net.Addr, error) {}))
	secured.Start()
	defer secured.Close()
	defer plain.Close()
	https := strings.Replace(secured.URL, "http:", "https:", 1)
	strict := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		httpjson.WriteError(w, http.StatusForbidden, httpjson.ReasonHostNotAllowed, "start it with --http-host-allowlist=signer")
	}))
	defer strict.Close()

	for _, tt := range []struct {
		name string
		args []string
		exit int
		says string
	}{
		{"all is right", []string{"--url", https, "--tls-ca-file", trusted, "--tls-cert-file", cert, "--tls-key-file", key}, cli.OK, "No keys"},
		{"the signer's own certificate is trusted", []string{"--url", https, "--tls-ca-file", pinned, "--tls-cert-file", cert, "--tls-key-file", key}, cli.OK, "No keys"},
		{"plain HTTP", []string{"--url", plain.URL}, cli.OK, "No keys"},
		{"a signer that nobody vouches for", []string{"--url", https, "--tls-cert-file", cert, "--tls-key-file", key}, cli.Failed, "with --tls-ca-file"},
		{"a signer that another CA vouches for", []string{"--url", https, "--tls-ca-file", strange, "--tls-cert-file", cert, "--tls-key-file", key}, cli.Failed, "with --tls-ca-file"},
		{"no certificate", []string{"--url", https, "--tls-ca-file", trusted}, cli.Failed, "with --tls-cert-file and --tls-key-file"},
		{"a certificate that the signer does not know", []string{"--url", https, "--tls-ca-file", trusted, "--tls-cert-file", strange, "--tls-key-file", strangeKey}, cli.Failed, "with --tls-cert-file and --tls-key-file"},
		{"TLS to a signer without", []string{"--url", strings.Replace(plain.URL, "http:", "https:", 1), "--tls-ca-file", trusted}, cli.Failed, "does not speak TLS"},
		{"plain HTTP to a signer with TLS", []string{"--url", secured.URL}, cli.Failed, "does it speak TLS?"},
		{"a signer that is not known by this name", []string{"--url", strict.URL}, cli.Failed, "refuses: start it with --http-host-allowlist=signer"},
		{"TLS files for plain HTTP", []string{"--url", plain.URL, "--tls-ca-file", trusted}, cli.Usage, "--url https://"},
		{"a certificate without its key", []string{"--url", https, "--tls-cert-file", cert}, cli.Usage, "belong together"},
		{"another's key", []string{"--url", https, "--tls-cert-file", cert, "--tls-key-file", strangeKey}, cli.Failed, "must be a certificate and its private key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stderr bytes.Buffer
			exit := run(t.Context(), append([]string{"keys", "list", "--token-file", token}, tt.args...), nil, &stderr, &stderr)
			if exit != tt.exit || !strings.Contains(stderr.String(), tt.says) {
				t.Errorf("exit %d, %s\nwant %d, %q", exit, &stderr, tt.exit, tt.says)
			}
		})
	}
}
