package main

import (
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/secure-signer/secure-signer/internal/datadir"
)

// Whoever owns the machine runs reseal. A vault whose data key he has known must not
// end up where others trust that he does not, nor the other way round.
func TestNoVaultIsResealedIntoOrOutOfHardwareThatGuardsItsKeys(t *testing.T) {
	for _, tt := range []struct {
		was, next string
		want      bool
	}{
		{"", "tpm", true},
		{"", "dev", true},
		{"tpm", "", true},
		{"tpm", "dev", true},
		{"", "gramine", false},
		{"", "tsm", false},
		{"", "nitro", false},
		{"tpm", "gramine", false},
		{"gramine", "", false},
		{"gramine", "tsm", false},
		{"nitro", "tpm", false},
		{"", "", false},
		{"tpm", "tpm", false},
	} {
		var d datadir.Folder
		d.Binding.Platform = tt.was
		if err := mayMove(d, tt.next); (err == nil) != tt.want {
			t.Errorf("from %q to %q: %v", tt.was, tt.next, err)
		}
	}
}

// TestTheNextCommandIsGivenWhatItNeeds: advice that is followed to the letter must not
// end at another device.
func TestTheNextCommandIsGivenWhatItNeeds(t *testing.T) {
	var f resealFlags
	var tpm tpmFlags
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	f.seal.define(flags, &tpm)
	tpm.define(flags)
	if got := f.seal.flags("tpm"); got != "" {
		t.Errorf("what is where it always is: %q", got)
	}
	for _, at := range []string{"--tpm /run/tpm", "--tpm-ak-chain ak.pem", "--sev-guest-device /dev/sev", "--collateral-dir /collateral", "--tsm-dir /tsm"} {
		if err := flags.Parse(strings.Fields(at)); err != nil {
			t.Fatal(err)
		}
		if got := f.seal.flags("tpm"); !strings.Contains(got, " "+at) {
			t.Errorf("%q lacks %s", got, at)
		}
	}
	if got := f.seal.flags(""); got != " --tpm /run/tpm" {
		t.Errorf("a folder with a passphrase, and perhaps a horizon: %q", got)
	}
}
