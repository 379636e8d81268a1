package tlsfiles

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/internal/tlsfiles/tlstest"
)

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

// listener puts the files of a listener and returns a Config that names them.
func (f folder) listener(i *tlstest.Identity) Config {
	f.t.Helper()
	return Config{CertFile: f.put("cert.pem", i.CertPEM()), KeyFile: f.put("key.pem", i.KeyPEM())}
}

// A server answers each line of a connection with it, until the line that Check
// refuses.
type server struct {
	*Files
	address string

	mu      sync.Mutex
	refused []string
}

// serve listens with these files.
func serve(t *testing.T, c Config) *server {
	t.Helper()
	files, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{Files: files}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = inner.Addr().String()
	l := tls.NewListener(inner, files.Server(func(_ net.Addr, reason error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.refused = append(s.refused, reason.Error())
	}))
	var handlers sync.WaitGroup
	handlers.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			handlers.Go(func() { s.echo(conn.(*tls.Conn)) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		handlers.Wait()
	})
	return s
}

func (s *server) echo(conn *tls.Conn) {
	defer conn.Close()
	b := make([]byte, 1)
	for {
		if _, err := io.ReadFull(conn, b); err != nil {
			return
		}
		state := conn.ConnectionState()
		if s.Check(&state) != nil {
			return
		}
		if _, err := conn.Write(b); err != nil {
			return
		}
	}
}

func (s *server) reasons() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.refused, "\n")
}

// dial connects as a client that trusts the listener and shows what it has.
func (s *server) dial(t *testing.T, listener *tlstest.Identity, change func(*tls.Config)) (*tls.Conn, error) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(listener.Cert)
	c := &tls.Config{RootCAs: roots}
	change(c)
	conn, err := tls.Dial("tcp", s.address, c)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { conn.Close() })
	// The client's side of a handshake ends before the listener has looked at its
	// certificate: only an answer tells.
	return conn, ping(conn)
}

func ping(conn *tls.Conn) error {
	if _, err := conn.Write([]byte("x")); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, make([]byte, 1))
	return err
}

func showing(c tls.Certificate) func(*tls.Config) {
	return func(config *tls.Config) {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c, nil }
	}
}

