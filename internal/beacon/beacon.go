// Package beacon asks a beacon node which chain it follows.
//
// What it returns has been said by the node twice: the answers about genesis, the
// constants and the schedule of forks agree with each other. Time and size of
// every answer are bounded, and hostile answers are errors.
//
// It does not know whether the node tells the truth: compare what is pinned with
// another source. It follows no redirect and uses no proxy, because neither is
// the node that was named.
//
// Source: ethereum/beacon-APIs apis/config/{spec,fork_schedule}.yaml,
// apis/beacon/genesis.yaml.
package beacon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"
)

// What a node may send, and how long it may take for all of it. The greatest
// answer is that of config/spec, of some 15 kB.
const (
	maxAnswer  = 1 << 20
	answerTime = 30 * time.Second
)

// A node is the HTTP API of one beacon node.
type node struct {
	base *url.URL
	http *http.Client
}

func newNode(address string) (*node, error) {
	base, err := url.Parse(address)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" || base.RawQuery != "" || base.Fragment != "" {
		return nil, fmt.Errorf("%w: want one such as http://127.0.0.1:5052", ErrAddress)
	}
	return &node{base: base, http: &http.Client{
		Transport:     &http.Transport{Proxy: nil, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// ErrAddress says that what was given is no address of a beacon node.
var ErrAddress = errors.New("not an http or https address")

func (n *node) String() string { return n.base.Redacted() }

// get reads the member data of the answer at path into data.
func (n *node) get(ctx context.Context, path string, data any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.base.JoinPath(path).String(), nil)
	if err != nil {
		return fmt.Errorf("%w: %s", ErrAddress, n)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := n.http.Do(req)
	if err != nil {
		return n.unreachable(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return n.refused(path, resp)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return n.unreachable(err)
	}
	if len(text) > maxAnswer {
		return fmt.Errorf("%s answers %s with more than %d bytes: this is no beacon node", n, path, maxAnswer)
	}
	answer := struct {
		Data any `json:"data"`
	}{data}
	if err := json.Unmarshal(text, &answer); err != nil {
		return fmt.Errorf("%s does not answer %s like a beacon node: is this the address of its HTTP API? %w", n, path, err)
	}
	return nil
}

// unreachable says what to do about a node that cannot be asked.
func (n *node) unreachable(err error) error {
	const ports = "Teku listens on 5051, Lighthouse and Nimbus on 5052, Prysm on 3500, Lodestar on 9596"
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no beacon node answers at %s: start it with its HTTP API (%s), or give its address", n, ports)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the beacon node at %s did not answer within %v: try again when it has started, or ask another", n, answerTime)
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted: nothing was done")
	}
	var cause *url.Error // its text holds the address with its password
	if errors.As(err, &cause) {
		err = cause.Err
	}
	return fmt.Errorf("ask the beacon node at %s: %w: is the address right?", n, err)
}

// refused says what to do about an answer that is none.
func (n *node) refused(path string, resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return fmt.Errorf("%s sends to another address, %.200q: if that is yours, give it instead", n, resp.Header.Get("Location"))
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%s answers %d: ask a beacon node of your own, or put the name and password in the address", n, resp.StatusCode)
	case http.StatusNotFound:
		if strings.HasSuffix(path, genesisPath) {
			return fmt.Errorf("%s knows no genesis: wait until the chain has one, or check that this is a beacon node's address", n)
		}
		return fmt.Errorf("%s does not know %s: is this the address of a beacon node's HTTP API, and not of an execution or validator client?", n, path)
	}
	return fmt.Errorf("%s answers %s with %d %s: try again when it has started, or ask another", n, path, resp.StatusCode, http.StatusText(resp.StatusCode))
}
