package keystore

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// MaxSize is how many bytes a keystore may have: some seventy times what it
// needs.
const MaxSize = 64 << 10

// maxDepth is how deep objects and arrays may lie in one another, unknown ones
// included. The format needs four.
const maxDepth = 8

const (
	version     = 4
	sha256Name  = "sha256"
	aesName     = "aes-128-ctr"
	secretSize  = 32
	sumSize     = 32
	ivSize      = 16
	derivedSize = 32
)

// A document is a keystore as it is written. Source: EIP-2335 "JSON schema".
// No member's zero value is acceptable where the member is required, so that a
// missing one needs no bookkeeping.
type document struct {
	Crypto struct {
		KDF      kdf                `json:"kdf"`
		Checksum module[struct{}]   `json:"checksum"`
		Cipher   module[cipherSpec] `json:"cipher"`
	} `json:"crypto"`
	Description string `json:"description,omitzero"`
	Pubkey      string `json:"pubkey,omitzero"`
	Path        string `json:"path"`
	UUID        string `json:"uuid"`
	Version     int64  `json:"version"`
}

// A module is one function with its parameters and its output.
type module[P any] struct {
	Function string   `json:"function"`
	Params   P        `json:"params"`
	Message  hexBytes `json:"message"`
}

type cipherSpec struct {
	IV hexBytes `json:"iv"`
}

// parse reads the form of a document. It is decoded by the draft of
// encoding/json/v2, which refuses duplicate members, names in another case and
// invalid UTF-8: two programs that read one keystore differently are how a key
// gets lost or swapped.
func parse(text []byte) (*document, error) {
	if len(text) > MaxSize {
		return nil, fmt.Errorf("more than %d bytes", MaxSize)
	}
	if err := checkDepth(text); err != nil {
		return nil, err
	}
	doc := new(document)
	if err := json.Unmarshal(text, doc); err != nil {
		return nil, briefly(err)
	}
	return doc, nil
}

// checkDepth walks through the first JSON value, before anything recurses into
// it.
func checkDepth(text []byte) error {
	tokens := jsontext.NewDecoder(bytes.NewReader(text))
	for {
		_, err := tokens.ReadToken()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return briefly(err)
		case tokens.StackDepth() > maxDepth:
			return fmt.Errorf("objects and arrays more than %d deep", maxDepth)
		}
	}
}

// briefly cuts what an error of the decoder repeats of the input, and leaves out
// what it says of our types.
func briefly(err error) error {
	var wrong *json.SemanticError
	if errors.As(err, &wrong) && wrong.JSONPointer == "" {
		return errors.New("the file holds no JSON object")
	}
	if errors.As(err, &wrong) {
		return fmt.Errorf("%.100s: of another type than in a keystore, or malformed", wrong.JSONPointer)
	}
	return fmt.Errorf("%.200s", err.Error())
}

// check refuses a document whose meaning is not accepted.
func (d *document) check() error {
	c := &d.Crypto
	if d.Version != version {
		return fmt.Errorf("version: %d, want %d", d.Version, version)
	}
	if err := c.KDF.check(); err != nil {
		return fmt.Errorf("crypto.kdf.%w", err)
	}
	if c.Checksum.Function != sha256Name {
		return fmt.Errorf("crypto.checksum.function: %.40q, want %q", c.Checksum.Function, sha256Name)
	}
	if c.Cipher.Function != aesName {
		return fmt.Errorf("crypto.cipher.function: %.40q, want %q", c.Cipher.Function, aesName)
	}
	for _, field := range []struct {
		name  string
		value hexBytes
		size  int
	}{
		{"checksum.message", c.Checksum.Message, sumSize},
		{"cipher.params.iv", c.Cipher.Params.IV, ivSize},
		{"cipher.message", c.Cipher.Message, secretSize},
	} {
		if len(field.value) != field.size {
			return fmt.Errorf("crypto.%s: %d bytes, want %d", field.name, len(field.value), field.size)
		}
	}
	return nil
}

// hexBytes are bytes written as hexadecimal without 0x.
type hexBytes []byte

func (h hexBytes) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h), nil }

func (h *hexBytes) UnmarshalText(text []byte) error {
	b, err := hex.AppendDecode(nil, text)
	if err != nil {
		return errors.New("not hexadecimal")
	}
	*h = b
	return nil
}