func TestClientsThatAreLetIn(t *testing.T) {
	ca := tlstest.Issue(nil, "CA", tlstest.Authority)
	stranger := tlstest.Issue(nil, "another CA", tlstest.Authority)
	link := tlstest.Issue(ca, "between", tlstest.Authority)
	tenant := tlstest.Issue(ca, "tenant", tlstest.Usage(x509.ExtKeyUsageClientAuth))
	listed := tlstest.Issue(nil, "lighthouse")
	spaced := tlstest.Issue(nil, "my teku")
	expired := tlstest.Issue(nil, "expired", tlstest.Valid(-48*time.Hour, -time.Second))
	early := tlstest.Issue(nil, "early", tlstest.Valid(time.Minute, time.Hour))
	server := tlstest.Issue(nil, "server only", tlstest.Usage(x509.ExtKeyUsageServerAuth))
	renamed := tlstest.Issue(nil, "renamed")
	client := tlstest.Usage(x509.ExtKeyUsageClientAuth)

	f := newFolder(t)
	own := tlstest.Issue(nil, "own")
	both := f.listener(own)
	colons := strings.ReplaceAll(fmt.Sprintf("% X", listed.Fingerprint()), " ", ":")
	both.KnownClients = f.put("known", fmt.Appendf(nil, "# Web3Signer's format\n\nlighthouse %s\r\n  my teku\t%x  \nexpired %x\nearly %x\nserver only %x\nits former name %x\n",
		colons, spaced.Fingerprint(), expired.Fingerprint(), early.Fingerprint(), server.Fingerprint(), renamed.Fingerprint()))
	known := both
	both.ClientCA = f.put("ca", ca.CertPEM())
	issued := both
	issued.KnownClients = ""

	for _, tt := range []struct {
		name   string
		config Config
		shows  tls.Certificate
		refuse string // "" lets it in
	}{
		{"one that is listed", known, listed.Shown(), ""},
		{"one that is listed, where a CA counts too", both, listed.Shown(), ""},
		{"one whose common name has a space", known, spaced.Shown(), ""},
		{"one that is listed, whatever use its certificate is for", known, server.Shown(), ""},
		{"one that the CA has issued", issued, tlstest.Issue(ca, "client", client).Shown(), ""},
		{"one that the CA has issued, where some are listed", both, tlstest.Issue(ca, "client", client).Shown(), ""},
		{"one that the CA has issued for any use", issued, tlstest.Issue(ca, "any use").Shown(), ""},
		{"one that the CA has issued by another's hand", issued, tlstest.Issue(link, "client", client).Shown(link), ""},

		{"one that shows nothing", known, tls.Certificate{}, "shows no certificate"},
		{"one that shows nothing to a CA's listener", issued, tls.Certificate{}, "shows no certificate"},
		{"one that is not listed", known, tlstest.Issue(nil, "lighthouse").Shown(), "is not known"},
		{"one that the CA has issued, where only the list counts", known, tlstest.Issue(ca, "client", client).Shown(), "is not known"},
		{"one that is listed under another name", known, renamed.Shown(), `listed under ["its former name"]`},
		{"one that is listed and has expired", known, expired.Shown(), "is valid from"},
		{"one that is listed and not valid yet", known, early.Shown(), "is valid from"},
		{"one that is listed, where only the CA counts", issued, listed.Shown(), "not the CA's"},
		{"one that another CA has issued", issued, tlstest.Issue(stranger, "client", client).Shown(stranger), "not the CA's"},
		{"one that the CA has issued and that has expired", issued, tlstest.Issue(ca, "late", client, tlstest.Valid(-48*time.Hour, -time.Second)).Shown(), "is valid from"},
		{"a server that the CA has issued", issued, tlstest.Issue(ca, "a server", tlstest.Usage(x509.ExtKeyUsageServerAuth)).Shown(), "not the CA's for a client"},
		{"one whose link to the CA is missing", issued, tlstest.Issue(link, "client", client).Shown(), "not the CA's"},
		{"one that is issued by a client of the CA", issued, tlstest.Issue(tenant, "client", client).Shown(tenant), "not the CA's"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, tt.config)
			_, err := s.dial(t, own, showing(tt.shows))
			switch {
			case tt.refuse == "" && err != nil:
				t.Errorf("refused: %v\n%s", err, s.reasons())
			case tt.refuse != "" && err == nil:
				t.Error("let in")
			case !strings.Contains(s.reasons(), tt.refuse):
				t.Errorf("the reason is %q, want %q in it", s.reasons(), tt.refuse)
			}
		})
	}
}

// TestAThiefOfACertificateIsRefused: a certificate is no secret, its key is.
func TestAThiefOfACertificateIsRefused(t *testing.T) {
	f := newFolder(t)
	own, listed, thief := tlstest.Issue(nil, "own"), tlstest.Issue(nil, "lighthouse"), tlstest.Issue(nil, "own")
	c := f.listener(own)
	c.KnownClients = f.put("known", fmt.Appendf(nil, "lighthouse %x\n", listed.Fingerprint()))
	s := serve(t, c)
	stolen := listed.Shown()
	stolen.PrivateKey = thief.Shown().PrivateKey
	if _, err := s.dial(t, own, showing(stolen)); err == nil {
		t.Error("let in with another's certificate")
	}
	if s.reasons() != "" {
		t.Errorf("the list was asked before the key was proved: %s", s.reasons())
	}
}

