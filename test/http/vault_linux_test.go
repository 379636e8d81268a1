package http_test

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

// TestAVaultThatCouldNotBeWrittenShows: the disk is full when keys arrive. Those
// in service sign on, and /healthcheck and /reload say that a restart is needed.
func TestAVaultThatCouldNotBeWrittenShows(t *testing.T) {
	t.Parallel()
	const check = `"vault-check/needs-restart"`
	disk := smallDisk(t)
	keys := interop.Keys(100) // more than fit into the page that the vault has begun
	f := daemon.InitAt(t, disk, mainnet)
	d := serveKeys(t, f, keys[:1], unbound...)
	if health := mustAnswer(t, 200, http.DefaultClient, "GET", d.URL+"/healthcheck", ""); strings.Contains(health.Body, check) {
		t.Errorf("on an empty disk: %s", health.Body)
	}
	ballast := fill(t, disk)
	failed := ""
	for _, key := range keys[1:] {
		answer := mustAnswer(t, 200, http.DefaultClient, "POST", d.URL+"/eth/v1/keystores", importOf(t, key, ""), "Authorization", "Bearer "+token(t, f))
		if strings.Contains(answer.Body, `"error"`) {
			failed = answer.Body
			break
		}
	}
	if !strings.Contains(failed, "no space left on device") {
		t.Fatalf("the disk is not full: %s", failed)
	}
	mustSign(t, d, keys[0], randao(1))
	health := mustAnswer(t, 200, http.DefaultClient, "GET", d.URL+"/healthcheck", "")
	if !strings.HasPrefix(health.Body, `{"status":"UP"`) || !strings.Contains(health.Body, check) {
		t.Errorf("healthcheck %s", health.Body)
	}
	if got := reload(t, d, http.DefaultClient, d.URL, false); len(got.Failed) != 1 || got.Failed[0] != "vault" {
		t.Errorf("reload %+v", got)
	}

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if d.Stop() != 0 {
		t.Errorf("no clean stop\n%s", ending(d))
	}
	d = daemon.Serve(t, f, unbound...)
	if health := mustAnswer(t, 200, http.DefaultClient, "GET", d.URL+"/healthcheck", ""); strings.Contains(health.Body, check) {
		t.Errorf("after a restart: %s", health.Body)
	}
	mustSign(t, d, keys[0], randao(1))
	d.Import(t, keys[99:], "")
}
