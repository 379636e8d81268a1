package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/internal/pty"
	"github.com/secure-signer/secure-signer/mnemonic"
)

// An operator reads what a terminal shows.
type operator struct {
	terminal *os.File
	shown    string
	read     int // of shown, by waits before
}

// wait reads until something is shown that was not before.
func (o *operator) wait(t *testing.T, pattern string) []string {
	t.Helper()
	find := regexp.MustCompile(pattern)
	for {
		if at := find.FindStringIndex(o.shown[o.read:]); at != nil {
			found := find.FindStringSubmatch(o.shown[o.read:])
			o.read += at[1]
			return found
		}
		b := make([]byte, 4096)
		n, err := o.terminal.Read(b)
		if err != nil {
			t.Fatalf("%v; shown: %q", err, o.shown)
		}
		o.shown += string(b[:n])
	}
}

func (o *operator) types(t *testing.T, line string) {
	t.Helper()
	if _, err := o.terminal.WriteString(line + "\n"); err != nil {
		t.Fatal(err)
	}
}

// TestNewWordsAreShownOnATerminalAndBringTheirKeyIntoService, and to nobody else.
func TestNewWordsAreShownOnATerminalAndBringTheirKeyIntoService(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "api-token.txt"), []byte("the-token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := startSigner(filepath.Join(dir, "vault"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.stop()
	terminal, program := pty.Open(t)
	o := &operator{terminal: terminal}
	var stdout bytes.Buffer
	exit := make(chan int, 1)
	go func() {
		code := run(t.Context(), []string{"--url", s.server.URL, "--data-dir", dir, "keys", "generate", "--new-mnemonic"}, program, &stdout, program)
		program.Close() // or the terminal would be read for ever
		exit <- code
	}()

	o.wait(t, "Press Enter")
	var words []string
	for _, word := range regexp.MustCompile(`\d+ ([a-z]+)`).FindAllStringSubmatch(o.shown, -1) {
		words = append(words, word[1])
	}
	o.types(t, "")
	for range askedWords {
		var place int
		if _, err := fmt.Sscan(o.wait(t, `Word number (\d+): `)[1], &place); err != nil {
			t.Fatal(err)
		}
		o.types(t, words[place-1])
	}
	o.wait(t, `1 imported`)
	if code := <-exit; code != 0 {
		t.Errorf("exit %d; shown: %q", code, o.shown)
	}

	m, err := mnemonic.Parse(strings.Join(words, " "))
	if err != nil {
		t.Fatal(err)
	}
	tree, err := m.Tree("")
	if err != nil {
		t.Fatal(err)
	}
	pub := tree.Key(0).PublicKey()
	if held := s.custody.List(); len(held) != 1 || held[0] != pub {
		t.Errorf("in service: %v, want %v", held, pub)
	}
	if want := regexp.MustCompile(`m/12381/3600/0/0/0 +` + pub.String() + ` +imported`); !want.MatchString(stdout.String()) {
		t.Errorf("printed: %s", stdout.String())
	}
}
