package slashing

import (
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
)

// ErrInterchange means that a file is not a valid interchange of EIP-3076,
// version 5. Nothing of it has been applied.
var ErrInterchange = errors.New("not a valid slashing protection interchange")

// The parts of an interchange. Pointers, because what is absent must not be read
// as slot or epoch 0.
type (
	interchangeMetadata struct {
		Version               *string    `json:"interchange_format_version"`
		GenesisValidatorsRoot *eth2.Root `json:"genesis_validators_root"`
	}
	interchangeBlock struct {
		Slot        *eth2.Slot `json:"slot"`
		SigningRoot *eth2.Root `json:"signing_root,omitzero"`
	}
	interchangeAttestation struct {
		SourceEpoch *eth2.Epoch `json:"source_epoch"`
		TargetEpoch *eth2.Epoch `json:"target_epoch"`
		SigningRoot *eth2.Root  `json:"signing_root,omitzero"`
	}
	interchangeKey struct {
		Pubkey             bls.PublicKey            `json:"pubkey"`
		SignedBlocks       []interchangeBlock       `json:"signed_blocks"`
		SignedAttestations []interchangeAttestation `json:"signed_attestations"`
	}
)

const interchangeVersion = "5"

// Bounds on a hostile file: together they bound what a decoder keeps of it. An
// honest one has objects of some 200 bytes, four levels deep, with three members.
const (
	maxInterchangeValue   = 4 << 10 // bytes of one token, block, attestation or metadata
	maxInterchangeDepth   = 32
	maxInterchangeMembers = 64 // of one object
	maxInterchangeKeys    = 1 << 19
)

// An interchangeReader reads an interchange of any length as a stream, and keeps
// only the greatest numbers of each key. Every value is read through next or
// decode, which are where the bounds are.
type interchangeReader struct {
	src     *boundedReader
	dec     *jsontext.Decoder
	genesis eth2.Root                // what metadata must say
	only    func(bls.PublicKey) bool // the keys that are kept

	metadata bool // seen
	data     bool // seen
	history  map[bls.PublicKey]Floors
}

// readInterchange returns, for each key that r names and only wants, the floors
// that its history demands: the greatest slot, source and target of all that it
// signed, each for itself. Signing roots are checked for their form and dropped:
// a file proves no signature of this signer, so none is a licence to sign again.
//
// Members that EIP-3076 does not know are ignored; duplicate members are an error.
func readInterchange(r io.Reader, genesis eth2.Root, only func(bls.PublicKey) bool) (map[bls.PublicKey]Floors, error) {
	src := &boundedReader{r: r}
	in := &interchangeReader{
		src: src, dec: jsontext.NewDecoder(src), genesis: genesis, only: only,
		history: make(map[bls.PublicKey]Floors),
	}
	err := in.file()
	switch {
	case src.err != nil:
		return nil, fmt.Errorf("read the interchange: %w", src.err)
	case errors.Is(err, eth2.ErrForeignChain):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: %.500s", ErrInterchange, err) // it may quote the file
	}
	return in.history, nil
}

func (in *interchangeReader) file() error {
	err := in.object(func(name string) error {
		switch name {
		case "metadata":
			in.metadata = true
			return in.readMetadata()
		case "data":
			in.data = true
			return in.array(in.readKey)
		default:
			return in.skip()
		}
	})
	if errors.Is(err, io.EOF) {
		return errors.New("it is empty")
	}
	if err != nil {
		return err
	}
	switch _, err := in.next(); {
	case !in.metadata:
		return errors.New("metadata is missing")
	case !in.data:
		return errors.New("data is missing")
	case !errors.Is(err, io.EOF):
		return errors.New("more follows after the end")
	}
	return nil
}

func (in *interchangeReader) readMetadata() error {
	var m interchangeMetadata
	if err := in.decode(&m); err != nil {
		return err
	}
	switch {
	case m.Version == nil:
		return in.errorf("interchange_format_version is missing")
	case *m.Version != interchangeVersion:
		return in.errorf("interchange_format_version is %.20q, not %q", *m.Version, interchangeVersion)
	case m.GenesisValidatorsRoot == nil:
		return in.errorf("genesis_validators_root is missing")
	case *m.GenesisValidatorsRoot != in.genesis:
		return fmt.Errorf("%w: the interchange is for %v, this signer's chain has %v", eth2.ErrForeignChain, *m.GenesisValidatorsRoot, in.genesis)
	}
	return nil
}

