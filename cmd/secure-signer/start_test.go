package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/secure-signer/secure-signer/internal/config"
)

// One call makes the folder and serves; the same call then serves what is there.
func TestStartMakesTheFolderOnce(t *testing.T) {
	dir := t.TempDir()
	folder, passphrase, settings := filepath.Join(dir, "D"), filepath.Join(dir, "passphrase"), filepath.Join(dir, "settings.yaml")
	write(t, passphrase, "a passphrase that is long enough\n")
	// Hardened is this process, that of the tests, and for good.
	write(t, settings, "network: hoodi\nhttp-listen-port: 0\nmetrics-listen-port: 0\nmanagement-listen-port: 0\nhardening: off\npassphrase-file: "+passphrase+"\n")
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

// The example for measured images has settings only that some command knows, those
// that are commented out, too.
func TestTheExampleForMeasuredImagesIsKnown(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "hardware", "example", "secure-signer.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	all := regexp.MustCompile(`(?m)^# ([a-z-]+:|  - )`).ReplaceAllString(string(text), "$1")
	if strings.Count(all, "\n  - ") != 3 || strings.Contains(all, "# step:") {
		t.Fatalf("not all is uncommented:\n%s", all)
	}
	file := filepath.Join(t.TempDir(), "settings.yaml")
	write(t, file, all)
	commands := []*cobra.Command{initCommand(), handOverCommand(), serveCommand()}
	var known []*pflag.FlagSet
	for _, c := range commands {
		known = append(known, c.Flags())
	}
	for _, c := range commands {
		c.Flags().String(config.FileFlag, file, "")
		if err := config.Merge(c.Flags(), prefix, known...); err != nil {
			t.Errorf("%s: %v", c.Name(), err)
		}
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
