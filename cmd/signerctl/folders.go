package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/secure-signer/secure-signer/bls"
)

// A source is a keystore on this machine, and where its password is.
type source struct {
	file   string
	secret string // the file with its password; "" where it is that of all others
	lacks  string // the file that should hold its password, and is not there
}

// A layout is how a program keeps keystores, as far as it was recognised.
type layout struct {
	of      string // which program's
	secrets string // the folder with the passwords; "" where all have the same
	sources []source
}

// layoutOf recognises a folder. Each program has one way that no other has, so that
// what is found first is what it is.
func layoutOf(dir string) (layout, error) {
	for _, recognise := range []func(string) (layout, error){keyFolders, insideDataFolder, twins, depositTool} {
		if l, err := recognise(dir); err != nil || len(l.sources) > 0 {
			return l, err
		}
	}
	return layout{}, noKeystores(dir)
}

// keyFolders recognises a folder for each key, named by it: Lighthouse's and
// Lodestar's voting-keystore.json, Nimbus' keystore.json, and the keystore*.json of the
// deposit tool that Lighthouse leaves under its name. The passwords are in files named
// by the keys, in a folder "secrets" beside it.
func keyFolders(dir string) (l layout, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return l, err
	}
	l.of = "Lighthouse, Lodestar or Nimbus"
	for _, secrets := range []string{filepath.Join(dir, "..", "secrets"), filepath.Join(dir, "secrets")} {
		if isDir(secrets) {
			l.secrets = secrets
			break
		}
	}
	for _, e := range entries {
		if _, err := bls.ParsePublicKey(e.Name()); err != nil || !strings.HasPrefix(e.Name(), "0x") || !isDir(filepath.Join(dir, e.Name())) {
			continue
		}
		files, err := keystoresIn(filepath.Join(dir, e.Name()), "*keystore*.json")
		if err != nil {
			return l, err
		}
		for _, file := range files {
			l.add(file, e.Name())
		}
	}
	return l, nil
}

// insideDataFolder recognises the data folder that key folders lie in.
func insideDataFolder(dir string) (layout, error) {
	for _, name := range []string{"validators", "keystores"} {
		if inner := filepath.Join(dir, name); isDir(inner) {
			if l, err := keyFolders(inner); err != nil || len(l.sources) > 0 {
				return l, err
			}
		}
	}
	return layout{}, nil
}

// twins recognises Teku's folders: NAME.json in keys, NAME.txt in passwords; or both
// in one.
func twins(dir string) (layout, error) {
	keys, secrets := dir, dir
	switch {
	case isDir(filepath.Join(dir, "keys")) && isDir(filepath.Join(dir, "passwords")):
		keys, secrets = filepath.Join(dir, "keys"), filepath.Join(dir, "passwords")
	case filepath.Base(dir) == "keys" && isDir(filepath.Join(dir, "..", "passwords")):
		secrets = filepath.Join(dir, "..", "passwords")
	}
	l := layout{of: "Teku", secrets: secrets}
	files, err := keystoresIn(keys, "*.json")
	for _, file := range files {
		l.add(file, strings.TrimSuffix(filepath.Base(file), ".json")+".txt")
	}
	if l.withSecret() == 0 {
		return layout{}, err
	}
	return l, err
}

// depositTool recognises the deposit tools' folder, and a backup of Prysm's that was
// unpacked: one password for all.
func depositTool(dir string) (layout, error) {
	files, err := keystoresIn(dir, "keystore*.json")
	l := layout{of: "a deposit tool or Prysm"}
	for _, file := range files {
		l.sources = append(l.sources, source{file: file})
	}
	return l, err
}

// add adds a keystore whose password is in the file of that name, if there is a
// folder of passwords.
func (l *layout) add(file, secret string) {
	s := source{file: file}
	if l.secrets != "" {
		s.secret = filepath.Join(l.secrets, secret)
		if _, err := os.Stat(s.secret); errors.Is(err, fs.ErrNotExist) {
			s.secret, s.lacks = "", s.secret
		}
	}
	l.sources = append(l.sources, s)
}

func (l *layout) withSecret() int {
	n := 0
	for _, s := range l.sources {
		if s.secret != "" {
			n++
		}
	}
	return n
}

// String is a line for whoever has to see that it was recognised rightly.
func (l *layout) String() string {
	text := fmt.Sprintf("keystores as of %s: %d", l.of, len(l.sources))
	if l.secrets == "" {
		return text + ", under one password for all"
	}
	return fmt.Sprintf("%s, %d of them with a password in %s", text, l.withSecret(), l.secrets)
}

// noKeystores says what a folder is, if that is known.
func noKeystores(dir string) error {
	for _, file := range []string{"all-accounts.keystore.json", "direct/accounts/all-accounts.keystore.json", "accounts/all-accounts.keystore.json"} {
		if _, err := os.Stat(filepath.Join(dir, file)); err == nil {
			return fmt.Errorf("%s is a wallet of Prysm's: export its keys with \"validator accounts backup\", unpack the backup.zip, and import that folder", dir)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "backup.zip")); err == nil {
		return fmt.Errorf("%s holds a backup.zip: unpack it, and import that folder", dir)
	}
	return fmt.Errorf("%s holds no keystore*.json, and no folders of a client's: name the files", dir)
}

// historyIn finds a client's own slashing protection data in a folder or around it.
func historyIn(dir string) (file string, found bool) {
	for _, around := range []string{dir, filepath.Join(dir, "validators"), filepath.Join(dir, "..")} {
		for _, name := range []string{"slashing_protection.sqlite", "slashing_protection.sqlite3", "slashprotection", "validator-db", "validator.db"} {
			file = filepath.Join(around, name)
			if _, err := os.Stat(file); err == nil {
				return file, true
			}
		}
	}
	return "", false
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// keystoresIn lists the files in a folder that match a pattern.
func keystoresIn(dir, pattern string) ([]string, error) {
	return filepath.Glob(filepath.Join(escapeGlob(dir), pattern))
}

// escapeGlob keeps a folder's name from being read as a pattern.
func escapeGlob(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}
