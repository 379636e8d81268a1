package hostile

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/internal/tlsfiles/tlstest"
)

// TestBrokenTLS attacks a listener that asks clients for certificates, while
// those that have one sign beside the attack.
func TestBrokenTLS(t *testing.T) {
	t.Parallel()
	attempts := 1_000
	if long() {
		attempts = 20_000
	}
	server, known := tlstest.Issue(nil, "signer"), tlstest.Issue(nil, "honest")
	dir := t.TempDir()
	for name, text := range map[string][]byte{"cert.pem": server.CertPEM(), "key.pem": server.KeyPEM(), "known": []byte(known.KnownLine())} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w := newWorld(t, "--tls-cert-file", filepath.Join(dir, "cert.pem"), "--tls-key-file", filepath.Join(dir, "key.pem"),
		"--tls-known-clients-file", filepath.Join(dir, "known"))
	w.base = "https://" + w.address
	w.tls = &tls.Config{RootCAs: x509.NewCertPool(), Certificates: []tls.Certificate{known.Shown()}}
	w.tls.RootCAs.AddCert(server.Cert)
	before := w.reading(t)

	attack, over := context.WithCancel(t.Context())
	var good served
	honestDone := w.serve(attack, &good)
	halves := w.halfHandshakes(attack, w.clientHello(t))
	floods := w.floods(attack)
	slowCut := time.After(15 * time.Second) // a handshake has ten

	became := w.breakTLS(t, attempts)
	<-slowCut
	over()
	flooded := floods()
	cut := halves()
	honestDone()
	w.unharmed(t, before, &good)

	if cut != slowConnections {
		t.Errorf("%d of %d half handshakes were cut off", cut, slowConnections)
	}
	for what, n := range became {
		if strings.HasSuffix(what, "let in") {
			t.Errorf("%s: %d times", what, n)
		}
	}
	want := map[string]int{}
	for _, way := range brokenHandshakes() {
		want[way.name+": hung up"] = attempts / len(brokenHandshakes()) / 2
	}
	aimed(t, "handshakes", became, want)
	t.Logf("%d attempts: %s; %d half handshakes cut off, %d connections in floods", attempts, list(became), cut, flooded)
}

// A handshake is one way of not speaking TLS. What it returns came back, after
// the handshake if there was one.
type handshake struct {
	name string
	try  func(r *rand.Rand, conn net.Conn, hello []byte, config *tls.Config) ([]byte, error)
}

// brokenHandshakes are all ways, in turn. The config is that of a client that
// would be let in.
func brokenHandshakes() []handshake {
	raw := func(make func(r *rand.Rand, hello []byte) []byte) func(*rand.Rand, net.Conn, []byte, *tls.Config) ([]byte, error) {
		return func(r *rand.Rand, conn net.Conn, hello []byte, _ *tls.Config) ([]byte, error) {
			return exchange(conn, make(r, bytes.Clone(hello)))
		}
	}
	shaking := func(change func(*tls.Config)) func(*rand.Rand, net.Conn, []byte, *tls.Config) ([]byte, error) {
		return func(_ *rand.Rand, conn net.Conn, _ []byte, config *tls.Config) ([]byte, error) {
			change(config)
			c := tls.Client(conn, config)
			return exchange(c, []byte(request))
		}
	}
	return []handshake{
		{"noise", raw(func(r *rand.Rand, _ []byte) []byte { return noise(r, 1+r.IntN(5000)) })},
		{"noise in a record", raw(func(r *rand.Rand, _ []byte) []byte {
			n := r.IntN(1 << 14)
			return append([]byte{0x16, 3, 1, byte(n >> 8), byte(n)}, noise(r, n)...)
		})},
		{"plain HTTP", raw(func(*rand.Rand, []byte) []byte { return []byte(request) })},
		{"hello with bits flipped", raw(func(r *rand.Rand, hello []byte) []byte {
			return []byte(flipBits(r, string(hello[:43])) + string(hello[43:]))
		})},
		{"hello with wrong lengths", raw(func(r *rand.Rand, hello []byte) []byte {
			binary.BigEndian.PutUint16(hello[pick(r, []int{3, 7, 44}):], uint16(r.IntN(1<<16)))
			return hello
		})},
		{"hello cut short", raw(func(r *rand.Rand, hello []byte) []byte { return hello[:r.IntN(len(hello))] })},
		{"hello twice", raw(func(_ *rand.Rand, hello []byte) []byte { return append(hello, hello...) })},
		{"hello byte by byte, then noise", raw(func(r *rand.Rand, hello []byte) []byte {
			var b []byte
			for _, c := range hello[5:] {
				b = append(b, 0x16, 3, 1, 0, 1, c)
			}
			return append(b, noise(r, 100)...)
		})},
		{"alerts", raw(func(*rand.Rand, []byte) []byte { return bytes.Repeat([]byte{0x15, 3, 3, 0, 2, 1, 90}, 100) })},
		{"another handshake inside one", func(_ *rand.Rand, conn net.Conn, hello []byte, config *tls.Config) ([]byte, error) {
			config.MaxVersion = tls.VersionTLS12 // later versions have no renegotiation
			c := tls.Client(conn, config)
			if err := c.Handshake(); err != nil {
				return nil, err
			}
			return exchange(conn, hello)
		}},
		{"noise inside a connection", func(r *rand.Rand, conn net.Conn, _ []byte, config *tls.Config) ([]byte, error) {
			c := tls.Client(conn, config)
			if err := c.Handshake(); err != nil {
				return nil, err
			}
			return exchange(conn, append([]byte{0x17, 3, 3, 1, 0}, noise(r, 256)...))
		}},
		{"TLS 1.1", shaking(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 })},
		{"no certificate", shaking(func(c *tls.Config) { c.Certificates = nil })},
		{"a stranger's certificate", shaking(func(c *tls.Config) { c.Certificates = []tls.Certificate{tlstest.Issue(nil, "honest").Shown()} })},
		{"HTTP/2", shaking(func(c *tls.Config) { c.NextProtos = []string{"h2"} })},
	}
}

