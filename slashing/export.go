package slashing

import (
	"context"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/secure-signer/secure-signer/bls"
)

// Export writes an EIP-3076 interchange of version 5 with what is remembered of
// the keys that only wants; a nil only wants all. Keys are sorted; each has at
// most one block and one attestation, the watermarks below which nothing is
// signed here. A signing root is given only with what was signed here itself.
//
// Whoever imports it refuses all that this Guard would refuse. The file is written
// as a stream; after an error it is cut off, and not valid JSON.
func (g *Guard) Export(ctx context.Context, w io.Writer, only func(bls.PublicKey) bool) error {
	enc := jsontext.NewEncoder(w)
	version, root := interchangeVersion, g.network.GenesisValidatorsRoot
	err := writeJSON(enc,
		jsontext.BeginObject,
		jsontext.String("metadata"), interchangeMetadata{&version, &root},
		jsontext.String("data"), jsontext.BeginArray)
	if err != nil {
		return err
	}
	for k, err := range g.States(ctx) {
		if err != nil {
			return err
		}
		if only != nil && !only(k.PublicKey) {
			continue
		}
		if err := writeJSON(enc, k.State.interchange(k.PublicKey)); err != nil {
			return err
		}
	}
	return writeJSON(enc, jsontext.EndArray, jsontext.EndObject)
}

// interchange returns what another signer must know of pub.
func (s State) interchange(pub bls.PublicKey) interchangeKey {
	key := interchangeKey{Pubkey: pub}
	mark := s.Watermarks()
	if mark.HasSlot {
		b := interchangeBlock{Slot: &mark.Slot}
		if last := s.block; last.present && last.slot == mark.Slot {
			b.SigningRoot = &last.root
		}
		key.SignedBlocks = []interchangeBlock{b}
	}
	if mark.HasSource || mark.HasTarget {
		// A source may be floored above every target. No vote from there has a
		// target at or below it, so this forbids nothing more, and the file has
		// no source after its target for an importer to stumble over.
		mark.Target = max(mark.Target, mark.Source)
		a := interchangeAttestation{SourceEpoch: &mark.Source, TargetEpoch: &mark.Target}
		if last := s.attestation; last.present && last.source == mark.Source && last.target == mark.Target {
			a.SigningRoot = &last.root
		}
		key.SignedAttestations = []interchangeAttestation{a}
	}
	return key
}

// writeJSON writes tokens as they are and other values as JSON.
func writeJSON(enc *jsontext.Encoder, parts ...any) error {
	for _, part := range parts {
		var err error
		if tok, ok := part.(jsontext.Token); ok {
			err = enc.WriteToken(tok)
		} else {
			err = json.MarshalEncode(enc, part)
		}
		if err != nil {
			return fmt.Errorf("write the interchange: %w", err)
		}
	}
	return nil
}
