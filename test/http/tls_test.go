package http_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/internal/tlsfiles/tlstest"
	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

// A tlsFolder holds the TLS files of a daemon.
type tlsFolder struct {
	t    *testing.T
	path string
}

func newTLSFolder(t *testing.T, server *tlstest.Identity, known ...*tlstest.Identity) tlsFolder {
	f := tlsFolder{t, t.TempDir()}
	f.serve(server)
	f.know(known...)
	return f
}

func (f tlsFolder) file(name string) string { return filepath.Join(f.path, name) }

func (f tlsFolder) put(name string, text []byte) {
	f.t.Helper()
	if err := os.WriteFile(f.file(name), text, 0o600); err != nil {
		f.t.Fatal(err)
	}
}

func (f tlsFolder) serve(i *tlstest.Identity) {
	f.t.Helper()
	f.put("cert.pem", i.CertPEM())
	f.put("key.pem", i.KeyPEM())
}

func (f tlsFolder) know(clients ...*tlstest.Identity) {
	f.t.Helper()
	var text strings.Builder
	text.WriteString("# who may\n\n")
	for _, c := range clients {
		text.WriteString(c.KnownLine())
	}
	f.put("known", []byte(text.String()))
}

// flags make a daemon use the folder.
func (f tlsFolder) flags(more ...string) []string {
	return append([]string{"--tls-cert-file", f.file("cert.pem"), "--tls-key-file", f.file("key.pem"), "--tls-known-clients-file", f.file("known")}, more...)
}

// clientOf trusts these servers and shows a certificate, if it has one.
func clientOf(t *testing.T, shown *tlstest.Identity, servers ...*tlstest.Identity) *http.Client {
	t.Helper()
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	for _, s := range servers {
		config.RootCAs.AddCert(s.Cert)
	}
	if shown != nil {
		config.Certificates = []tls.Certificate{shown.Shown()}
	}
	transport := &http.Transport{TLSClientConfig: config}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: time.Minute}
}

// https is the address of a route of a daemon that speaks TLS.
func https(d *daemon.Daemon, route string) string {
	return strings.Replace(d.URL, "http:", "https:", 1) + route
}

// sendBy sends a request with pairs of headers.
func sendBy(t *testing.T, c *http.Client, method, url, body string, headers ...string) (daemon.Answer, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			request.Host = headers[i+1]
		}
	}
	return do(c, request)
}

// mustAnswer sends a request and checks the status of the answer.
func mustAnswer(t *testing.T, status int, c *http.Client, method, url, body string, headers ...string) daemon.Answer {
	t.Helper()
	answer, err := sendBy(t, c, method, url, body, headers...)
	if err != nil || answer.Status != status {
		t.Errorf("%s %s %q: %d %s %v, want %d", method, url, headers, answer.Status, answer.Body, err, status)
	}
	return answer
}

