package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/internal/config"
	"github.com/secure-signer/secure-signer/internal/durable"
	"github.com/secure-signer/secure-signer/keystore"
	"github.com/secure-signer/secure-signer/mnemonic"
)

// mnemonicFlags say from which words keys are derived, and which of them.
type mnemonicFlags struct {
	file           string
	draw           bool
	passphraseFile string
	first          uint32
	interchange    string
	passwordFile   string
}

func (f *mnemonicFlags) define(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.file, "mnemonic-file", "", "derive the keys from the words in `file`; - asks for them on the terminal")
	flags.BoolVar(&f.draw, "new-mnemonic", false, "derive the keys from 24 new words, which are shown on the terminal for you to write down")
	flags.StringVar(&f.passphraseFile, "mnemonic-passphrase-file", "", "`file` with the passphrase of the words, if they have one")
	flags.Uint32Var(&f.first, "first-index", 0, "with a mnemonic: `index` of the first key")
	flags.StringVar(&f.interchange, "slashing-protection", "", "with a mnemonic: `file` with the keys' EIP-3076 slashing protection data")
	flags.StringVar(&f.passwordFile, "password-file", "", "with a mnemonic and --out: `file` with the password of the keystores; asked for on a terminal if left out")
}

// given tells whether keys are derived from words at all.
func (f *mnemonicFlags) given() bool { return f.file != "" || f.draw }

// needsMnemonic tells whether flags were given that mean nothing without words.
func (f *mnemonicFlags) needsMnemonic() bool { return *f != mnemonicFlags{} && !f.given() }

// checkMnemonic refuses flags that contradict each other.
func (f *generateFlags) checkMnemonic() error {
	w := f.words
	switch {
	case w.file != "" && w.draw:
		return fmt.Errorf("%w: give one of --mnemonic-file and --new-mnemonic", cli.ErrUsage)
	case f.attested != attestedFlags{} || f.address != "" || f.credentials != "" || f.compounding || f.nonce != "":
		return fmt.Errorf("%w: keys of a mnemonic are not made inside the signer: leave --attest and what belongs to it out, or write keystores with --out and bring them with signerctl keys import --attest", cli.ErrUsage)
	case uint64(w.first)+uint64(f.count) > 1<<32:
		return fmt.Errorf("%w: --first-index %d: the last index is %d", cli.ErrUsage, w.first, uint32(1<<32-1))
	case f.out != "" && w.interchange != "":
		return fmt.Errorf("%w: keystores hold no slashing protection data: leave --slashing-protection out, and give it to signerctl keys import", cli.ErrUsage)
	case f.out == "" && w.passwordFile != "":
		return fmt.Errorf("%w: --password-file is for the keystores of --out", cli.ErrUsage)
	}
	return nil
}

// generateFromMnemonic brings derived keys into service, or writes them to keystores.
func (c *tool) generateFromMnemonic(ctx context.Context, f generateFlags) error {
	if err := f.checkMnemonic(); err != nil {
		return err
	}
	if f.out != "" {
		return c.writeDerived(ctx, f)
	}
	signer, err := c.client()
	if err != nil {
		return err
	}
	history, err := readInterchange(ctx, f.words.interchange)
	if err != nil {
		return err
	}
	if err := c.goOn(ctx, signer, nil, nil); err != nil { // before words are shown that would be of no use
		return fmt.Errorf("no key was made: %w", err)
	}
	tree, err := c.openTree(ctx, f.words)
	if err != nil {
		return fmt.Errorf("no key was made: %w", err)
	}
	defer tree.Wipe()
	keys := derivedKeys(tree, f)
	if err := c.goOn(ctx, signer, keys, history); err != nil {
		return fmt.Errorf("no key was made: %w", err)
	}
	if err := c.sealDerived(tree, f, keys); err != nil {
		return fmt.Errorf("no key was made: %w", err)
	}
	sendErr := c.send(ctx, signer, keys, history)
	return errors.Join(c.printImported(keys, history), sendErr, failures(keys))
}

// openTree reads or draws words.
func (c *tool) openTree(ctx context.Context, f mnemonicFlags) (*mnemonic.Tree, error) {
	var passphrase []byte
	if f.passphraseFile != "" {
		var warning string
		var err error
		if passphrase, warning, err = config.Passphrase(ctx, f.passphraseFile, "signerctl-mnemonic-passphrase", c.stdin, c.stderr); err != nil {
			return nil, err
		}
		c.warn(warning)
		defer clear(passphrase)
	}
	words, err := c.words(ctx, f)
	if err != nil {
		return nil, err
	}
	return words.Tree(string(passphrase))
}

