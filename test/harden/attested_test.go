package harden

import (
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

// A key that comes sealed is in the open inside for a moment: nothing of that is
// left.
func TestASealedImportLeavesNoKeyOutsideTheArena(t *testing.T) {
	d, _ := daemon.StartAttested(t, "mainnet", daemon.Options{})
	if !strings.Contains(d.Out(), "memory    keys secret,") {
		t.Skip("this kernel has no memory that it cannot read itself")
	}
	keys := interop.Keys(8)
	d.ImportSealed(t, "mainnet", keys)
	var secrets []secret
	for _, key := range keys {
		plain := key.Secret()
		secrets = append(secrets, secret{name: "key " + key.Hex(), bytes: plain[:]})
	}
	look(t, d, "right after a sealed import", secrets, 0)
}
