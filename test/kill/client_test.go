package kill_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
)

// A client speaks HTTP over one connection. Unlike a pooled one it knows whether
// a request was sent, and keeps what it heard of an answer that was cut off.
type client struct {
	conn  net.Conn
	in    *bufio.Reader
	heard bytes.Buffer // since the last request
}

// dial connects to a daemon.
func dial(d *daemon.Daemon) (*client, error) {
	conn, err := net.Dial("tcp", strings.TrimPrefix(d.URL, "http://"))
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn}
	c.in = bufio.NewReader(io.TeeReader(conn, &c.heard))
	return c, nil
}

// patience is how long a daemon may take for one answer on a crowded machine.
const patience = 60 * time.Second

// do sends a request and reads the answer. If the error is not nil, sent tells
// whether the daemon may have read the request.
func (c *client) do(method, path string, body []byte) (answer daemon.Answer, sent bool, err error) {
	c.heard.Reset()
	request, err := http.NewRequest(method, "http://"+c.conn.RemoteAddr().String()+path, bytes.NewReader(body))
	if err != nil {
		return daemon.Answer{}, false, err
	}
	request.Header.Set("Accept", "application/json")
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return daemon.Answer{}, false, err
	}
	if err := request.Write(c.conn); err != nil {
		return daemon.Answer{}, false, err
	}
	response, err := http.ReadResponse(c.in, request)
	if err != nil {
		return daemon.Answer{}, true, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return daemon.Answer{Status: response.StatusCode, Body: string(text)}, true, err
}

var signature = regexp.MustCompile(`0x[0-9a-f]{192}`)

// leaked returns the signature in what was heard since the last request, however
// little of an answer that is. Of a broken connection it hears the rest first.
func (c *client) leaked(broken bool) (sig [96]byte, ok bool) {
	if broken {
		_, _ = io.Copy(io.Discard, c.in)
	}
	text := signature.Find(c.heard.Bytes())
	if text == nil {
		return sig, false
	}
	_, err := hex.Decode(sig[:], text[2:])
	return sig, err == nil
}
