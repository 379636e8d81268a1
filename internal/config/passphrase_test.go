package config

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPassphrase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secure-signer-passphrase")
	tests := []struct {
		name, text, want, err string
	}{
		{"one line", "correct horse\n", "correct horse", ""},
		{"no newline", "correct horse", "correct horse", ""},
		{"spaces are part of it", "  correct horse \n", "  correct horse ", ""},
		{"written on Windows", "correct horse\r\n", "correct horse", ""},
		{"a lone carriage return is part of it", "correct horse\r", "correct horse\r", ""},
		{"bytes that are no text", "\xff\x00\n", "\xff\x00", ""},
		{"as long as may be", strings.Repeat("x", maxPassphrase) + "\r\n", strings.Repeat("x", maxPassphrase), ""},
		{"longer than may be", strings.Repeat("x", maxPassphrase+1), "", "right file"},
		{"empty", "", "", "empty"},
		{"a newline alone", "\n", "", "empty"},
		{"a whole file by mistake", "a: 1\nb: 2\n", "", "right file"},
		{"a huge file by mistake", strings.Repeat("x", 1<<20), "", "right file"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			got, warning, err := Passphrase(t.Context(), path, "", strings.NewReader(""), os.Stderr)
			switch {
			case test.err == "" && (err != nil || string(got) != test.want || warning != ""):
				t.Errorf("got %q, %q, %v", got, warning, err)
			case test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)):
				t.Errorf("got %v, want an error that says %q", err, test.err)
			}
		})
	}
	if err := os.WriteFile(path, []byte("credential\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", filepath.Dir(path))
	if got, _, err := Passphrase(t.Context(), "", "secure-signer-passphrase", strings.NewReader(""), os.Stderr); err != nil || string(got) != "credential" {
		t.Errorf("systemd credential: got %q, %v", got, err)
	}
	if _, _, err := Passphrase(t.Context(), "", "another", strings.NewReader("typed\n"), os.Stderr); err == nil {
		t.Error("a passphrase was read from a pipe")
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, warning, err := Passphrase(t.Context(), path, "", nil, os.Stderr); err != nil || !strings.Contains(warning, "chmod 600") {
		t.Errorf("open to all: warning %q, %v", warning, err)
	}
}

func TestNewPassphraseFromAFileWarnsOnTheSpot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passphrase")
	for mode, warns := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o640: true, 0o604: true} {
		if err := os.WriteFile(path, []byte("p\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		var stderr strings.Builder
		got, err := NewPassphrase(t.Context(), path, "", nil, &stderr)
		if err != nil || string(got) != "p" || strings.Contains(stderr.String(), "chmod 600") != warns {
			t.Errorf("mode %v: got %q, %v, said %q", mode, got, err, stderr.String())
		}
	}
	t.Setenv("CREDENTIALS_DIRECTORY", filepath.Dir(path))
	if got, err := NewPassphrase(t.Context(), "", "passphrase", nil, io.Discard); err != nil || string(got) != "p" {
		t.Errorf("systemd credential: got %q, %v", got, err)
	}
	if _, err := NewPassphrase(t.Context(), filepath.Join(t.TempDir(), "none"), "", nil, os.Stderr); err == nil {
		t.Error("a missing file was passed over")
	}
}
