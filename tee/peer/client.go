package peer

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/internal/httpjson"
)

// A Client asks a keeper. It implements tee.KeyRelease.
type Client struct {
	keeper Address
	http   *http.Client
}

// NewClient returns a client of the keeper. How it connects is the caller's: what
// the keeper says is believed by its key.
func NewClient(keeper Address, transport http.RoundTripper) *Client {
	return &Client{keeper, &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Nonce implements tee.KeyRelease.
func (c *Client) Nonce(ctx context.Context) (attest.Nonce, error) {
	var answer nonceAnswer
	err := post(ctx, c, pathNonce, nil, &answer)
	return answer.Nonce, err
}

// Release implements tee.KeyRelease.
func (c *Client) Release(ctx context.Context, nonce attest.Nonce, ev attest.Evidence, label string) ([]byte, error) {
	text, err := json.Marshal(ev)
	if err != nil {
		return nil, err
	}
	asked := releaseRequest{Nonce: nonce, Evidence: text, Label: label}
	body, err := json.Marshal(asked)
	if err != nil {
		return nil, err
	}
	var answer releaseAnswer
	if err := post(ctx, c, pathRelease, body, &answer); err != nil {
		return nil, err
	}
	if !ed25519.Verify(c.keeper.Key, signed(asked, answer.Sealed), answer.Signature) {
		return nil, fmt.Errorf("%s: the answer is not signed by key %x: another keeper answers there, or this one has another secret than when the folder was made", c.keeper.URL, []byte(c.keeper.Key))
	}
	return answer.Sealed, nil
}

// maxAnswer is more than any answer takes.
const maxAnswer = 64 << 10

func post[T any](ctx context.Context, c *Client, path string, body []byte, answer *T) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.keeper.URL+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("%w: see that the key keeper runs and can be reached from here", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return refusal(c.keeper.URL, response)
	}
	if err := httpjson.Decode(response.Body, maxAnswer, answer); err != nil {
		return fmt.Errorf("%s answers as no key keeper does: %w", c.keeper.URL+path, err)
	}
	return nil
}

// refusal is what the keeper says, if it is one.
func refusal(at string, response *http.Response) error {
	var said struct {
		Message string `json:"message"`
	}
	if err := httpjson.Decode(response.Body, maxAnswer, &said); err != nil {
		return fmt.Errorf("%s answers with %s, as no key keeper does: see that the address is right", at, response.Status)
	}
	return fmt.Errorf("it refuses: %s", strings.ReplaceAll(said.Message, "\n", " ")) // a line of its own would pass for one of ours
}
