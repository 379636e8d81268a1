package hostile

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// slowConnections is how many an attacker of each slow sort holds.
const slowConnections = 32

// stall runs clients that send or read slowly, or not at all, until ctx is done.
// wait returns how many the signer has cut off meanwhile, by sort.
func (w *world) stall(ctx context.Context) (wait func() map[string]int) {
	line := "POST /api/v1/eth2/sign/" + w.keys[0].Hex() + " HTTP/1.1\r\nHost: localhost\r\n"
	var mu sync.Mutex
	cut := map[string]int{}
	var all sync.WaitGroup
	hold := func(sort string, n int, attack func(net.Conn) error) {
		for range n {
			all.Go(func() {
				conn, err := net.Dial("tcp", w.address)
				if err != nil {
					return
				}
				defer conn.Close()
				stop := context.AfterFunc(ctx, func() { conn.Close() })
				defer stop()
				if attack(conn) != nil && ctx.Err() == nil {
					mu.Lock()
					defer mu.Unlock()
					cut[sort]++
				}
			})
		}
	}
	until := func(conn net.Conn) error { // the other side says something, or hangs up
		_, err := io.Copy(io.Discard, conn)
		if err == nil {
			err = io.EOF
		}
		return err
	}
	hold("slow headers", slowConnections, func(conn net.Conn) error {
		return drip(ctx, conn, line+"X: "+strings.Repeat("x", 1<<20))
	})
	hold("slow bodies", slowConnections, func(conn net.Conn) error {
		return drip(ctx, conn, line+"Content-Length: 1000000\r\n\r\n"+strings.Repeat(" ", 1<<20), line+"Content-Length: 1000000\r\n\r\n")
	})
	hold("slow chunks", slowConnections, func(conn net.Conn) error {
		head := line + "Transfer-Encoding: chunked\r\n\r\n"
		return drip(ctx, conn, head+strings.Repeat("1\r\n{\r\n", 1<<16), head)
	})
	hold("slow large bodies", 2, func(conn net.Conn) error {
		head := line + "Content-Length: 8000000\r\n\r\n" + strings.Repeat(" ", 7<<20)
		return drip(ctx, conn, head+strings.Repeat(" ", 1<<20), head)
	})
	hold("readers of nothing", slowConnections, func(conn net.Conn) error {
		request := strings.Repeat("GET /api/v1/eth2/publicKeys HTTP/1.1\r\nHost: localhost\r\n\r\n", 100)
		for { // until its answers fill every buffer on the way
			if _, err := io.WriteString(conn, request); err != nil {
				return err
			}
		}
	})
	hold("silent ones", slowConnections, until)
	hold("half-closed ones", slowConnections, func(conn net.Conn) error {
		if _, err := io.WriteString(conn, line); err != nil {
			return err
		}
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			return err
		}
		return until(conn)
	})
	return func() map[string]int {
		all.Wait()
		return cut
	}
}

// drip writes text byte by byte, but at once what it begins with if that is one
// of those given.
func drip(ctx context.Context, conn net.Conn, text string, atOnce ...string) error {
	for _, begin := range atOnce {
		if rest, ok := strings.CutPrefix(text, begin); ok {
			if _, err := io.WriteString(conn, begin); err != nil {
				return err
			}
			text = rest
		}
	}
	for i := range len(text) {
		if _, err := io.WriteString(conn, text[i:i+1]); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(100 * time.Millisecond):
		}
	}
	return nil
}

// floods are two floods: one comes and goes, one stays for longer than an honest
// client can wait. wait returns how many connections they opened.
func (w *world) floods(ctx context.Context) (wait func() int) {
	var opened [2]int
	var both sync.WaitGroup
	both.Go(func() { opened[0] = w.flood(ctx, room/2, time.Second) })
	both.Go(func() { opened[1] = w.flood(ctx, 2*room, slot+time.Second) })
	return func() int {
		both.Wait()
		return opened[0] + opened[1]
	}
}

// flood opens n connections, sends nothing and hangs up after a while, over and
// over. It returns how many it opened.
func (w *world) flood(ctx context.Context, n int, hold time.Duration) (opened int) {
	for ctx.Err() == nil {
		conns := make([]net.Conn, 0, n)
		for range cap(conns) {
			conn, err := net.DialTimeout("tcp", w.address, time.Second)
			if err != nil || ctx.Err() != nil {
				break
			}
			conns = append(conns, conn)
		}
		opened += len(conns)
		select {
		case <-ctx.Done():
		case <-time.After(hold):
		}
		for _, conn := range conns {
			conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
		}
		time.Sleep(time.Second)
	}
	return opened
}

// bombs are bodies that take far more than what they cost to send.
func bombs(size int) map[string]string {
	repeat := func(before, piece, after string) string {
		return before + strings.Repeat(piece, size/len(piece)) + after
	}
	var names strings.Builder
	for i := 0; names.Len() < size; i++ {
		fmt.Fprintf(&names, `,"%x":0`, i)
	}
	return map[string]string{
		"numbers of one digit": repeat(`{"block":{"body":{"attester_slashings":[{"attestation_1":{"attesting_indices":[0`, ",0", "]}}]}}}"),
		"empty strings":        repeat(`{"execution_payload_envelope":{"data":{"payload":{"transactions":["0x"`, `,"0x"`, "]}}}}"),
		"names":                `{"note":{"":0` + names.String() + "}}",
		"empty objects":        repeat(`{"note":[0`, ",{}", "]}"),
		"one string":           repeat(`{"note":"`, "x", `"}`),
		"white space":          repeat("", " ", "{}"),
		"a zip":                zipped(strings.Repeat("\x00", size)),
	}
}

// explode sends every bomb: all of them in parallel at ten megabytes, and each
// kind at almost the greatest size, twice. It returns what came back.
func (w *world) explode(t *testing.T, rounds int) map[string]int {
	labels := map[string]int{}
	for range rounds {
		w.send(t, bombs(10<<20), 3, labels)
		for name, body := range bombs(31 << 20) {
			w.send(t, map[string]string{name: body}, 2, labels)
		}
	}
	return labels
}

// send posts all bodies at once, each several times.
func (w *world) send(t *testing.T, bodies map[string]string, each int, labels map[string]int) {
	var all sync.WaitGroup
	var mu sync.Mutex
	for name, body := range bodies {
		s := seed{method: "POST", path: "/api/v1/eth2/sign/" + w.keys[0].Hex(), body: body}
		if name == "a zip" {
			s.headers = []string{"Content-Encoding: gzip"}
		}
		for range each {
			all.Go(func() {
				c := wire{address: w.address, contract: w.contract}
				defer c.hangUp()
				got, err := c.try(well(s))
				if err != nil {
					t.Errorf("a bomb of %s: %v", name, err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				labels[got[0].label]++
			})
		}
	}
	all.Wait()
}

// endless sends a body that has no end and returns the answer.
func (w *world) endless(t *testing.T) string {
	c := wire{address: w.address, contract: w.contract}
	if err := c.dial(); err != nil {
		t.Error(err)
		return ""
	}
	defer c.hangUp()
	sent := make(chan struct{})
	go func(conn net.Conn) {
		defer close(sent)
		io.WriteString(conn, "POST /api/v1/eth2/sign/0x00 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
		for chunk := "10000\r\n" + strings.Repeat("x", 1<<16) + "\r\n"; ; {
			if _, err := io.WriteString(conn, chunk); err != nil {
				return
			}
		}
	}(c.conn)
	got, _, err := c.read("POST")
	if err != nil {
		t.Errorf("a body without an end: %v", err)
	}
	c.hangUp()
	<-sent
	return got.label
}