func TestVersionsAndProtocols(t *testing.T) {
	own := tlstest.Issue(nil, "own")
	s := serve(t, newFolder(t).listener(own))
	for _, tt := range []struct {
		name string
		do   func(*tls.Config)
		want uint16 // 0 refuses
	}{
		{"what is newest", func(*tls.Config) {}, tls.VersionTLS13},
		{"TLS 1.2", func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, tls.VersionTLS12},
		{"TLS 1.1", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, 0},
		{"HTTP/1.1 and HTTP/2", func(c *tls.Config) { c.NextProtos = []string{"h2", "http/1.1"} }, tls.VersionTLS13},
		{"HTTP/2 alone", func(c *tls.Config) { c.NextProtos = []string{"h2"} }, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn, err := s.dial(t, own, tt.do)
			if tt.want == 0 {
				if err == nil {
					t.Errorf("agreed on %s", tls.VersionName(conn.ConnectionState().Version))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			state := conn.ConnectionState()
			if state.Version != tt.want || state.NegotiatedProtocol == "h2" {
				t.Errorf("agreed on %s and %q", tls.VersionName(state.Version), state.NegotiatedProtocol)
			}
		})
	}
}

// TestAReloadCountsForLiveConnections swaps everything while connections are
// open, and nothing when one of the files is bad.
func TestAReloadCountsForLiveConnections(t *testing.T) {
	f := newFolder(t)
	first, second := tlstest.Issue(nil, "own"), tlstest.Issue(nil, "own")
	stays, goes, comes := tlstest.Issue(nil, "stays"), tlstest.Issue(nil, "goes"), tlstest.Issue(nil, "comes")
	c := f.listener(first)
	c.KnownClients = f.put("known", []byte(stays.KnownLine()), []byte(goes.KnownLine()))
	s := serve(t, c)
	staying, err := s.dial(t, first, showing(stays.Shown()))
	if err != nil {
		t.Fatal(err)
	}
	going, err := s.dial(t, first, showing(goes.Shown()))
	if err != nil {
		t.Fatal(err)
	}

	f.listener(second)
	f.put("known", []byte(stays.KnownLine()), []byte("comes not yet\n"))
	if err := s.Reload(); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Fatalf("a bad line: %v", err)
	}
	if err := errors.Join(ping(staying), ping(going)); err != nil {
		t.Errorf("after a reload that failed: %v", err)
	}
	if _, err := s.dial(t, first, showing(goes.Shown())); err != nil {
		t.Errorf("after a reload that failed: %v", err)
	}

	f.put("known", []byte(stays.KnownLine()), []byte(comes.KnownLine()))
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if err := ping(staying); err != nil {
		t.Errorf("the connection of one that stays: %v", err)
	}
	if ping(going) == nil {
		t.Error("the connection of one that was taken off the list is still served")
	}
	if _, err := s.dial(t, second, showing(comes.Shown())); err != nil {
		t.Errorf("one that was put on the list: %v", err)
	}
	if _, err := s.dial(t, second, showing(goes.Shown())); err == nil {
		t.Error("one that was taken off the list is let in")
	}
	if _, err := s.dial(t, first, showing(stays.Shown())); err == nil {
		t.Error("the first certificate is still in use")
	}
}

// Evidence names the certificate of its own connection, which a Reload leaves as it is.
func TestTheShownKeyIsThatOfTheConnection(t *testing.T) {
	dir := newFolder(t)
	first, second := tlstest.Issue(nil, "first"), tlstest.Issue(nil, "second")
	files, err := Open(dir.listener(first))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write(ShownKey(r.Context()))
	}))
	server.Config.ConnContext = Remember
	server.Listener = tls.NewListener(server.Listener, files.Server(nil))
	server.Start()
	defer server.Close()
	shown := func(c *http.Client) []byte {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+server.Listener.Addr().String(), http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		key, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if want := resp.TLS.PeerCertificates[0].RawSubjectPublicKeyInfo; !bytes.Equal(key, want) {
			t.Errorf("the handler sees %x, the client was shown %x", key, want)
		}
		return key
	}
	client := func() *http.Client {
		transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
		t.Cleanup(transport.CloseIdleConnections)
		return &http.Client{Transport: transport}
	}
	early, late := client(), client()
	before := shown(early)
	dir.listener(second)
	if err := files.Reload(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(shown(early), before) || bytes.Equal(shown(late), before) {
		t.Error("a reload changes the certificate of later connections, and of no earlier one")
	}
	if ShownKey(t.Context()) != nil {
		t.Error("no connection has a key")
	}
}

