package config

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/term"
)

// maxPassphrase bounds what is read: a wrong path must not fill the memory.
const maxPassphrase = 4096

// ErrNoTerminal says that there is nobody to ask.
var ErrNoTerminal = errors.New("no passphrase: give --passphrase-file, or run on a terminal to be asked")

// Passphrase reads a passphrase from file, if one is named; else from the
// systemd credential of that name, if there is one; else from the terminal,
// without echo. Its bytes are used as they are, but for one newline at the
// end. The warning, if any, is for the operator's eyes. The end of ctx ends the
// asking.
func Passphrase(ctx context.Context, file, credential string, stdin io.Reader, stderr io.Writer) (passphrase []byte, warning string, err error) {
	if file = orCredential(file, credential); file != "" {
		return fromFile(file)
	}
	passphrase, err = prompt(ctx, "Passphrase: ", stdin, stderr)
	return passphrase, "", err
}

// orCredential returns file, or the path of the systemd credential if there is
// one. One that cannot be looked at is taken for there, and fails to be read.
func orCredential(file, credential string) string {
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	if file != "" || dir == "" {
		return file
	}
	path := filepath.Join(dir, credential)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return path
}

// NewPassphrase reads a passphrase that is being chosen: from file or from the
// systemd credential, with any warning written to stderr; else from the
// terminal, where it is asked for twice, until ctx ends.
func NewPassphrase(ctx context.Context, file, credential string, stdin io.Reader, stderr io.Writer) ([]byte, error) {
	if file = orCredential(file, credential); file != "" {
		passphrase, warning, err := fromFile(file)
		if warning != "" {
			fmt.Fprintf(stderr, "warning: %s\n", warning)
		}
		return passphrase, err
	}
	first, err := prompt(ctx, "New passphrase: ", stdin, stderr)
	if err != nil {
		return nil, err
	}
	second, err := prompt(ctx, "Again: ", stdin, stderr)
	defer clear(second)
	if err == nil && !bytes.Equal(first, second) {
		err = errors.New("the two passphrases differ: nothing was done")
	}
	if err != nil {
		clear(first)
		return nil, err
	}
	return first, nil
}

func fromFile(path string) ([]byte, string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, "", fmt.Errorf("read passphrase: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, "", fmt.Errorf("read passphrase: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxPassphrase+3)) // a newline, and one byte too many
	if err != nil {
		return nil, "", fmt.Errorf("read passphrase: %w", err)
	}
	passphrase, err := trim(text)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", path, err)
	}
	var warning string
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		warning = fmt.Sprintf("%s has mode %#o, so others can read it: chmod 600 %s", path, mode, path)
	}
	return passphrase, warning, nil
}

// trim takes one newline off the end and refuses what cannot be meant.
func trim(text []byte) ([]byte, error) {
	if line, ok := bytes.CutSuffix(text, []byte("\n")); ok {
		text = bytes.TrimSuffix(line, []byte("\r")) // as written on Windows
	}
	switch {
	case len(text) == 0:
		return nil, errors.New("the passphrase is empty")
	case len(text) > maxPassphrase:
		return nil, fmt.Errorf("the passphrase is longer than %d bytes: is this the right file?", maxPassphrase)
	case bytes.Contains(text, []byte("\n")):
		return nil, errors.New("the passphrase has more than one line: is this the right file?")
	}
	return text, nil
}

// prompt gives the terminal back as it was when ctx ends: a program that catches
// interrupts would otherwise be deaf to them here. What goes on reading then ends
// with the process.
func prompt(ctx context.Context, label string, stdin io.Reader, stderr io.Writer) ([]byte, error) {
	f, ok := stdin.(*os.File)
	if !ok {
		return nil, ErrNoTerminal
	}
	terminal := int(f.Fd())
	if !term.IsTerminal(terminal) {
		return nil, ErrNoTerminal
	}
	before, err := term.GetState(terminal)
	if err != nil {
		return nil, fmt.Errorf("read passphrase: %w", err)
	}
	type answer struct {
		text []byte
		err  error
	}
	typed := make(chan answer, 1)
	fmt.Fprint(stderr, label)
	go func() {
		text, err := term.ReadPassword(terminal)
		typed <- answer{text, err}
	}()
	var a answer
	select {
	case a = <-typed:
	case <-ctx.Done():
		a.err = errors.Join(ctx.Err(), term.Restore(terminal, before))
	}
	fmt.Fprintln(stderr)
	if a.err != nil {
		return nil, fmt.Errorf("read passphrase: %w", a.err)
	}
	return trim(a.text)
}
