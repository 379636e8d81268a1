package eth2

import (
	"encoding"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// FuzzLeaves feeds text to every leaf type: none panics, and what one accepts
// it writes back as it was, but for the case of hex.
func FuzzLeaves(f *testing.F) {
	for _, seed := range []string{
		"", "0", "0x", "0X", "0x0", "0xff", "0x01000000", "18446744073709551615", "18446744073709551616", "-1", "1e3", "00",
		"0x" + strings.Repeat("Ab", 20), "0x" + strings.Repeat("00", 32), "0x" + strings.Repeat("ff", 48), "0x" + strings.Repeat("7e", 96),
		strings.Repeat("9", 78), strings.Repeat("9", 79), "GLOAS", "phase0", "\xff", "\"1\"",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, leaf := range []encoding.TextUnmarshaler{
			new(Root), new(Version), new(PublicKey), new(Signature), new(KZGCommitment), new(Address), new(LogsBloom),
			new(Bytes), new(Bitlist), new(Bitvector), new(ForkName),
		} {
			if leaf.UnmarshalText([]byte(text)) == nil {
				checkWritten(t, leaf, text)
			}
		}
		for _, number := range []json.Unmarshaler{new(Slot), new(Epoch), new(ValidatorIndex), new(Gwei), new(Uint64), new(Uint256)} {
			if number.UnmarshalJSON([]byte(text)) == nil {
				checkWritten(t, number, strings.Trim(text, `"`))
			}
		}
	})
}

func checkWritten(t *testing.T, leaf any, text string) {
	t.Helper()
	got, err := leaf.(encoding.TextMarshaler).MarshalText()
	if err != nil || !strings.EqualFold(string(got), text) {
		t.Errorf("%T: %q is written %q, %v", leaf, text, got, err)
	}
}

// FuzzSigningRoot asks for the root of whatever decodes, under two presets: no
// panic, the same answer twice, and only the errors that callers know.
func FuzzSigningRoot(f *testing.F) {
	n := gloasNetwork()
	mainnet, _ := Builtin("mainnet")
	for _, m := range everyMessage(forkInfo(n, Gloas)) {
		body, err := encodeRequest(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := decodeRequest(body)
		if err != nil {
			return
		}
		if f := m.forkInfo(); f != nil && f.GenesisValidatorsRoot[0] == 0xbb {
			f.GenesisValidatorsRoot = mainnet.GenesisValidatorsRoot
		}
		for _, n := range []*Network{n, mainnet} {
			root, err := m.SigningRoot(n)
			again, errAgain := m.SigningRoot(n)
			if root != again || (err == nil) != (errAgain == nil) {
				t.Errorf("%v: %v, %v, then %v, %v", m.Kind(), root, err, again, errAgain)
			}
			known := errors.Is(err, ErrForeignChain) || errors.Is(err, ErrUnknownFork) || errors.Is(err, ErrInvalidMessage)
			if (err != nil) != known || (err != nil && root != Root{}) {
				t.Errorf("%v: %v, %v", m.Kind(), root, err)
			}
		}
	})
}
