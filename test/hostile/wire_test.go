package hostile

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long an answer may take before it counts as none. It is far
// beyond what anything here needs.
const patience = 60 * time.Second

// A wire is one connection of an attacker.
type wire struct {
	address  string
	contract contract
	conn     *net.TCPConn
	in       *bufio.Reader
	gaveWay  int // connections of requests that were sent again
}

// dial connects anew.
func (w *wire) dial() error {
	w.hangUp()
	conn, err := net.Dial("tcp", w.address)
	if err != nil {
		return err
	}
	w.conn = conn.(*net.TCPConn)
	w.in = bufio.NewReader(conn)
	if err := w.conn.SetLinger(0); err != nil { // thousands of ports must not linger
		return err
	}
	return w.conn.SetDeadline(time.Now().Add(patience))
}

func (w *wire) hangUp() {
	if w.conn != nil {
		w.conn.Close()
		w.conn = nil
	}
}

// An answer is what came back for one request.
type answer struct {
	label     string // status and reason, or who else answered
	signature string // in hex, if it is one
}

func (a answer) String() string { return a.label }

// try sends an attempt and returns its answers. The error says how the signer
// broke its contract.
//
// A connection that lies idle, or has only begun, may have to give way to a
// flood. Like any client, this one then connects again.
func (w *wire) try(a attempt) ([]answer, error) {
	if a.broken {
		return w.tryBroken(a)
	}
	for tries := 1; ; tries++ {
		answers, err := w.trySound(a)
		if len(answers) > 0 || tries == 3 || err == nil || !gaveWay(err) {
			return answers, err
		}
		w.gaveWay++
	}
}

// gaveWay tells whether a connection ended before it said anything.
func gaveWay(err error) bool {
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func (w *wire) trySound(a attempt) ([]answer, error) {
	if w.conn == nil {
		if err := w.dial(); err != nil {
			return nil, err
		}
	}
	if err := w.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	sent := make(chan error, 1)
	go func() {
		_, err := w.conn.Write(a.raw)
		sent <- err
	}()
	var answers []answer
	var err error
	for i, s := range a.asked {
		var got answer
		var last bool
		if got, last, err = w.read(s.method); err != nil {
			err = fmt.Errorf("answer %d of %d: %w", i+1, len(a.asked), err)
			break
		}
		answers = append(answers, got)
		if last { // the rest of the pipeline is not answered, as the header said
			w.conn.Close()
			<-sent
			w.conn = nil
			return answers, nil
		}
	}
	if err == nil {
		if err = <-sent; err == nil && w.in.Buffered() > 0 {
			err = errors.New("something behind the last answer")
		}
	}
	if err != nil {
		w.hangUp()
	}
	return answers, err
}

// tryBroken sends what is not HTTP and reads until the signer hangs up, which
// it must.
func (w *wire) tryBroken(a attempt) ([]answer, error) {
	if err := w.dial(); err != nil {
		return nil, err
	}
	defer w.hangUp()
	go func(conn *net.TCPConn) {
		conn.Write(a.raw)
		conn.CloseWrite()
	}(w.conn)
	var answers []answer
	for {
		got, _, err := w.read("POST")
		var timeout net.Error
		switch {
		case errors.As(err, &timeout) && timeout.Timeout():
			return answers, errors.New("neither answered nor hung up")
		case errors.Is(err, errContract):
			return answers, err
		case err != nil && len(answers) == 0:
			return []answer{{label: "hung up"}}, nil
		case err != nil && len(answers) > a.most:
			return answers, fmt.Errorf("%d answers, at most %d can be meant: %v", len(answers), a.most, answers)
		case err != nil:
			return answers, nil
		}
		answers = append(answers, got)
	}
}

// errContract is the error for an answer that the API does not promise.
var errContract = errors.New("against the contract")

// read reads one answer. It tells whether it is the connection's last.
func (w *wire) read(method string) (answer, bool, error) {
	for {
		r, err := http.ReadResponse(w.in, &http.Request{Method: method})
		if err != nil {
			return answer{}, false, err
		}
		if r.StatusCode == http.StatusContinue {
			continue
		}
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return answer{}, false, err
		}
		got, err := w.contract.check(r, method, text)
		return got, r.Close, err
	}
}

// A contract is what the documentation promises.
type contract struct{ reasons []string }

// newContract reads the closed list of reasons.
func newContract(t *testing.T) contract {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "errors.md"))
	if err != nil {
		t.Fatal(err)
	}
	var c contract
	for line := range strings.Lines(string(page)) {
		if reason, ok := strings.CutPrefix(line, "| `"); ok {
			reason, _, _ = strings.Cut(reason, "`")
			c.reasons = append(c.reasons, reason)
		}
	}
	return c
}

// promised are the statuses of the API, beside 200 and 304.
var promised = []int{400, 401, 403, 404, 405, 412, 413, 503}

// library are those of what is no HTTP; net/http answers it, and hangs up.
var library = []int{400, 417, 431, 501, 505}

// check holds an answer against the contract.
func (c contract) check(r *http.Response, method string, text []byte) (answer, error) {
	wrong := func(what string) (answer, error) {
		return answer{}, fmt.Errorf("%w: %s: %s %.300q", errContract, what, r.Status, text)
	}
	isJSON := r.Header.Get("Content-Type") == "application/json"
	switch {
	case r.StatusCode == http.StatusNotModified && len(text) == 0:
		return answer{label: "304"}, nil
	case r.StatusCode == http.StatusOK:
		return answer{label: "200", signature: signatureIn(text)}, nil
	case slices.Contains(library, r.StatusCode) && r.Close && !isJSON:
		return answer{label: fmt.Sprintf("%d of the library", r.StatusCode)}, nil
	case !slices.Contains(promised, r.StatusCode):
		return wrong("no status of the API")
	case !isJSON:
		return wrong("an error that is no JSON")
	case method == http.MethodHead && len(text) == 0:
		return answer{label: fmt.Sprintf("%d", r.StatusCode)}, nil
	}
	var body struct {
		Code                   int
		Message, Error, Reason string
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&body); err != nil {
		return wrong(err.Error())
	}
	switch {
	case body.Code != r.StatusCode, body.Message == "", body.Message != body.Error:
		return wrong("an error that clients cannot read")
	case !slices.Contains(c.reasons, body.Reason):
		return wrong("no reason of the list")
	case (r.Header.Get("Retry-After") != "") != (r.StatusCode == http.StatusServiceUnavailable):
		return wrong("Retry-After")
	case (r.Header.Get("Allow") != "") != (r.StatusCode == http.StatusMethodNotAllowed):
		return wrong("Allow")
	case strings.ContainsFunc(body.Message, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return wrong("a message with control characters")
	}
	return answer{label: fmt.Sprintf("%d %s", r.StatusCode, body.Reason)}, nil
}

// signatureIn returns the signature of an answer in either of its forms.
func signatureIn(text []byte) string {
	var body struct{ Signature string }
	if json.Unmarshal(text, &body) == nil {
		text = []byte(body.Signature)
	}
	sig, err := hex.DecodeString(strings.TrimPrefix(string(text), "0x"))
	if err != nil || len(sig) != 96 {
		return ""
	}
	return string(sig)
}