func TestOnlyClientsThatAreLetInSign(t *testing.T) {
	t.Parallel()
	ca := tlstest.Issue(nil, "CA", tlstest.Authority)
	server := tlstest.Issue(ca, "signer")
	listed := tlstest.Issue(nil, "lighthouse")
	renamed := tlstest.Issue(nil, "prysm")
	forClients := tlstest.Usage(x509.ExtKeyUsageClientAuth)

	f := newTLSFolder(t, server, listed)
	f.put("known", []byte(listed.KnownLine()+strings.Replace(renamed.KnownLine(), "prysm", "nimbus", 1)))
	f.put("ca.pem", ca.CertPEM())
	d := daemon.Serve(t, initMainnet(t), f.flags("--tls-client-ca-file", f.file("ca.pem"), "--keymanager-auth", "mtls", "--new-key-floor", "none", "--max-future-epochs", "off")...)
	key := interop.New(0)
	mustAnswer(t, 200, clientOf(t, listed, ca), "POST", https(d, "/eth/v1/keystores"), importOf(t, key, ""))

	body, route := randao(7), https(d, "/api/v1/eth2/sign/"+key.Hex())
	for name, c := range map[string]*tlstest.Identity{
		"lighthouse": listed,
		"teku":       tlstest.Issue(ca, "teku", forClients),
	} {
		mustAnswer(t, 200, clientOf(t, c, ca), "POST", route, body)
		waitFor(t, "the log names the caller "+name, func() bool { return strings.Contains(d.Log(), "caller="+name) })
	}
	for name, c := range map[string]*tlstest.Identity{
		"no certificate":                     nil,
		"a certificate that nobody knows":    tlstest.Issue(nil, "lighthouse"),
		"one that is listed by another name": renamed,
		"one of another CA":                  tlstest.Issue(tlstest.Issue(nil, "CA", tlstest.Authority), "teku", forClients),
		"one of the CA for servers":          tlstest.Issue(ca, "teku", tlstest.Usage(x509.ExtKeyUsageServerAuth)),
		"one of the CA that has expired":     tlstest.Issue(ca, "teku", tlstest.Valid(-time.Hour, -time.Minute)),
	} {
		for _, path := range []string{"/upcheck", "/api/v1/eth2/publicKeys", "/reload", "/eth/v1/keystores"} {
			if answer, err := sendBy(t, clientOf(t, c, ca), "GET", https(d, path), ""); err == nil {
				t.Errorf("%s, GET %s: %d %s", name, path, answer.Status, answer.Body)
			}
		}
	}
	for _, reason := range []string{"shows no certificate", "is not known", "not the CA's for a client", "is valid from"} {
		waitFor(t, "the log says "+reason, func() bool { return strings.Contains(d.Log(), reason) })
	}
	if answer, err := sendBy(t, http.DefaultClient, "GET", d.URL+"/upcheck", ""); err != nil || answer.Status != 400 {
		t.Errorf("plain HTTP: %d %s %v", answer.Status, answer.Body, err)
	}
	if d.Stop() != 0 {
		t.Error("no clean stop")
	}
}

