package main

import (
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/eth2"
)

// TestAddressesOfTheSpecification are EIP-55's test cases.
func TestAddressesOfTheSpecification(t *testing.T) {
	for _, want := range []string{
		"0x52908400098527886E0F7030069857D2E4169EE7", "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
		"0xde709f2102306220921060314715629080e2fb77", "0x27b1fdb04752bbc536007a920d24acb045561c26",
		"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
		"0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB", "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
	} {
		credentials, err := withdrawalCredentials(want, false)
		if err != nil {
			t.Errorf("%s: %v", want, err)
		}
		if got := checksummed(eth2.Address(credentials[12:])); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if lower, err := withdrawalCredentials(strings.ToLower(want), false); err != nil || lower != credentials {
			t.Errorf("%s in small letters: %v, %v", want, lower, err)
		}
	}
}

func TestAnAddressWithAWrongCharacterIsRefused(t *testing.T) {
	const good = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
	for i := 2; i < len(good); i++ {
		for _, digit := range "09aAfF" {
			bad := good[:i] + string(digit) + good[i+1:]
			if credentials, err := withdrawalCredentials(bad, false); err == nil && bad != good {
				t.Errorf("%s: %v", bad, credentials)
			}
		}
	}
}