func TestAnIssuedCertificateIsRefusedOnceItExpires(t *testing.T) {
	f := newFolder(t)
	ca := tlstest.Issue(nil, "CA", tlstest.Authority)
	link := tlstest.Issue(ca, "between", tlstest.Authority, tlstest.Valid(-time.Hour, 30*time.Minute))
	client := tlstest.Issue(link, "client", tlstest.Usage(x509.ExtKeyUsageClientAuth))
	c := f.listener(tlstest.Issue(nil, "own"))
	c.ClientCA = f.put("ca", ca.CertPEM())
	at := time.Now()
	begun := at
	files, err := open(c, func() time.Time { return at })
	if err != nil {
		t.Fatal(err)
	}
	state := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{client.Cert, link.Cert}}
	for _, tt := range []struct {
		after   time.Duration
		refused bool
	}{{0, false}, {29 * time.Minute, false}, {31 * time.Minute, true}, {61 * time.Minute, true}, {0, false}} {
		at = begun.Add(tt.after)
		if err := files.Check(state); (err != nil) != tt.refused {
			t.Errorf("after %v: %v, want refused: %t", tt.after, err, tt.refused)
		}
	}
}

func TestFilesThatCannotBeUsed(t *testing.T) {
	f := newFolder(t)
	own, other := tlstest.Issue(nil, "own"), tlstest.Issue(nil, "own")
	fine := f.listener(own)
	with := func(change func(*Config)) Config {
		c := fine
		change(&c)
		return c
	}
	for _, tt := range []struct {
		name, says string
		config     Config
	}{
		{"no certificate", "no such file", with(func(c *Config) { c.CertFile = f.path + "/none" })},
		{"a key as certificate", "must be a certificate and its private key", with(func(c *Config) { c.CertFile = c.KeyFile })},
		{"another's key", "must be a certificate and its private key", with(func(c *Config) { c.KeyFile = f.put("other", other.KeyPEM()) })},
		{"a key that never ends", "is this the right file?", with(func(c *Config) { c.KeyFile = "/dev/zero" })},
		{"no list", "no such file", with(func(c *Config) { c.KnownClients = f.path + "/none" })},
		{"an empty list", "lists no client, and there is no CA", with(func(c *Config) { c.KnownClients = f.put("empty", []byte("# nobody yet\n")) })},
		{"a fingerprint without a name", "line 1: want a common name", with(func(c *Config) { c.KnownClients = f.put("nameless", fmt.Appendf(nil, "%x\n", own.Fingerprint())) })},
		{"a fingerprint of SHA-1", "line 2: want a common name", with(func(c *Config) {
			c.KnownClients = f.put("sha1", []byte("\na 0011223344556677889900112233445566778899\n"))
		})},
		{"a list that is no text", "a line is too long", with(func(c *Config) { c.KnownClients = f.put("binary", bytes.Repeat([]byte("a"), 1<<17)) })},
		{"an empty CA", "holds no certificate", with(func(c *Config) { c.ClientCA = f.put("no-ca", nil) })},
		{"a CA that is none", "part 1: it is no CA", with(func(c *Config) { c.ClientCA = f.put("client", other.CertPEM()) })},
		{"a key among the CA's certificates", "part 2: want certificates, not a PRIVATE KEY", with(func(c *Config) {
			ca := tlstest.Issue(nil, "CA", tlstest.Authority)
			c.ClientCA = f.put("ca-and-key", ca.CertPEM(), ca.KeyPEM())
		})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Open(tt.config); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want %q in it", err, tt.says)
			}
		})
	}
	if _, err := Open(with(func(c *Config) { c.KnownClients = f.put("empty", nil) })); !errors.Is(err, ErrNoClient) {
		t.Errorf("an empty list: %v", err)
	}
}

