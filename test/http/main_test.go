// Package http_test drives the real daemon as its users do: by its command
// line, its data folder, its HTTP and its signals. Nothing here looks inside.
//
// What comes out is compared with what other implementations made (signing-root
// vectors, requests recorded from real clients) or judged by package judge,
// never by the signer's own code.
package http_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

func TestMain(m *testing.M) {
	code := daemon.Main(m)
	os.RemoveAll(template.dir)
	os.Exit(code)
}

// unbound lets a daemon sign messages of any time, with keys that arrive
// without history: what a replay of old messages needs.
var unbound = []string{"--max-future-epochs", "off", "--new-key-floor", "none", "--allow", "DEPOSIT,VOLUNTARY_EXIT"}

// template is a new data folder for mainnet. Making one stretches the passphrase
// twice, which costs a second; copying one costs nothing.
var template struct {
	once sync.Once
	dir  string
	made daemon.Folder
}

// initMainnet makes a new data folder for mainnet.
func initMainnet(t *testing.T) daemon.Folder {
	t.Helper()
	template.once.Do(func() {
		var err error
		if template.dir, err = os.MkdirTemp("", "secure-signer-template-"); err != nil {
			t.Fatal(err)
		}
		made := daemon.Folder{Path: filepath.Join(template.dir, "data"), Passphrase: filepath.Join(template.dir, "passphrase")}
		if err := os.WriteFile(made.Passphrase, []byte("a passphrase for tests only"), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, stdout, stderr := daemon.Run(t, made.InitArgs(mainnet)...); code != 0 {
			t.Fatalf("init: exit %d\n%s%s", code, stdout, stderr)
		}
		template.made = made
	})
	if template.made.Path == "" {
		t.Fatal("there is no data folder to copy: see the first failure")
	}
	return copyFolder(t, template.made)
}

// copyFolder copies the data folder of a daemon that does not run.
func copyFolder(t *testing.T, f daemon.Folder) daemon.Folder {
	t.Helper()
	path := filepath.Join(t.TempDir(), "data")
	copyTree(t, f.Path, path)
	return daemon.Folder{Path: path, Passphrase: f.Passphrase}
}

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
