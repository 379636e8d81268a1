package datadir

import (
	"fmt"
	"os"
	"syscall"
)

// CheckOwner refuses to replace a file of the folder as another user than its
// own: the daemon could not read the new one at its next start.
func (d Dir) CheckOwner() error {
	info, err := os.Stat(d.Config())
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(stat.Uid) == os.Geteuid() {
		return nil
	}
	return fmt.Errorf("%s belongs to user %d, who could not read what user %d writes: run this as that user: sudo -u '#%d' …",
		d.path, stat.Uid, os.Geteuid(), stat.Uid)
}
