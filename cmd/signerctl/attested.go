package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/attestapi"
	"github.com/secure-signer/secure-signer/internal/cli"
)

// attestedFlags say what a signer must prove before it is given anything.
type attestedFlags struct {
	policy     string
	collateral string
}

func (f *attestedFlags) define(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.policy, "attest", "", "`file` with the policy that the signer's hardware, program and settings must meet, before anything is sent to it")
	f.defineCollateral(cmd)
}

func (f *attestedFlags) defineCollateral(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.collateral, "collateral-dir", "", "`folder` with collateral of your own for the evidence, each file under its name; it goes before the signer's")
}

// A channel is one TLS connection to a signer. Evidence is bound to it, so there is
// never another one: when it has ended the work has, and begins again with evidence.
type channel struct {
	*client
	collateral map[string][]byte
	state      *tls.ConnectionState // of the connection, once there is one

	asked       asked // last
	importNonce attest.Nonce
}

// An asked is evidence, with what it was asked with over which connection: all that
// somebody needs who judges it later.
type asked struct {
	Evidence attest.Evidence `json:"evidence"`
	Nonce    attest.Nonce    `json:"nonce"`
	Exporter attest.Hex      `json:"exporter"`
}

// channel opens no connection yet. What is sent over it before the evidence is
// accepted must be known to everybody: it has no token.
func (c *tool) channel(f attestedFlags) (*channel, error) {
	base, err := c.address()
	if err != nil {
		return nil, err
	}
	if base.Scheme != "https" {
		return nil, fmt.Errorf("%w: evidence is bound to a TLS connection: give the signer's https:// address with --url (it speaks TLS with --tls-cert-file and --tls-key-file; no CA need have issued the certificate)", cli.ErrUsage)
	}
	secured, err := c.tls.open(true)
	if err != nil {
		return nil, err
	}
	secured.MinVersion = tls.VersionTLS13
	if c.tls.ca == "" {
		// Who is at the other end is proved by evidence that is bound to this connection
		// and names the certificate: no CA could say it better. With --tls-ca-file both
		// have to be right.
		secured.InsecureSkipVerify = true
	}
	ch := &channel{}
	if ch.collateral, err = readCollateral(f.collateral); err != nil {
		return nil, err
	}
	ch.client = clientAt(base, &http.Transport{
		TLSClientConfig: secured, DialContext: dialOnce(), MaxConnsPerHost: 1, IdleConnTimeout: time.Hour,
	})
	return ch, nil
}

var errEnded = errors.New("the connection that the evidence was bound to has ended: repeat the command, it goes on with what is missing")

// dialOnce dials one connection, and none after it.
func dialOnce() func(ctx context.Context, network, address string) (net.Conn, error) {
	first := make(chan struct{}, 1)
	first <- struct{}{}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		select {
		case <-first:
			return new(net.Dialer).DialContext(ctx, network, address)
		default:
			return nil, errEnded
		}
	}
}

// ask has the signer prove what it is.
func (ch *channel) ask(ctx context.Context, nonce attest.Nonce) error {
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		TLSHandshakeDone: func(state tls.ConnectionState, err error) {
			if err == nil {
				ch.state = &state
			}
		},
	})
	var answer attestapi.Attested
	if err := ch.call(ctx, answerTime, http.MethodPost, attestapi.RouteAttest, attestapi.AttestRequest{Nonce: nonce}, &answer); err != nil {
		return err
	}
	exporter, err := attestapi.Exporter(ch.state, nonce)
	if err != nil {
		return err
	}
	answer.Evidence.Collateral = ch.complete(answer.Evidence.Collateral)
	ch.asked, ch.importNonce = asked{answer.Evidence, nonce, exporter}, answer.ImportNonce
	return nil
}

// complete puts the operator's collateral before the signer's.
func (ch *channel) complete(sent map[string][]byte) map[string][]byte {
	if sent == nil && len(ch.collateral) > 0 {
		sent = make(map[string][]byte)
	}
	for name, value := range ch.collateral {
		sent[name] = value
	}
	return sent
}

// judge returns what the signer is and states, if the evidence is genuine and the
// policy accepts it at that time, or else every reason why not.
func (a asked) judge(policy attest.Policy, at time.Time) (attestapi.Document, error) {
	result, err := verifiers(policy.Roots).Verify(a.Evidence, at)
	if err != nil {
		return attestapi.Document{}, fmt.Errorf("its evidence proves nothing: %w", err)
	}
	if err := policy.JudgeClaims(result, a.Evidence.Claims, a.Nonce, a.Exporter, attestapi.StatesReceiptKey); err != nil {
		return attestapi.Document{}, err
	}
	return attestapi.ReadDocument(a.Evidence.Claims.Config)
}

// judge accepts the other end of the connection by the evidence last asked for. The
// exporter value alone ties the two together. The certificate is compared so that a
// proxy with one of its own is called by its name.
func (ch *channel) judge(policy attest.Policy) (attestapi.Document, error) {
	document, err := ch.asked.judge(policy, time.Now())
	if err != nil {
		return document, err
	}
	if got := ch.state.PeerCertificates[0].RawSubjectPublicKeyInfo; string(got) != string(ch.asked.Evidence.Claims.TLSKey) {
		return document, errors.New("the certificate of the connection is not the one that the evidence names: something in between ends TLS")
	}
	return document, nil
}

// A trusted is a channel to a signer that a policy has accepted.
type trusted struct {
	*channel
	policy   attest.Policy
	document attestapi.Document
}

// trust asks a signer for evidence, and gives it the token once the policy has
// accepted that. Until then it is given nothing but a nonce.
func (c *tool) trust(ctx context.Context, f attestedFlags) (*trusted, error) {
	policy, err := readPolicy(f.policy)
	if err != nil {
		return nil, err
	}
	token, file, err := c.token()
	if err != nil {
		return nil, err
	}
	ch, err := c.channel(f)
	if err != nil {
		return nil, err
	}
	t := &trusted{channel: ch, policy: policy}
	if err := t.ask(ctx); err != nil {
		return nil, fmt.Errorf("nothing was sent: %w", err)
	}
	ch.token, ch.tokenFile = token, file
	return t, nil
}

// ask has the signer prove anew what it is.
func (t *trusted) ask(ctx context.Context) error {
	if err := t.channel.ask(ctx, drawNonce()); err != nil {
		return err
	}
	var err error
	if t.document, err = t.judge(t.policy); err != nil {
		return fmt.Errorf("the signer at %s is not one to be given a key: %w", t.base, err)
	}
	return nil
}

func drawNonce() (n attest.Nonce) {
	rand.Read(n[:]) // never fails
	return n
}

// readPolicy reads a policy; no file is the policy that accepts nothing.
func readPolicy(path string) (attest.Policy, error) {
	if path == "" {
		return attest.Policy{}, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return attest.Policy{}, fmt.Errorf("read policy: %w", err)
	}
	policy, err := attest.ParsePolicy(text)
	if err != nil {
		return attest.Policy{}, fmt.Errorf("%s: %w", path, err)
	}
	return policy, nil
}

// readCollateral reads each file of a folder, under its name.
func readCollateral(dir string) (map[string][]byte, error) {
	if dir == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("--collateral-dir: %w", err)
	}
	all := make(map[string][]byte)
	for _, e := range entries {
		value, err := readFile(filepath.Join(dir, e.Name()), attest.MaxEvidence)
		if err != nil {
			return nil, fmt.Errorf("--collateral-dir: %s: %w", e.Name(), err)
		}
		all[e.Name()] = value
	}
	return all, nil
}
