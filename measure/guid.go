package measure

import (
	"encoding/hex"
	"slices"
	"strings"
)

// A guid is a constant of a specification, as it is printed.
type guid string

// bytes are those of the GUID in memory: its first three numbers are little-endian.
func (g guid) bytes() []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(string(g), "-", ""))
	if err != nil || len(b) != 16 {
		panic("measure: internal error: GUID " + string(g))
	}
	slices.Reverse(b[:4])
	slices.Reverse(b[4:6])
	slices.Reverse(b[6:8])
	return b
}
