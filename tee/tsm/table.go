package tsm

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"fmt"
)

// tableNames are the entries of the host's certificate table that evidence takes,
// by their GUIDs, which lie in it as they are written. The ASK's entry has that for
// VLEKs where there is a VLEK.
var tableNames = map[string]string{
	"63da758de6644564adc5f4b93be8accd": "vcek",
	"a8074bc2a25a483eaae639c045a0b8a1": "vlek",
	"4ab7b379bbac4fe4a02f05aef327c782": "ask",
	"c0b406a4a803495297433fb6014cd0ae": "ark",
	"92f81bc358114d3d97ffd19f88dc67ea": "crl",
}

const entrySize = 24 // GUID, offset, length

// parseTable reads the table: entries up to one of zeros, then what they point to.
// It is the host's, and nothing in it is believed before a verifier has followed
// it to AMD's root. An empty table is none.
func parseTable(table []byte) (map[string][]byte, error) {
	certs := make(map[string][]byte)
	for rest := table; len(rest) > 0; rest = rest[entrySize:] {
		if len(rest) < entrySize {
			return nil, fmt.Errorf("the table ends within an entry")
		}
		guid := rest[:16]
		if bytes.Equal(guid, make([]byte, 16)) {
			break
		}
		name, known := tableNames[hex.EncodeToString(guid)]
		if !known {
			continue
		}
		offset, length := uint64(binary.LittleEndian.Uint32(rest[16:])), uint64(binary.LittleEndian.Uint32(rest[20:]))
		if length == 0 || offset+length > uint64(len(table)) {
			return nil, fmt.Errorf("%s lies at %d to %d of a table of %d bytes", name, offset, offset+length, len(table))
		}
		if _, twice := certs[name]; twice {
			return nil, fmt.Errorf("%s comes twice", name)
		}
		certs[name] = der(table[offset : offset+length])
	}
	return certs, nil
}

// der is a certificate as evidence has it. Some hosts load the table with PEM.
func der(cert []byte) []byte {
	if block, _ := pem.Decode(cert); block != nil {
		return block.Bytes
	}
	return bytes.Clone(cert)
}
