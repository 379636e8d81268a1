package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/secure-signer/secure-signer/internal/datadir"
)

// examineFolder opens a data folder and looks at who else may read it.
func (e *examination) examineFolder(path string) {
	folder, err := datadir.Open(path)
	if err != nil {
		e.fail("folder", "see the message; docs/backup.md has a table of what may be wrong with a folder", "%v", err)
		return
	}
	e.folder = &folder
	for _, part := range []string{folder.Vault(), folder.Journal(), folder.TokenFile()} {
		if _, err := os.Stat(part); err != nil {
			e.fail("folder", "docs/backup.md says what to do about each part that is missing", "%v", err)
			return
		}
	}
	e.ok("folder", "%s is for %s", path, folder.Network.Name)
	var open, foreign, future []string
	owner := -1
	err = filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it has just gone: a journal's old segment, say
		}
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 && info.Mode()&fs.ModeSymlink == 0 {
			open = append(open, name)
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			if owner < 0 {
				owner = int(stat.Uid)
			} else if owner != int(stat.Uid) {
				foreign = append(foreign, name)
			}
		}
		if info.ModTime().After(e.now.Add(time.Minute)) {
			future = append(future, name)
		}
		return nil
	})
	switch {
	case err != nil:
		e.fail("permissions", "run this as the signer's user, or give the folder to it with chown -R", "%v", err)
	case len(open) > 0:
		e.fail("permissions", fmt.Sprintf("chmod -R go= %s", path), "others may get at %s", someOf(open))
	case len(foreign) > 0:
		e.fail("permissions", fmt.Sprintf("chown -R '#%d' %s, with the signer stopped", owner, path), "the folder belongs to user %d, but not %s", owner, someOf(foreign))
	default:
		e.ok("permissions", "user %d alone may read and write it", owner)
	}
	if len(future) > 0 {
		e.fail("clock", "set the clock right, then restart the signer: docs/operations.md, \"The clock was wrong\"", "the clock was set back, or was ahead: %s was written in what is now the future", someOf(future))
	}
}

// someOf names the first of some.
func someOf(names []string) string {
	if len(names) == 1 {
		return names[0]
	}
	return fmt.Sprintf("%s and %d more", names[0], len(names)-1)
}

// examineCopies looks for whatever could be started beside this signer with the
// same keys: folders beside this one, and folders that other signers here serve.
func (e *examination) examineCopies(path string) {
	if e.folder == nil {
		return
	}
	left, _ := filepath.Glob(e.folder.Journal() + ".lost-*")
	if len(left) > 0 {
		e.warn("copies", "once the validators have signed for some epochs, move it to an archive or remove it; never rename it to journal", "%s is a damaged journal that restore has put aside", someOf(left))
	}
	vault, err := head(e.folder.Vault())
	if err != nil {
		e.fail("folder", "run this as the signer's user", "%v", err)
		return
	}
	here, _ := os.Stat(path)
	isCopy := func(other string) bool {
		info, err := os.Stat(other)
		if err != nil || os.SameFile(info, here) {
			return false
		}
		text, err := head(datadir.At(other).Vault())
		return err == nil && bytes.Equal(text, vault)
	}
	found := len(left) > 0
	for _, s := range e.host.signers() {
		if s.folder != "" && isCopy(s.folder) {
			found = true
			e.fail("copies", fmt.Sprintf("stop one of the two at once (process %d, or this signer), then see docs/operations.md, \"Suspected double signing\"", s.pid), "process %d serves %s, a copy of this folder", s.pid, s.folder)
		}
	}
	beside, _ := filepath.Glob(filepath.Join(filepath.Dir(filepath.Clean(path)), "*", "vault"))
	for _, other := range beside {
		if dir := filepath.Dir(other); isCopy(dir) {
			found = true
			e.warn("copies", "never start it; archive it as a backup is archived, or remove it", "%s is a copy of this folder", dir)
		}
	}
	if !found {
		e.ok("copies", "no other copy of this folder is beside it, or served on this machine")
	}
}

// head is the beginning of a vault, by which copies know each other: it holds
// salts and wrapped keys that are drawn at random.
func head(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text := make([]byte, 128)
	n, err := io.ReadFull(f, text)
	if err != nil && n == 0 {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return text[:n], nil
}

// backupAge is how old the newest backup may be: slashing protection grows old in
// minutes anyway, the settings and keys in it do not.
const backupAge = 31 * 24 * time.Hour

func (e *examination) examineBackups(folder, backups string) {
	const fix = "signerctl backup FILE, and keep the file on another machine"
	if backups == "" || e.folder == nil {
		return
	}
	newest, err := newestIn(backups)
	if err != nil {
		e.warn("backup", fix, "no backup: %v", err)
		return
	}
	vault, err := os.Stat(e.folder.Vault())
	age := e.now.Sub(newest).Round(time.Minute)
	switch {
	case err == nil && vault.ModTime().After(newest):
		e.warn("backup", fix, "the vault of %s has changed since the last backup, %v ago: its keys may be in no backup", folder, age)
	case age > backupAge:
		e.warn("backup", fix, "the last backup is %d days old", int(age.Hours()/24))
	default:
		e.ok("backup", "the last is %v old, and newer than the vault's last change", age)
	}
}

// newestIn is when the newest file of a folder was written, or the file itself.
func newestIn(path string) (newest time.Time, err error) {
	err = filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.ModTime().After(newest) {
			newest = info.ModTime()
		}
		return err
	})
	if err == nil && newest.IsZero() {
		err = fmt.Errorf("nothing is in %s", path)
	}
	return newest, err
}

// examinePassphrase looks at who may read the passphrase, and with what else.
func (e *examination) examinePassphrase(path, folder string) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		e.fail("passphrase", "without the passphrase neither vault nor backup opens: bring the file back", "%v", err)
	case info.Mode().Perm()&0o077 != 0:
		e.fail("passphrase", "chmod go= "+path, "others may read %s", path)
	case folder != "" && within(path, folder):
		e.warn("passphrase", "keep it elsewhere, best as a systemd credential: docs/security.md", "%s is in the data folder: whoever copies the folder has the keys", path)
	default:
		e.ok("passphrase", "only its owner may read %s", path)
	}
}

func within(path, folder string) bool {
	a, err := filepath.Abs(path)
	if err != nil {
		return false
	}
	b, err := filepath.Abs(folder)
	if err != nil {
		return false
	}
	rel, err := filepath.Rel(b, a)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}
