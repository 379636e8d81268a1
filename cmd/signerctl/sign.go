package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/datadir"
	"github.com/secure-signer/secure-signer/management"
	"github.com/secure-signer/secure-signer/web3signer"
)

// network asks a signer which chain it signs for, and returns that chain with its
// forks. They are built in, or in the signer's data folder: what the signer could say
// of them would decide what is signed.
func (c *tool) network(ctx context.Context, signer *client) (*eth2.Network, management.Network, error) {
	var status management.Status
	if err := signer.call(ctx, answerTime, "GET", "/signer/v1/status", nil, &status); err != nil {
		return nil, status.Network, err
	}
	told := status.Network
	n, found := eth2.Builtin(told.Name)
	if !found && c.dataDir != "" {
		if d, err := datadir.Open(c.dataDir); err == nil {
			n, found = d.Network, true
		}
	}
	switch {
	case !found:
		return nil, told, fmt.Errorf("the signer is on %s, which is not built in: give its data folder with --data-dir, on its own machine", told.Name)
	case n.GenesisValidatorsRoot != told.GenesisValidatorsRoot:
		return nil, told, fmt.Errorf("the signer is on a chain with genesis validators root %v, which is not %v of %s: look at signerctl status", told.GenesisValidatorsRoot, n.GenesisValidatorsRoot, n.Name)
	}
	return n, told, nil
}

// sign has the signer sign a message of a network, and verifies the signature: what
// it is needed for is paid for, or kept for years.
func (s *client) sign(ctx context.Context, n *eth2.Network, key bls.PublicKey, m eth2.Message) (eth2.Signature, error) {
	root, err := m.SigningRoot(n)
	if err != nil {
		return eth2.Signature{}, err
	}
	body, err := web3signer.Encode(m)
	if err != nil {
		return eth2.Signature{}, err
	}
	var answer struct {
		Signature *bls.Signature `json:"signature"`
	}
	if err := s.call(ctx, answerTime, "POST", "/api/v1/eth2/sign/"+key.String(), jsontext.Value(body), &answer); err != nil {
		return eth2.Signature{}, err
	}
	if answer.Signature == nil || !bls.Verify(key, root, *answer.Signature) {
		return eth2.Signature{}, errors.New("the signer's answer is not that key's signature under what was asked for: is --url right?")
	}
	return eth2.Signature(*answer.Signature), nil
}
