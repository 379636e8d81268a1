package main

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/eth2"
)

// TestTheClockTellsWhatMayHaveBeenSignedUnlessItIsWrong: floors that are too low
// are as dangerous as none, ones that are too high silence a validator for ever.
func TestTheClockTellsWhatMayHaveBeenSignedUnlessItIsWrong(t *testing.T) {
	chain := &eth2.Network{Name: "test", Preset: eth2.MinimalPreset(), SecondsPerSlot: 6, GenesisTime: 1_700_000_000}
	timeless := *chain
	timeless.GenesisTime = 0
	at := func(epoch int64) time.Time { return time.Unix(1_700_000_000+epoch*8*6, 0) }
	epoch := func(n eth2.Epoch) *eth2.Epoch { return &n }

	tests := []struct {
		name    string
		network *eth2.Network
		now     time.Time
		taken   time.Time
		bound   string
		said    *eth2.Epoch
		want    eth2.Epoch
		doubt   string
	}{
		{"the clock and what is allowed ahead of it", chain, at(100), at(90), "1", nil, 101, ""},
		{"as far ahead as the signer was started with", chain, at(100), at(90), "3", nil, 103, ""},
		{"a backup of this very second", chain, at(100), at(100), "1", nil, 101, ""},
		{"a folder has no time of its own", chain, at(100), time.Time{}, "1", nil, 101, ""},
		{"the operator may say more", chain, at(100), at(90), "1", epoch(200), 200, ""},
		{"the operator may not say less", chain, at(100), at(90), "1", epoch(7), 101, ""},
		{"a slot that is taken for an epoch", chain, at(100), at(90), "1", epoch(100_000), 0, "is it a slot?"},

		{"without a time of genesis", &timeless, at(100), at(90), "1", nil, 0, "time of genesis is unknown"},
		{"a clock before genesis", chain, at(-1), time.Time{}, "1", nil, 0, "before the network's genesis"},
		{"a clock before the backup", chain, at(89), at(90), "1", nil, 0, "but the backup was taken at 2023-11-14T23:25:20Z"},
		{"without a bound", chain, at(100), at(90), "off", nil, 0, "nothing tells how far ahead"},
		{"without a bound, but with the operator's word", chain, at(100), at(90), "off", epoch(300), 300, ""},
		{"before the backup, but with the operator's word", chain, at(89), at(90), "1", epoch(95), 95, ""},
		{"the last epoch of all", &timeless, at(100), at(90), "1", epoch(math.MaxUint64), math.MaxUint64, ""},
		{"a bound that is none", chain, at(100), at(90), "few", nil, 0, "--max-future-epochs"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := restorer{now: test.now, restoreFlags: restoreFlags{maxFutureEpochs: test.bound}}
			r.floorEpoch.value = test.said
			got, err := r.lastEpoch(test.network, test.taken)
			if test.doubt == "" && (err != nil || got != test.want) {
				t.Errorf("got epoch %d, %v; want %d", got, err, test.want)
			}
			if test.doubt != "" && (err == nil || !strings.Contains(err.Error(), test.doubt)) {
				t.Errorf("got epoch %d, %v; want an error with %q", got, err, test.doubt)
			}
		})
	}
}