func (c *tool) words(ctx context.Context, f mnemonicFlags) (mnemonic.Mnemonic, error) {
	if f.draw {
		return c.drawWords(ctx)
	}
	text, err := c.wordsText(ctx, f.file)
	if err != nil {
		return mnemonic.Mnemonic{}, fmt.Errorf("read mnemonic: %w", err)
	}
	defer clear(text)
	m, err := mnemonic.Parse(string(text))
	if err != nil {
		return m, fmt.Errorf("--mnemonic-file %s: %w", f.file, err)
	}
	return m, nil
}

// maxWords is more than 24 words take, in bytes.
const maxWords = 4096

func (c *tool) wordsText(ctx context.Context, file string) ([]byte, error) {
	if file == "-" {
		fmt.Fprintln(c.stderr, "What is asked for are the words of the mnemonic, in one line. They are not shown.")
		text, _, err := config.Passphrase(ctx, "", "signerctl-mnemonic", c.stdin, c.stderr)
		if errors.Is(err, config.ErrNoTerminal) {
			return nil, fmt.Errorf("%w: there is no terminal to ask on: name a file", cli.ErrUsage)
		}
		return text, err
	}
	text, err := readFile(file, maxWords)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(file)
	if err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		c.warn(fmt.Sprintf("%s has mode %#o, so others can read it: chmod 600 %s", file, info.Mode().Perm(), file))
	}
	return text, err
}

func (c *tool) warn(warning string) {
	if warning != "" {
		fmt.Fprintf(c.stderr, "warning: %s\n", warning)
	}
}

// derivedKeys lists the keys that f is about, none of them secret.
func derivedKeys(tree *mnemonic.Tree, f generateFlags) []*imported {
	keys := make([]*imported, f.count)
	for i := range keys {
		index := f.words.first + uint32(i)
		secret := tree.Key(index)
		pub := secret.PublicKey()
		secret.Wipe()
		keys[i] = &imported{Path: mnemonic.Path(index), Pubkey: &pub, Status: statusPending}
	}
	return keys
}

// sealDerived makes the keystores of those that are not in service yet, under a
// password that lives as long as this command.
func (c *tool) sealDerived(tree *mnemonic.Tree, f generateFlags, keys []*imported) error {
	password := rand.Text()
	progress := c.progress("derived")
	defer progress.end()
	for i, k := range keys {
		if k.Status == statusPending {
			text, err := derivedKeystore(tree, f.words.first+uint32(i), password, keystore.WithPBKDF2())
			if err != nil {
				return err
			}
			k.text, k.password = string(text), password
		}
		progress.report(i+1, len(keys))
	}
	return nil
}

func derivedKeystore(tree *mnemonic.Tree, index uint32, password string, options ...keystore.Option) ([]byte, error) {
	secret := tree.Key(index)
	defer secret.Wipe()
	return keystore.Encrypt(secret, password, append(options, keystore.WithPath(mnemonic.Path(index)))...)
}

// A derived key is one that was written to a keystore.
type derived struct {
	Pubkey bls.PublicKey `json:"pubkey"`
	Path   string        `json:"path"`
	File   string        `json:"file"`
}

// writeDerived writes keystores under the names that the deposit tools give them.
func (c *tool) writeDerived(ctx context.Context, f generateFlags) error {
	if err := os.Mkdir(f.out, 0o700); err != nil {
		return fmt.Errorf("no key was made: --out: %w", err)
	}
	written, err := c.deriveInto(ctx, f)
	if len(written) == 0 {
		return errors.Join(fmt.Errorf("no key was made: %w", err), os.Remove(f.out))
	}
	err = errors.Join(err, durable.SyncDir(filepath.Dir(f.out)))
	if c.json {
		return errors.Join(err, c.printJSON(struct {
			Keys []derived `json:"keys"`
		}{written}))
	}
	for _, k := range written {
		if _, err := fmt.Fprintln(c.stdout, k.Pubkey); err != nil {
			return err
		}
	}
	fmt.Fprintf(c.stderr, "%s in keystores in %s, and in the words that they come from: bring them into service with signerctl keys import %s.\n", count(len(written)), f.out, f.out)
	return err
}