func TestWarnings(t *testing.T) {
	for _, tt := range []struct {
		name, says string
		own        *tlstest.Identity
		mode       os.FileMode
	}{
		{"nothing is wrong", "", tlstest.Issue(nil, "own"), 0o600},
		{"expired", "has expired on ", tlstest.Issue(nil, "own", tlstest.Valid(-time.Hour, -time.Minute)), 0o600},
		{"not valid yet", "is valid from ", tlstest.Issue(nil, "own", tlstest.Valid(time.Minute, time.Hour)), 0o600},
		{"names no host", "no subjectAltName", tlstest.Issue(nil, "own", func(c *x509.Certificate) { c.IPAddresses = nil }), 0o600},
		{"others can read the key", "chmod 600", tlstest.Issue(nil, "own"), 0o644},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newFolder(t).listener(tt.own)
			if err := os.Chmod(c.KeyFile, tt.mode); err != nil {
				t.Fatal(err)
			}
			files, err := Open(c)
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(files.Warnings(), "\n")
			if tt.says == "" && got != "" || !strings.Contains(got, tt.says) {
				t.Errorf("got %q, want %q in it", got, tt.says)
			}
			if !files.Expires().Equal(tt.own.Cert.NotAfter) {
				t.Errorf("expires %v, want %v", files.Expires(), tt.own.Cert.NotAfter)
			}
		})
	}
}

func TestDial(t *testing.T) {
	f := newFolder(t)
	ca := tlstest.Issue(nil, "CA", tlstest.Authority)
	own := tlstest.Issue(ca, "any use")
	client := tlstest.Issue(nil, "signerctl")
	c := f.listener(own)
	c.KnownClients = f.put("known", fmt.Appendf(nil, "signerctl %x\n", client.Fingerprint()))
	s := serve(t, c)
	trusted, pinned, strange := f.put("ca", ca.CertPEM()), f.put("pinned", own.CertPEM()), f.put("strange", client.CertPEM())
	cert, key := f.put("client", client.CertPEM()), f.put("client-key", client.KeyPEM())
	for _, tt := range []struct {
		name          string
		ca, cert, key string
		ok            bool
	}{
		{"the listener's CA is trusted", trusted, cert, key, true},
		{"the listener's own certificate is trusted", pinned, cert, key, true},
		{"another's certificate is trusted", strange, cert, key, false},
		{"what the machine trusts is trusted", "", cert, key, false},
		{"the client shows no certificate", trusted, "", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			config, err := Dial(tt.ca, tt.cert, tt.key)
			if err != nil {
				t.Fatal(err)
			}
			conn, err := tls.Dial("tcp", s.address, config)
			if err == nil {
				err = ping(conn)
				conn.Close()
			}
			if (err == nil) != tt.ok {
				t.Errorf("got %v, want success: %t", err, tt.ok)
			}
		})
	}
	if _, err := Dial("", cert, f.put("other-key", own.KeyPEM())); err == nil {
		t.Error("a key that does not belong to the certificate is taken")
	}
	if _, err := Dial(key, "", ""); err == nil {
		t.Error("a key is taken for a CA")
	}
}

func FuzzParseKnown(f *testing.F) {
	f.Add([]byte("# comment\nlighthouse 00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n"))
	f.Add([]byte(" \t\nx"))
	f.Fuzz(func(t *testing.T, text []byte) {
		known, err := parseKnown(text)
		if err != nil && known != nil {
			t.Error("an error, and yet clients")
		}
		for _, names := range known {
			for _, name := range names {
				if name == "" {
					t.Error("a client without a common name")
				}
			}
		}
	})
}
