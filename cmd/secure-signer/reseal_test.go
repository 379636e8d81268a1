package main

import (
	"testing"

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
