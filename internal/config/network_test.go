package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/internal/testdata"
)

func TestNetworkFilesKeepTheirText(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	const text = `# a devnet
PRESET_BASE: 'minimal'
CONFIG_NAME: e2e # the name
GENESIS_FORK_VERSION: 0x00000001
TERMINAL_TOTAL_DIFFICULTY: 115792089237316195423570985008687907853269984665640564039457584007913129638912
ALTAIR_FORK_EPOCH: 18446744073709551615
SECONDS_PER_SLOT: "2"
BLOB_SCHEDULE:
  - EPOCH: 412672
    MAX_BLOBS_PER_BLOCK: 15
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := ReadNetworkFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"PRESET_BASE": "minimal", "CONFIG_NAME": "e2e", "GENESIS_FORK_VERSION": "0x00000001",
		"TERMINAL_TOTAL_DIFFICULTY": "115792089237316195423570985008687907853269984665640564039457584007913129638912",
		"ALTAIR_FORK_EPOCH":         "18446744073709551615", "SECONDS_PER_SLOT": "2",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
	for name, bad := range map[string]string{"a list": "- 1\n", "a key twice": "A: 1\nA: 2\n", "no YAML": "\t{", "a key without a value": "A:\n", "two documents": "A: 1\n---\nB: 2\n"} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadNetworkFile(path); err == nil {
			t.Errorf("%s was read as %v", name, got)
		}
	}
}

func TestTheConfigOfARecordedChainIsReadWhole(t *testing.T) {
	got, err := ReadNetworkFile(testdata.Path(t, "captured/lodestar-1.22-minimal/CONFIG.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"PRESET_BASE": "minimal", "TERMINAL_TOTAL_DIFFICULTY": "2", "ELECTRA_FORK_EPOCH": "5"} {
		if got[key] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
}