func (c *tool) deriveInto(ctx context.Context, f generateFlags) ([]derived, error) {
	password, err := c.newPassword(ctx, f.words.passwordFile)
	if err != nil {
		return nil, err
	}
	tree, err := c.openTree(ctx, f.words)
	if err != nil {
		return nil, err
	}
	defer tree.Wipe()
	progress := c.progress("written")
	defer progress.end()
	var written []derived
	now := time.Now().Unix()
	for i, k := range derivedKeys(tree, f) {
		if ctx.Err() != nil {
			return written, fmt.Errorf("interrupted: %d of %d keystores are written", i, f.count)
		}
		text, err := derivedKeystore(tree, f.words.first+uint32(i), password)
		if err != nil {
			return written, err
		}
		file := filepath.Join(f.out, fmt.Sprintf("keystore-%s-%d.json", strings.ReplaceAll(k.Path, "/", "_"), now))
		if err := keepText(file, text); err != nil {
			return written, fmt.Errorf("%d of %d keystores are written: %w", i, f.count, err)
		}
		written = append(written, derived{*k.Pubkey, k.Path, file})
		progress.report(i+1, f.count)
	}
	return written, nil
}

// newPassword reads the password that keystores are written under.
func (c *tool) newPassword(ctx context.Context, file string) (string, error) {
	if file == "" && c.onTerminal() {
		fmt.Fprintln(c.stderr, "What is asked for is a password for the keystores.")
	}
	password, err := config.NewPassphrase(ctx, file, "signerctl-keystore-password", c.stdin, c.stderr)
	if errors.Is(err, config.ErrNoTerminal) {
		return "", fmt.Errorf("%w: give the keystores' password with --password-file: there is no terminal to ask on", cli.ErrUsage)
	}
	defer clear(password)
	return string(password), err
}

// clearScreen and what has scrolled out of it. Source: ECMA-48, CUP and ED; ED 3 is
// xterm's.
const clearScreen = "\x1b[H\x1b[2J\x1b[3J"

// drawWords draws words and has them written down. Only a terminal sees them.
func (c *tool) drawWords(ctx context.Context) (mnemonic.Mnemonic, error) {
	if f, ok := c.stderr.(*os.File); !c.onTerminal() || !ok || !isTerminal(f) {
		return mnemonic.Mnemonic{}, fmt.Errorf("%w: --new-mnemonic shows the words on a terminal, and asks for some of them: redirect neither the input nor the errors", cli.ErrUsage)
	}
	m := mnemonic.New()
	err := writtenDown(m.Words(), func(text, label string) (string, error) {
		fmt.Fprint(c.stderr, text)
		return c.ask(ctx, label)
	})
	fmt.Fprint(c.stderr, clearScreen)
	return m, err
}

// What is asked for of words that were shown, and how often.
const (
	askedWords = 4
	maxTries   = 3
)

// writtenDown shows the words once, and asks for some to see that they were written
// down: ask shows a text, and asks for a line.
func writtenDown(words []string, ask func(text, label string) (string, error)) error {
	text := clearScreen + "These are the words that your keys come from. Whoever has them has the keys; without them\n" +
		"the keys are lost when the signer is. Write them down on paper, in this order, and on nothing else:\n\n"
	for i, word := range words {
		text += fmt.Sprintf("%6d %-9s", i+1, word)
		if i%4 == 3 {
			text += "\n"
		}
	}
	if _, err := ask(text+"\n", "Press Enter when that is done: they are not shown again. "); err != nil {
		return err
	}
	text = clearScreen
	for _, place := range somePlaces(len(words)) {
		for try := 1; ; try++ {
			answer, err := ask(text, fmt.Sprintf("Word number %d: ", place+1))
			if err != nil {
				return err
			}
			if strings.ToLower(strings.TrimSpace(answer)) == words[place] {
				break
			}
			if try == maxTries {
				return fmt.Errorf("word number %d is another: throw the paper away and begin again, with other words", place+1)
			}
			text = "That is another word: look again.\n"
		}
		text = ""
	}
	return nil
}

// somePlaces draws askedWords of n places, in order.
func somePlaces(n int) []int {
	var places []int
	for len(places) < askedWords {
		b := make([]byte, 1)
		rand.Read(b)
		if place := int(b[0]) % n; !slices.Contains(places, place) {
			places = append(places, place)
		}
	}
	slices.Sort(places)
	return places
}
