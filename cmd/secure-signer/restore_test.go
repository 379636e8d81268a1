package main

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/backup"
	"github.com/secure-signer/secure-signer/internal/datadir"
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

// TestASealedBackupKeepsItsHorizon, and may be told which: a Nitro enclave restores a
// backup at every start, with the settings that its first start has made a horizon by.
func TestASealedBackupKeepsItsHorizon(t *testing.T) {
	tests := []struct{ has, asked, refused string }{
		{has: "witness", asked: ""},
		{has: "witness", asked: "witness"},
		{has: "tpm", asked: "tpm"},
		{has: "tpm-unverified", asked: "tpm"},
		{has: "", asked: "none"},

		{has: "witness", asked: "none", refused: "under the horizon that it has, witness"},
		{has: "witness", asked: "tpm", refused: "under the horizon that it has, witness"},
		{has: "", asked: "witness", refused: "under the horizon that it has, none"},
		{has: "", asked: "tpm", refused: "under the horizon that it has, none"},
	}
	for _, test := range tests {
		t.Run(test.has+" asked for as "+test.asked, func(t *testing.T) {
			was := datadir.Keeper{Kind: test.has}
			r := restorer{restoreFlags: restoreFlags{horizon: horizonFlags{kind: test.asked, witnesses: []string{"https://witness.example#KEY"}}}}
			got, err := r.horizonOf(t.Context(), datadir.Settings{Binding: datadir.Binding{Platform: "nitro", Horizon: was}}, &backup.Backup{Parts: backup.Parts{Horizon: []byte("secret")}}, 7)
			if test.refused != "" {
				if err == nil || !strings.Contains(err.Error(), test.refused) {
					t.Errorf("got %v, want an error with %q", err, test.refused)
				}
				return
			}
			if err != nil || got.Kind != test.has || string(got.sealed) != "secret" {
				t.Errorf("got %q, %q, %v", got.Kind, got.sealed, err)
			}
		})
	}
}

// TestALostHorizonHasAWayOut: the signer does not start without it, so the way must not
// lead through a signer that runs.
func TestALostHorizonHasAWayOut(t *testing.T) {
	for platform, want := range map[string]string{
		"":        "horizon: secure-signer backup FILE --data-dir d, secure-signer restore FILE",
		"tpm":     "horizon: secure-signer reseal --data-dir d --platform none, secure-signer backup FILE",
		"gramine": "import the keys into a new folder",
	} {
		d := datadir.Folder{Dir: datadir.At("d"), Settings: datadir.Settings{Binding: datadir.Binding{Platform: platform}}}
		if got := anotherHorizon(d); !strings.Contains(got, want) {
			t.Errorf("%q: %q lacks %q", platform, got, want)
		}
	}
}