// request is one that is answered with 200 if it is let in.
const request = "GET /upcheck HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// exchange sends, says that this is all, and reads until the other side hangs up.
func exchange(conn net.Conn, what []byte) ([]byte, error) {
	if _, err := conn.Write(what); err != nil {
		return nil, err
	}
	if half, ok := conn.(*net.TCPConn); ok {
		if err := half.CloseWrite(); err != nil {
			return nil, err
		}
	}
	return io.ReadAll(conn)
}

// breakTLS makes so many attempts, every way in turn, and returns what became of
// them.
func (w *world) breakTLS(t *testing.T, attempts int) map[string]int {
	hello := w.clientHello(t)
	became := map[string]int{}
	for i := range attempts {
		way := brokenHandshakes()[i%len(brokenHandshakes())]
		conn, err := net.Dial("tcp", w.address)
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		config := w.tls.Clone()
		config.ServerName = "127.0.0.1"
		got, err := way.try(rand.New(rand.NewPCG(2, uint64(i))), conn, hello, config)
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
		what := "hung up"
		var timeout net.Error
		switch {
		case bytes.Contains(got, []byte("200 OK")):
			what = "let in"
		case errors.As(err, &timeout) && timeout.Timeout():
			t.Errorf("attempt %d, %s: neither answered nor hung up", i, way.name)
		}
		became[way.name+": "+what]++
	}
	return became
}

// clientHello is the first thing that an honest client sends.
func (w *world) clientHello(t *testing.T) []byte {
	t.Helper()
	here, there := net.Pipe()
	defer here.Close()
	go func() {
		config := w.tls.Clone()
		config.ServerName = "127.0.0.1"
		tls.Client(there, config).Handshake()
		there.Close()
	}()
	head := make([]byte, 5)
	if _, err := io.ReadFull(here, head); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, binary.BigEndian.Uint16(head[3:]))
	if _, err := io.ReadFull(here, body); err != nil {
		t.Fatal(err)
	}
	return append(head, body...)
}

// halfHandshakes begin and do not go on, until ctx is done. wait returns how
// many were cut off.
func (w *world) halfHandshakes(ctx context.Context, hello []byte) (wait func() int) {
	var mu sync.Mutex
	var all sync.WaitGroup
	cut := 0
	for i := range slowConnections {
		all.Go(func() {
			conn, err := net.Dial("tcp", w.address)
			if err != nil {
				return
			}
			defer conn.Close()
			stop := context.AfterFunc(ctx, func() { conn.Close() })
			defer stop()
			sent := hello[:len(hello)*i/slowConnections] // from nothing at all
			if _, err := conn.Write(sent); err != nil {
				return
			}
			if _, err := io.Copy(io.Discard, conn); err == nil || ctx.Err() == nil {
				mu.Lock()
				defer mu.Unlock()
				cut++
			}
		})
	}
	return func() int {
		all.Wait()
		return cut
	}
}
