package main

import (
	"encoding/hex"
	"fmt"
	"strings"

	"golang.org/x/crypto/sha3"

	"github.com/secure-signer/secure-signer/eth2"
)

// withdrawalCredentials are those of an execution address, for a validator that
// compounds or for one that does not. Source: EIP-7251.
func withdrawalCredentials(address string, compounding bool) (credentials eth2.Root, err error) {
	var a eth2.Address
	if err := a.UnmarshalText([]byte(address)); err != nil {
		return credentials, err
	}
	digits := strings.TrimPrefix(address, "0x")
	if mixed := digits != strings.ToLower(digits) && digits != strings.ToUpper(digits); mixed && "0x"+digits != checksummed(a) {
		return credentials, fmt.Errorf("the capitals in %s do not fit: a character is wrong, and the stake would be lost", address)
	}
	credentials[0] = 1
	if compounding {
		credentials[0] = 2
	}
	copy(credentials[12:], a[:])
	return credentials, nil
}

// checksummed writes an address with the capitals that are its checksum. Source:
// EIP-55.
func checksummed(a eth2.Address) string {
	text := []byte(hex.EncodeToString(a[:]))
	hash := sha3.NewLegacyKeccak256()
	hash.Write(text)
	for i, nibble := range hex.EncodeToString(hash.Sum(nil))[:len(text)] {
		if nibble >= '8' && text[i] >= 'a' {
			text[i] -= 'a' - 'A'
		}
	}
	return "0x" + string(text)
}