func TestTLSWithoutCertificatesOfClientsIsForAll(t *testing.T) {
	t.Parallel()
	server := tlstest.Issue(nil, "signer")
	f := newTLSFolder(t, server)
	d := daemon.Serve(t, initMainnet(t), "--tls-cert-file", f.file("cert.pem"), "--tls-key-file", f.file("key.pem"))
	mustAnswer(t, 200, clientOf(t, nil, server), "GET", https(d, "/upcheck"), "")
	mustAnswer(t, 401, clientOf(t, nil, server), "GET", https(d, "/eth/v1/keystores"), "")
	config := &tls.Config{RootCAs: x509.NewCertPool(), MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	config.RootCAs.AddCert(server.Cert)
	if conn, err := tls.Dial("tcp", strings.TrimPrefix(d.URL, "http://"), config); err == nil {
		conn.Close()
		t.Error("TLS 1.1 is spoken")
	}
}

// TestHalfOpenHandshakesHoldUpNobody: connections that begin a handshake and say
// no more are cut after a while, and others sign meanwhile.
func TestHalfOpenHandshakesHoldUpNobody(t *testing.T) {
	t.Parallel()
	server, client := tlstest.Issue(nil, "signer"), tlstest.Issue(nil, "client")
	d := daemon.Serve(t, initMainnet(t), newTLSFolder(t, server, client).flags()...)
	const patience = time.Minute // of the signer: 10 s
	cut := make(chan error, 300)
	begun := time.Now()
	for i := range cap(cut) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(d.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		// Nothing, a record's header and no more, or what is no handshake.
		if _, err := conn.Write([]byte("\x16\x03\x01\x02\x00\x01")[:i%7]); err != nil {
			t.Fatal(err)
		}
		go func() {
			if err := conn.SetReadDeadline(begun.Add(patience)); err != nil {
				cut <- err
				return
			}
			_, err := io.Copy(io.Discard, conn)
			cut <- err
		}()
	}
	for range 20 {
		mustAnswer(t, 200, clientOf(t, client, server), "GET", https(d, "/upcheck"), "")
	}
	t.Logf("20 handshakes beside %d that are half open, %v after those began", cap(cut), time.Since(begun))
	for range cap(cut) {
		if err := <-cut; err != nil && !strings.Contains(err.Error(), "reset") {
			t.Fatalf("a handshake that was never finished is still open: %v", err)
		}
	}
	mustAnswer(t, 200, clientOf(t, client, server), "GET", https(d, "/upcheck"), "")
}

// A reloaded is the answer of GET /reload.
type reloaded struct {
	Status    string
	LastError string
	Failed    []string
}

// reload has the daemon read its files again, as a client or by a signal, and
// returns what came of it.
func reload(t *testing.T, d *daemon.Daemon, c *http.Client, url string, bySignal bool) reloaded {
	t.Helper()
	begun := strings.Count(d.Log(), `msg="reload ended"`)
	if bySignal {
		if err := syscall.Kill(d.PID(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	} else {
		mustAnswer(t, http.StatusAccepted, c, "POST", url+"/reload", "")
	}
	waitFor(t, "the reload has ended", func() bool { return strings.Count(d.Log(), `msg="reload ended"`) > begun })
	var last reloaded
	waitFor(t, "GET /reload says so", func() bool {
		answer, err := sendBy(t, c, "GET", url+"/reload", "")
		if err != nil || json.NewDecoder(bytes.NewReader([]byte(answer.Body))).Decode(&last) != nil {
			t.Fatalf("GET /reload: %d %s %v", answer.Status, answer.Body, err)
		}
		return last.Status != "running"
	})
	return last
}

// TestCertificatesAreReloadedWhileClientsAreConnected changes every TLS file of a
// daemon that signs.
func TestCertificatesAreReloadedWhileClientsAreConnected(t *testing.T) {
	t.Parallel()
	for _, bySignal := range []bool{true, false} {
		t.Run(map[bool]string{true: "by SIGHUP", false: "by POST"}[bySignal], func(t *testing.T) {
			t.Parallel()
			first, second := tlstest.Issue(nil, "first"), tlstest.Issue(nil, "second")
			stays, goes, comes := tlstest.Issue(nil, "stays"), tlstest.Issue(nil, "goes"), tlstest.Issue(nil, "comes")
			f := newTLSFolder(t, first, stays, goes)
			d := daemon.Serve(t, initMainnet(t), f.flags()...)
			staying, going := clientOf(t, stays, first, second), clientOf(t, goes, first, second)
			upcheck := https(d, "/upcheck")
			mustAnswer(t, 200, staying, "GET", upcheck, "")
			mustAnswer(t, 200, going, "GET", upcheck, "")

			// A key that does not belong to the certificate: nothing changes.
			f.serve(second)
			f.put("cert.pem", first.CertPEM())
			f.know(comes)
			if got := reload(t, d, staying, https(d, ""), bySignal); got.Status != "completed_with_errors" || len(got.Failed) != 1 || got.Failed[0] != "tls" || got.LastError == "" {
				t.Errorf("a bad pair: %+v", got)
			}
			mustAnswer(t, 200, going, "GET", upcheck, "")
			if _, err := sendBy(t, clientOf(t, comes, first, second), "GET", upcheck, ""); err == nil {
				t.Error("half of the files are in use")
			}

			f.serve(second)
			f.know(stays, comes)
			if got := reload(t, d, staying, https(d, ""), bySignal); got.Status != "completed" || len(got.Failed) != 0 {
				t.Errorf("good files: %+v", got)
			}
			mustAnswer(t, 200, staying, "GET", upcheck, "")
			if answer := mustAnswer(t, 403, going, "GET", upcheck, ""); answer.Reason() != "client_not_allowed" {
				t.Errorf("on the connection of one that is listed no more: %s", answer.Body)
			}
			if _, err := sendBy(t, going, "GET", upcheck, ""); err == nil {
				t.Error("one that is listed no more has connected again")
			}
			mustAnswer(t, 200, clientOf(t, comes, second), "GET", upcheck, "")
			if _, err := sendBy(t, clientOf(t, stays, first), "GET", upcheck, ""); err == nil {
				t.Error("the first certificate is still in use")
			}
		})
	}
}
