package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/internal/httpjson"
)

// A client talks to one signer with one token, or with none where that is empty.
type client struct {
	base      string
	token     string
	tokenFile string // for advice
	http      *http.Client
}

// What a signer may send, and how long it may take unless said otherwise.
const (
	maxAnswer  = 256 << 20
	answerTime = time.Minute
)

// client reads the token and checks the address. It warns if what is sent could
// be read on the way.
func (c *tool) client() (*client, error) {
	base, err := c.address()
	if err != nil {
		return nil, err
	}
	secured, err := c.tls.open(base.Scheme == "https")
	if err != nil {
		return nil, err
	}
	token, file, err := c.token()
	if err != nil {
		return nil, err
	}
	if base.Scheme == "http" && !isLoopback(base.Hostname()) {
		fmt.Fprintf(c.stderr, "warning: token, keystores and passwords go to %s unencrypted: use https, or a tunnel to the signer's machine\n", base.Host)
	}
	signer := clientAt(base, &http.Transport{DisableKeepAlives: true, TLSClientConfig: secured})
	signer.token, signer.tokenFile = token, file
	return signer, nil
}

// address checks the signer's.
func (c *tool) address() (*url.URL, error) {
	base, err := url.Parse(c.url)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, fmt.Errorf("%w: --url %q: want an address such as http://127.0.0.1:9000", cli.ErrUsage, c.url)
	}
	return base, nil
}

// clientAt returns a client without a token.
func clientAt(base *url.URL, transport *http.Transport) *client {
	transport.Proxy = nil // neither a proxy nor whoever a redirect names is the signer
	return &client{
		base: strings.TrimSuffix(base.String(), "/"),
		http: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// token reads the signer's token, and says from which file.
func (c *tool) token() (token, file string, err error) {
	file = c.tokenFile
	if file == "" && c.dataDir != "" {
		file = filepath.Join(c.dataDir, "api-token.txt")
	}
	if file == "" {
		return "", "", fmt.Errorf("%w: the signer wants its token: give --data-dir, its data folder, or --token-file, a copy of the api-token.txt in it", cli.ErrUsage)
	}
	text, err := os.ReadFile(file)
	switch {
	case errors.Is(err, os.ErrPermission):
		return "", "", fmt.Errorf("read token: %w: run as the signer's user, or give a copy with --token-file", err)
	case err != nil:
		return "", "", fmt.Errorf("read token: %w: secure-signer init has made it in the data folder; give the right one with --data-dir or --token-file", err)
	}
	return strings.TrimSpace(string(text)), file, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// An answerError is what a signer answers instead of what was asked for.
type answerError struct {
	status  int
	message string
	body    []byte
}

func (e *answerError) Error() string { return e.message }

// call sends in, if it is not nil, and reads the answer into out.
func (c *client) call(ctx context.Context, patience time.Duration, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	answer, err := c.ask(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer answer.Close()
	text, err := io.ReadAll(io.LimitReader(answer, maxAnswer))
	if err != nil {
		return c.unreachable(err)
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("%s does not answer like a Secure Signer: is --url right? %w", c.base, err)
	}
	return nil
}

// ask sends a body, if it is not nil, and returns the answer of a 200. Any other
// answer is an error.
func (c *client) ask(ctx context.Context, method, path string, body io.Reader) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, c.unreachable(err)
	}
	return nil, c.refused(resp.StatusCode, text)
}

// unreachable says what to do about a signer that cannot be asked.
func (c *client) unreachable(err error) error {
	switch {
	case errors.Is(err, errEnded):
		return errEnded
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no signer answers at %s: start it with \"secure-signer serve --data-dir D\", or give its address with --url", c.base)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the signer at %s did not answer in time: look at its log; what was asked for may have been done", c.base)
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted: what was asked for last may have been done")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("the signer at %s broke off its answer: look at its log, then try again", c.base)
	}
	if advice := c.adviseTLS(err); advice != nil {
		return advice
	}
	return fmt.Errorf("ask the signer: %w: is --url right?", err)
}

// refused says what to do about an answer that is an error.
func (c *client) refused(status int, text []byte) error {
	var body struct {
		Message string `json:"message"`
		Reason  string `json:"reason"`
	}
	if err := json.Unmarshal(text, &body); err != nil || body.Message == "" {
		body.Message = http.StatusText(status)
		if status == http.StatusBadRequest && strings.HasPrefix(c.base, "http:") {
			body.Message += ": does it speak TLS? Then use https:// in --url"
		}
	}
	body.Message = strings.ReplaceAll(body.Message, "\n", " ") // a line of its own would pass for one of ours
	e := &answerError{status: status, body: text}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		if body.Reason != "" && body.Reason != httpjson.ReasonForbidden && body.Reason != httpjson.ReasonUnauthorized {
			e.message = "the signer refuses: " + body.Message // not because of the token
			break
		}
		e.message = fmt.Sprintf("the signer does not accept the token of %s: it wants the one in the api-token.txt of its own data folder (--data-dir or --token-file)", c.tokenFile)
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		if body.Reason == "no_record" || body.Reason == "key_not_found" {
			e.message = body.Message
			break
		}
		e.message = fmt.Sprintf("%s is not a Secure Signer of this release: %s: check --url, and update the older of the two", c.base, body.Message)
	case http.StatusServiceUnavailable:
		e.message = fmt.Sprintf("the signer cannot do it now: %s (signerctl status tells more)", body.Message)
	default:
		e.message = fmt.Sprintf("the signer answers %d: %s", status, body.Message)
	}
	return e
}
