package main

import (
	"bytes"
	"context"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/record/memory"
	"github.com/secure-signer/secure-signer/slashing"
)

// An interchange is a valid file of slashing protection data, cut up by key, so
// that each request carries what concerns its keys and no more. Whether it is of
// the right chain is for the signer to say. A nil interchange is none.
// Source: EIP-3076.
type interchange struct {
	whole    string
	metadata jsontext.Value
	genesis  eth2.Root // that metadata names
	byKey    map[bls.PublicKey][]jsontext.Value
}

// maxInterchange is what one request may carry.
const maxInterchange = 1 << 30

func readInterchange(ctx context.Context, path string) (*interchange, error) {
	if path == "" {
		return nil, nil
	}
	text, err := readFile(path, maxInterchange)
	if err != nil {
		return nil, fmt.Errorf("nothing was imported: read slashing protection data: %w", err)
	}
	in, err := parseInterchange(ctx, text)
	if err != nil {
		return nil, fmt.Errorf("nothing was imported: %s is not slashing protection data as of EIP-3076: %w", path, err)
	}
	return in, nil
}

func parseInterchange(ctx context.Context, text []byte) (*interchange, error) {
	var file struct {
		Metadata jsontext.Value   `json:"metadata"`
		Data     []jsontext.Value `json:"data"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, err
	}
	var metadata struct {
		GenesisValidatorsRoot eth2.Root `json:"genesis_validators_root"`
	}
	if file.Metadata != nil {
		if err := json.Unmarshal(file.Metadata, &metadata); err != nil {
			return nil, fmt.Errorf("metadata: %w", err)
		}
	}
	// The whole file is valid, or none of it is sent: one key's part could be.
	guard := slashing.New(memory.New(), slashing.Config{Network: &eth2.Network{GenesisValidatorsRoot: metadata.GenesisValidatorsRoot}})
	if _, err := guard.Import(ctx, bytes.NewReader(text), func(bls.PublicKey) bool { return false }); err != nil {
		return nil, err
	}
	in := &interchange{
		whole:    string(text),
		metadata: file.Metadata,
		genesis:  metadata.GenesisValidatorsRoot,
		byKey:    make(map[bls.PublicKey][]jsontext.Value),
	}
	for i, entry := range file.Data {
		var of struct {
			Pubkey bls.PublicKey `json:"pubkey"`
		}
		if err := json.Unmarshal(entry, &of); err != nil {
			return nil, fmt.Errorf("data[%d]: %w", i, err)
		}
		in.byKey[of.Pubkey] = append(in.byKey[of.Pubkey], entry)
	}
	return in, nil
}

// of returns the interchange of some keys. A keystore need not name its key:
// then any entry may be its.
func (in *interchange) of(keys []*imported) (string, error) {
	if in == nil {
		return "", nil
	}
	data := []jsontext.Value{}
	taken := make(map[bls.PublicKey]bool)
	for _, k := range keys {
		if k.Pubkey == nil {
			return in.whole, nil
		}
		if !taken[*k.Pubkey] {
			taken[*k.Pubkey] = true
			data = append(data, in.byKey[*k.Pubkey]...)
		}
	}
	text, err := json.Marshal(struct {
		Metadata jsontext.Value   `json:"metadata"`
		Data     []jsontext.Value `json:"data"`
	}{in.metadata, data})
	return string(text), err
}

// names tells whether the interchange has an entry for a keystore's key, as far
// as its file says which that is.
func (in *interchange) names(k *imported) bool {
	return in != nil && (k.Pubkey == nil || in.byKey[*k.Pubkey] != nil)
}
