package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// One call makes the folder and serves; the same call then serves what is there.
func TestStartMakesTheFolderOnce(t *testing.T) {
	dir := t.TempDir()
	folder, passphrase, settings := filepath.Join(dir, "D"), filepath.Join(dir, "passphrase"), filepath.Join(dir, "settings.yaml")
	write(t, passphrase, "a passphrase that is long enough\n")
	// Hardened is this process, that of the tests, and for good.
	write(t, settings, "network: hoodi\nhttp-listen-port: 0\nmetrics-listen-port: 0\nhardening: off\npassphrase-file: "+passphrase+"\n")
	token := func() string {
		b, err := os.ReadFile(filepath.Join(folder, "api-token.txt"))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	startAndStop(t, folder, settings)
	first := token()
	startAndStop(t, folder, settings)
	if token() != first {
		t.Error("the second start made the folder anew")
	}
	if err := os.Remove(filepath.Join(folder, "vault")); err != nil {
		t.Fatal(err)
	}
	if code := run(t.Context(), []string{"start", "--data-dir", folder, "--config", settings}, nil, io.Discard, io.Discard); code == 0 {
		t.Error("half a folder was served, or made anew")
	}
}

// startAndStop starts until the signer says that it serves, and stops it.
func startAndStop(t *testing.T, folder, settings string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out, in := io.Pipe()
	var log strings.Builder
	ended := make(chan int)
	go func() {
		code := run(ctx, []string{"start", "--data-dir", folder, "--config", settings}, nil, in, &log)
		in.Close()
		ended <- code
	}()
	served := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.Contains(lines.Text(), "Secure Signer") {
			served = true
			stop()
		}
	}
	if code := <-ended; code != 0 || !served {
		t.Fatalf("exit code %d, served %v\n%s", code, served, log.String())
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
