package web3signer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
)

// A Client asks any signer that speaks the Web3Signer API. Its time-outs are
// those of the context and of HTTP.
type Client struct {
	URL  string       // such as http://127.0.0.1:9000
	HTTP *http.Client // http.DefaultClient if nil
}

// A StatusError is an answer other than success.
type StatusError struct {
	Status  int
	Reason  string // why, if the signer gives one: see package signer
	Message string
}

func (e *StatusError) Error() string {
	text := fmt.Sprintf("signer answered %d %s", e.Status, http.StatusText(e.Status))
	if e.Reason != "" {
		text += ", " + e.Reason
	}
	if e.Message != "" {
		text += ": " + e.Message
	}
	return text
}

// Limits on what a signer may answer.
const (
	maxAnswer     = 64 << 10
	maxKeysAnswer = 64 << 20 // half a million keys
)

// Sign returns the signature of key under m. The error is a *StatusError if
// the signer refused.
func (c *Client) Sign(ctx context.Context, key bls.PublicKey, m eth2.Message) (bls.Signature, error) {
	body, err := Encode(m)
	if err != nil {
		return bls.Signature{}, err
	}
	answer, err := c.do(ctx, http.MethodPost, "/api/v1/eth2/sign/"+key.String(), body, maxAnswer)
	if err != nil {
		return bls.Signature{}, err
	}
	var signed struct {
		Signature *bls.Signature `json:"signature"`
	}
	if err := json.Unmarshal(answer, &signed); err != nil {
		return bls.Signature{}, fmt.Errorf("read signature: %w", err)
	}
	if signed.Signature == nil {
		return bls.Signature{}, errors.New("read signature: the answer has none")
	}
	return *signed.Signature, nil
}

// PublicKeys returns the keys that the signer holds.
func (c *Client) PublicKeys(ctx context.Context) ([]bls.PublicKey, error) {
	answer, err := c.do(ctx, http.MethodGet, "/api/v1/eth2/publicKeys", nil, maxKeysAnswer)
	if err != nil {
		return nil, err
	}
	var keys []bls.PublicKey
	if err := json.Unmarshal(answer, &keys); err != nil {
		return nil, fmt.Errorf("read public keys: %w", err)
	}
	return keys, nil
}

// Upcheck returns nil if the signer is alive.
func (c *Client) Upcheck(ctx context.Context) error {
	_, err := c.do(ctx, http.MethodGet, "/upcheck", nil, maxAnswer)
	return err
}

// do returns the body of a successful answer. It asks for JSON and for text,
// since /upcheck of other signers has nothing but text.
func (c *Client) do(ctx context.Context, method, path string, body []byte, limit int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.URL, "/")+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json, text/plain;q=0.5")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read answer: %w", err)
	case int64(len(answer)) > limit:
		return nil, fmt.Errorf("read answer: more than %d bytes", limit)
	case resp.StatusCode/100 != 2:
		return nil, statusError(resp.StatusCode, answer)
	}
	return answer, nil
}

// statusError reads an error of ours, of Web3Signer since 26.9 or, in plain
// text, of those before.
func statusError(status int, answer []byte) *StatusError {
	var body struct {
		Message string `json:"message"`
		Error   string `json:"error"`
		Reason  string `json:"reason"`
	}
	if err := json.Unmarshal(answer, &body); err != nil {
		return &StatusError{Status: status, Message: fmt.Sprintf("%.256s", bytes.TrimSpace(answer))}
	}
	if body.Message == "" {
		body.Message = body.Error
	}
	return &StatusError{Status: status, Reason: body.Reason, Message: body.Message}
}
