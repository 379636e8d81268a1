package http_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

// TestThePassphraseChangesUnderARunningDaemon: the daemon goes on with its keys,
// and with the vault that has been written anew.
func TestThePassphraseChangesUnderARunningDaemon(t *testing.T) {
	t.Parallel()
	keys := interop.Keys(3)
	f := initMainnet(t)
	d := serveKeys(t, f, keys[:2], unbound...)
	mustSign(t, d, keys[0], attestation(1, 2, 1))

	changed := f
	changed.Passphrase = filepath.Join(t.TempDir(), "passphrase")
	write(t, changed.Passphrase, []byte("another passphrase"))
	code, stdout, stderr := daemon.Run(t, "passphrase", "change", "--data-dir", f.Path,
		"--passphrase-file", f.Passphrase, "--new-passphrase-file", changed.Passphrase)
	if code != 0 {
		t.Fatalf("exit %d\n%s%s", code, stdout, stderr)
	}
	mustSign(t, d, keys[0], attestation(2, 3, 1))
	d.Import(t, keys[2:], "")
	if status, _ := deleted(t, d, keys[1]); status != "deleted" {
		t.Errorf("a key is %s", status)
	}
	if code := d.Stop(); code != 0 {
		t.Fatalf("exit %d\n%s", code, ending(d))
	}

	mustFailToServe(t, f, "wrong passphrase")
	d = daemon.Serve(t, changed, unbound...)
	mustRefuse(t, d, keys[0], attestation(2, 3, 2), http.StatusPreconditionFailed, "double_vote")
	mustSign(t, d, keys[0], attestation(2, 3, 1))
	mustSign(t, d, keys[2], attestation(1, 2, 1))
	mustRefuse(t, d, keys[1], attestation(1, 2, 1), http.StatusNotFound, "key_not_found")
	if info, err := os.Stat(filepath.Join(f.Path, "vault")); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode of the vault: %v, %v", info.Mode(), err)
	}
}
