package http_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

func TestTheTokenIsReloaded(t *testing.T) {
	t.Parallel()
	for _, bySignal := range []bool{true, false} {
		f := initMainnet(t)
		d := daemon.Serve(t, f)
		file := filepath.Join(f.Path, "api-token.txt")
		first, second := "Bearer "+token(t, f), "Bearer api-token-0x"+strings.Repeat("2", 64)
		keystores, status := d.URL+"/eth/v1/keystores", d.URL+"/signer/v1/status"

		if err := os.WriteFile(file, []byte(" \n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"api-token"}, reload(t, d, http.DefaultClient, d.URL, bySignal).Failed); diff != "" {
			t.Errorf("an empty token (-want +got):\n%s", diff)
		}
		mustAnswer(t, 200, http.DefaultClient, "GET", keystores, "", "Authorization", first)
		mustAnswer(t, 401, http.DefaultClient, "GET", keystores, "", "Authorization", "Bearer ")

		if err := os.WriteFile(file, []byte(strings.TrimPrefix(second, "Bearer ")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := reload(t, d, http.DefaultClient, d.URL, bySignal); got.Status != "completed" {
			t.Errorf("a new token: %+v", got)
		}
		for _, url := range []string{keystores, status} {
			mustAnswer(t, 403, http.DefaultClient, "GET", url, "", "Authorization", first)
			mustAnswer(t, 200, http.DefaultClient, "GET", url, "", "Authorization", second)
		}
	}
}

// TestAVaultThatCannotBeReadTakesNoKeyOutOfService: what fails is unknown, not
// removed.
func TestAVaultThatCannotBeReadTakesNoKeyOutOfService(t *testing.T) {
	t.Parallel()
	f := initMainnet(t)
	keys := interop.Keys(2)
	d := serveKeys(t, f, keys, unbound...)
	if got := reload(t, d, http.DefaultClient, d.URL, false); got.Status != "completed" {
		t.Errorf("a good vault: %+v", got)
	}
	whole := read(t, filepath.Join(f.Path, "vault"))
	for name, damage := range map[string]func(path string) error{
		"cut off": func(path string) error { return os.Truncate(path, int64(len(whole)-10)) },
		"gone":    os.Remove,
	} {
		if err := damage(filepath.Join(f.Path, "vault")); err != nil {
			t.Fatal(err)
		}
		got := reload(t, d, http.DefaultClient, d.URL, false)
		if diff := cmp.Diff(reloaded{"completed_with_errors", got.LastError, []string{"vault"}}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if strings.Contains(got.LastError, f.Path) {
			t.Errorf("everybody is told %q", got.LastError)
		}
		for _, key := range keys {
			mustSign(t, d, key, randao(7))
		}
		if err := os.WriteFile(filepath.Join(f.Path, "vault"), whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if len(listed(t, d)) != len(keys) {
		t.Error("a key is missing from the lists")
	}
}

// TestWhileAReloadWaits: a reload that waits for another process is the only one,
// and keeps nobody waiting.
func TestWhileAReloadWaits(t *testing.T) {
	t.Parallel()
	f := initMainnet(t)
	key := interop.New(0)
	d := serveKeys(t, f, []interop.Key{key}, unbound...)
	route := d.URL + "/reload"
	if got := mustAnswer(t, 200, http.DefaultClient, "GET", route, ""); got.Body != `{"status":"idle"}` {
		t.Errorf("before any reload: %s", got.Body)
	}
	if got := mustAnswer(t, 405, http.DefaultClient, "DELETE", route, ""); got.Reason() != "method_not_allowed" {
		t.Errorf("DELETE: %s", got.Body)
	}
	mustAnswer(t, 403, http.DefaultClient, "POST", route, "", "Sec-Fetch-Site", "cross-site", "Origin", "https://attacker.example")

	lock, err := os.OpenFile(filepath.Join(f.Path, "vault.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if got := mustAnswer(t, 202, http.DefaultClient, "POST", route, ""); !strings.HasPrefix(got.Body, `{"code":202,"message":"`) {
		t.Errorf("POST: %s", got.Body)
	}
	for range 3 {
		if got := mustAnswer(t, 409, http.DefaultClient, "POST", route, ""); got.Reason() != "reloading" {
			t.Errorf("a second POST: %s", got.Body)
		}
		if got := mustAnswer(t, 200, http.DefaultClient, "GET", route, ""); got.Body != `{"status":"running"}` {
			t.Errorf("while it runs: %s", got.Body)
		}
		mustSign(t, d, key, attestation(1, 2, 1))
		mustAnswer(t, 200, http.DefaultClient, "GET", d.URL+"/healthcheck", "")
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the reload has ended", func() bool { return strings.Contains(d.Log(), `msg="reload ended" status=completed`) })
	mustAnswer(t, 202, http.DefaultClient, "POST", route, "")
	if d.Stop() != 0 {
		t.Error("no clean stop")
	}
}
