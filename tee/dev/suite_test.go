package dev_test

import (
	"path/filepath"
	"testing"

	"github.com/secure-signer/secure-signer/attest"
	verifier "github.com/secure-signer/secure-signer/attest/dev"
	"github.com/secure-signer/secure-signer/tee"
	"github.com/secure-signer/secure-signer/tee/dev"
	"github.com/secure-signer/secure-signer/tee/teetest"
)

func TestPlatform(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	start := func(t *testing.T, program int) *dev.Platform {
		t.Helper()
		p, err := dev.Open(root)
		if err != nil {
			t.Fatal(err)
		}
		p.Measurement = attest.Hex{byte(program)}
		return p
	}
	teetest.Run(t, teetest.Suite{
		New:      func(t *testing.T, program int) tee.Platform { return start(t, program) },
		Verifier: verifier.Verifier{Roots: []attest.Digest{start(t, 0).Root()}},
		Seals:    true,
	})
}
