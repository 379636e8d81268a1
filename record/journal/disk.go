package journal

import (
	"io"
	"os"
	"syscall"

	"github.com/secure-signer/secure-signer/internal/durable"
)

// disk is all that the journal asks of the operating system. The order of these
// calls is the whole argument for its safety, so tests put in their place ones
// that fail or stop at a chosen call.
type disk interface {
	ReadDir(dir string) ([]os.DirEntry, error)
	ReadFile(path string) ([]byte, error)
	Create(path string) (file, error) // empty, even where there was a file
	Rename(from, to string) error
	Remove(path string) error
	SyncDir(dir string) error // makes creations, renames and removals durable
}

type file interface {
	io.WriterAt
	io.Closer
	Sync() error // makes what was written durable
}

type osDisk struct{}

func (osDisk) ReadDir(dir string) ([]os.DirEntry, error) { return os.ReadDir(dir) }
func (osDisk) ReadFile(path string) ([]byte, error)      { return os.ReadFile(path) }
func (osDisk) Rename(from, to string) error              { return os.Rename(from, to) }
func (osDisk) Remove(path string) error                  { return os.Remove(path) }
func (osDisk) SyncDir(dir string) error                  { return durable.SyncDir(dir) }

func (osDisk) Create(path string) (file, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC|syscall.O_NOFOLLOW, 0o600)
}
