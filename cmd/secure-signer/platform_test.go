package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/internal/datadir"
	"github.com/secure-signer/secure-signer/tee"
)

// occlum is the key that a predecessor of this program was signed with: its private
// half is in a public repository.
const occlum = "83d719e77deaca1470f6baf62a4d774303c899db69020f9c70ee1dfc08c7ce9e"

func TestAReleaseRunsOnlyWhereHardwareProtects(t *testing.T) {
	var public attest.Hex
	if err := public.UnmarshalText([]byte(occlum)); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		id   tee.Identity
		says string
	}{
		{"an enclave", tee.Identity{Kind: attest.KindSGX, Signer: bytes.Repeat([]byte{1}, 32)}, ""},
		{"hardware where nobody signs", tee.Identity{Kind: attest.KindSNP}, ""},
		{"no hardware", tee.Identity{Kind: attest.KindDev}, "go build"},
		{"an enclave in debug mode", tee.Identity{Kind: attest.KindSGX, Debug: true}, "debug"},
		{"a key that everybody has", tee.Identity{Kind: attest.KindSGX, Signer: public}, "everybody has"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := trustworthy(test.id, true)
			if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("a release: %v, want an error that says %q", err, test.says)
			}
			if err := trustworthy(test.id, false); err != nil {
				t.Errorf("a trial build: %v", err)
			}
		})
	}
}

// hardware is a folder in which some kernel interfaces are.
func hardware(t *testing.T, there ...string) platformFlags {
	t.Helper()
	dir := t.TempDir()
	for _, name := range there {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return platformFlags{
		name:       platformAuto,
		gramineDir: filepath.Join(dir, "attestation"),
		tsmDir:     filepath.Join(dir, "report"),
		nsmDevice:  filepath.Join(dir, "nsm"),
		tpm:        &tpmFlags{path: filepath.Join(dir, "tpmrm0")},
	}
}

func TestAutoTakesTheHardwareThatIsThere(t *testing.T) {
	for _, test := range []struct {
		there []string
		want  string
	}{
		{nil, ""},
		{[]string{"attestation"}, "gramine"},
		{[]string{"report"}, "tsm"},
		{[]string{"nsm"}, "nitro"},
		{[]string{"tpmrm0"}, "tpm"},
		{[]string{"tpmrm0", "report"}, "tsm"},
		{[]string{"tpmrm0", "attestation"}, "gramine"},
	} {
		if got, err := hardware(t, test.there...).choose(); err != nil || got != test.want {
			t.Errorf("with %q: %q, %v; want %q", test.there, got, err, test.want)
		}
	}
	f := hardware(t)
	f.name = "sgx"
	if _, err := f.choose(); !errors.Is(err, cli.ErrUsage) {
		t.Errorf("an unknown name: %v, want %v", err, cli.ErrUsage)
	}
}

// TestAFolderDecidesWhichPlatformOpensIt, whatever is there beside.
func TestAFolderDecidesWhichPlatformOpensIt(t *testing.T) {
	for _, test := range []struct{ bound, asked, says string }{
		{"", "", ""},
		{"", platformAuto, ""},
		{"", platformNone, ""},
		{"", "tpm", "reseal"},
		{"gramine", platformNone, "reseal"},
		{"gramine", "tpm", "reseal"},
		{"gramine", platformAuto, "platform gramine"}, // and not the TPM that is there
		{"keystone", "", "a newer one"},
	} {
		f := hardware(t, "tpmrm0")
		f.name = test.asked
		var d datadir.Folder
		d.Binding.Platform = test.bound
		p, err := f.of(context.Background(), d)
		if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("bound to %q, asked for %q: %v, want an error that says %q", test.bound, test.asked, err, test.says)
		}
		if err == nil && (p.Platform != nil || p.name != platformNone) {
			t.Errorf("bound to nothing it runs on %q", p.name)
		}
	}
}

func TestReleaseKeysOfAFolder(t *testing.T) {
	key := strings.Repeat("ab", ed25519.PublicKeySize)
	for _, test := range []struct {
		name string
		f    releaseFlags
		ok   bool
	}{
		{"none", releaseFlags{}, true},
		{"one of one", releaseFlags{[]string{key}, 1}, true},
		{"no threshold", releaseFlags{[]string{key}, 0}, false},
		{"a threshold above all", releaseFlags{[]string{key}, 2}, false},
		{"one twice", releaseFlags{[]string{key, "0x" + key}, 2}, false},
		{"half a key", releaseFlags{[]string{key[:32]}, 1}, false},
		{"a threshold without keys", releaseFlags{nil, 1}, false},
	} {
		if _, err := test.f.parse(); (err == nil) != test.ok || err != nil && !errors.Is(err, cli.ErrUsage) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}
