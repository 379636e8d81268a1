// Package http_test drives the real daemon as its users do: by its command
// line, its data folder, its HTTP and its signals. Nothing here looks inside.
//
// What comes out is compared with what other implementations made (signing-root
// vectors, requests recorded from real clients) or judged by package judge,
// never by the signer's own code.
package http_test

import (
	"os"
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

func TestMain(m *testing.M) { os.Exit(daemon.Main(m)) }

// unbound lets a daemon sign messages of any time, with keys that arrive
// without history: what a replay of old messages needs.
var unbound = []string{"--max-future-epochs", "off", "--new-key-floor", "none", "--allow", "DEPOSIT,VOLUNTARY_EXIT"}

// serveKeys starts a daemon that holds the keys.
func serveKeys(t *testing.T, f daemon.Folder, keys []interop.Key, flags ...string) *daemon.Daemon {
	t.Helper()
	d := daemon.Serve(t, f, flags...)
	d.Import(t, keys, "")
	return d
}

// mustSign returns the signature of a request that has to be signed.
func mustSign(t *testing.T, d *daemon.Daemon, key interop.Key, body string, accept ...string) string {
	t.Helper()
	answer, err := d.Sign(key.Public, []byte(body), accept...)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := answer.Signature()
	if err != nil {
		t.Fatalf("%.120s: %v", body, err)
	}
	return signature
}

// mustRefuse checks the status and the reason of a refusal, and returns it.
func mustRefuse(t *testing.T, d *daemon.Daemon, key interop.Key, body string, status int, reason string) daemon.Answer {
	t.Helper()
	answer, err := d.Sign(key.Public, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if answer.Status != status || answer.Reason() != reason {
		t.Errorf("%.120s: %d %s, want %d %s", body, answer.Status, strings.TrimSpace(answer.Body), status, reason)
	}
	return answer
}

// ending is the end of a daemon's log, for a failure's message.
func ending(d *daemon.Daemon) string {
	lines := strings.Split(strings.TrimSpace(d.Log()), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}