// readKey reads one element of data. A key may have several; they are merged. The
// public key may come after what it has signed.
func (in *interchangeReader) readKey() error {
	var (
		pub                  *bls.PublicKey
		blocks, attestations bool
		floors               Floors
	)
	err := in.object(func(name string) error {
		switch name {
		case "pubkey":
			return in.decode(&pub)
		case "signed_blocks":
			blocks = true
			return in.array(func() error { return in.readBlock(&floors) })
		case "signed_attestations":
			attestations = true
			return in.array(func() error { return in.readAttestation(&floors) })
		default:
			return in.skip()
		}
	})
	switch {
	case err != nil:
		return err
	case pub == nil:
		return in.errorf("pubkey is missing")
	case !blocks:
		return in.errorf("signed_blocks is missing: it must be there, if only empty")
	case !attestations:
		return in.errorf("signed_attestations is missing: it must be there, if only empty")
	case in.only != nil && !in.only(*pub):
		return nil
	}
	in.history[*pub] = in.history[*pub].raised(floors)
	if len(in.history) > maxInterchangeKeys {
		return fmt.Errorf("more than %d keys", maxInterchangeKeys)
	}
	return nil
}

func (in *interchangeReader) readBlock(f *Floors) error {
	var b interchangeBlock
	if err := in.decode(&b); err != nil {
		return err
	}
	if b.Slot == nil {
		return in.errorf("slot is missing")
	}
	*f = f.raised(Floors{HasSlot: true, Slot: *b.Slot})
	return nil
}

// readAttestation takes source and target each for itself: an entry whose source
// is after its target, which other signers have exported, is no vote, but must
// not hide another that is.
func (in *interchangeReader) readAttestation(f *Floors) error {
	var a interchangeAttestation
	if err := in.decode(&a); err != nil {
		return err
	}
	if a.SourceEpoch == nil || a.TargetEpoch == nil {
		return in.errorf("source_epoch or target_epoch is missing")
	}
	*f = f.raised(Floors{HasSource: true, Source: *a.SourceEpoch, HasTarget: true, Target: *a.TargetEpoch})
	return nil
}

// object reads an object. member reads the value of each name.
func (in *interchangeReader) object(member func(name string) error) error {
	if err := in.begin('{', "an object"); err != nil {
		return err
	}
	for {
		name, err := in.next()
		if err != nil {
			return err
		}
		if name.Kind() == '}' {
			return nil
		}
		if err := member(name.String()); err != nil {
			return err
		}
	}
}

// array reads an array. element reads each of its values.
func (in *interchangeReader) array(element func() error) error {
	if err := in.begin('[', "an array"); err != nil {
		return err
	}
	for in.src.allow(in.dec); in.dec.PeekKind() != ']'; in.src.allow(in.dec) {
		if err := element(); err != nil {
			return err
		}
	}
	_, err := in.next()
	return err
}

func (in *interchangeReader) begin(kind jsontext.Kind, want string) error {
	tok, err := in.next()
	if err != nil {
		return err
	}
	if tok.Kind() != kind {
		return in.errorf("%s is expected here", want)
	}
	return nil
}

// skip reads a value that EIP-3076 does not know.
func (in *interchangeReader) skip() error {
	depth := in.dec.StackDepth()
	for {
		if _, err := in.next(); err != nil {
			return err
		}
		if in.dec.StackDepth() == depth {
			return nil
		}
	}
}

// next reads a token. It refuses one that is too long, too deep, or in an object
// of too many members, whose names the decoder must keep to find duplicates.
func (in *interchangeReader) next() (jsontext.Token, error) {
	in.src.allow(in.dec)
	tok, err := in.dec.ReadToken()
	if err != nil {
		return tok, err
	}
	depth := in.dec.StackDepth()
	if depth > maxInterchangeDepth {
		return tok, fmt.Errorf("more than %d levels deep", maxInterchangeDepth)
	}
	if kind, n := in.dec.StackIndex(depth); kind == '{' && n > 2*maxInterchangeMembers {
		return tok, in.errorf("more than %d members", maxInterchangeMembers)
	}
	return tok, nil
}

// decode reads a value that is small in every honest file.
func (in *interchangeReader) decode(v any) error {
	in.src.allow(in.dec)
	err := json.UnmarshalDecode(in.dec, v)
	var semantic *json.SemanticError
	if errors.As(err, &semantic) {
		if semantic.Err == nil {
			return fmt.Errorf("%s: a JSON %v is not expected here", semantic.JSONPointer, semantic.JSONKind)
		}
		return fmt.Errorf("%s: %w", semantic.JSONPointer, semantic.Err)
	}
	return err
}

// errorf says where in the file, if it is not the whole of it.
func (in *interchangeReader) errorf(format string, args ...any) error {
	if in.dec.StackPointer() == "" {
		return fmt.Errorf(format, args...)
	}
	return fmt.Errorf("%s: %s", in.dec.StackPointer(), fmt.Sprintf(format, args...))
}

// A boundedReader lets a decoder read no more than maxInterchangeValue bytes past
// what it has understood: a decoder keeps an unfinished token, however long.
type boundedReader struct {
	r     io.Reader
	read  int64
	limit int64
	err   error // of r, if it is not the end
}

func (b *boundedReader) allow(dec *jsontext.Decoder) {
	b.limit = dec.InputOffset() + maxInterchangeValue
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.read >= b.limit {
		return 0, fmt.Errorf("a value of more than %d bytes", maxInterchangeValue)
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.limit-b.read)])
	b.read += int64(n)
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}
