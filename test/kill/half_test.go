package kill_test

import (
	"fmt"
	"io"
	"net/http"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

// A halfRequest is one that the daemon has begun to read. It keeps a daemon that
// drains from ending, so that its last state can be seen.
type halfRequest struct {
	*client
	rest string
}

func half(d *daemon.Daemon, request string) (halfRequest, error) {
	c, err := dial(d)
	if err != nil {
		return halfRequest{}, err
	}
	n := len(request) - 2
	_, err = io.WriteString(c.conn, request[:n])
	return halfRequest{c, request[n:]}, err
}

// finish sends the rest and reads the answer.
func (h halfRequest) finish() (status int, body string, err error) {
	defer h.conn.Close()
	if _, err := io.WriteString(h.conn, h.rest); err != nil {
		return 0, "", err
	}
	response, err := http.ReadResponse(h.in, nil)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

func duty(key interop.Key, a ask) string {
	return fmt.Sprintf("POST /api/v1/eth2/sign/%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", key.Hex(), len(a.body()), a.body())
}
