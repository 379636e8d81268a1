package main

import (
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/eth2"
)

func TestAClockBeforeGenesisIsWrongUnlessTheChainIsNew(t *testing.T) {
	mainnet, _ := eth2.Builtin("mainnet")
	devnet := &eth2.Network{Name: "devnet", GenesisTime: 2e9}
	tests := []struct {
		name    string
		network *eth2.Network
		now     int64
		refused bool
	}{
		{"mainnet in 1970", mainnet, 0, true},
		{"mainnet a second before its genesis", mainnet, int64(mainnet.GenesisTime) - 1, true},
		{"mainnet at its genesis", mainnet, int64(mainnet.GenesisTime), false},
		{"a chain of one's own that has yet to begin", devnet, 1e9, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := checkClock(test.network, time.Unix(test.now, 0)); (err != nil) != test.refused {
				t.Errorf("got %v, want refused: %t", err, test.refused)
			}
		})
	}
}
