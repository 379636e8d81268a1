package vault

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/secure-signer/secure-signer/internal/durable"
)

// Rewrap writes the vault at path anew: its data key wrapped by next instead of
// old, and its keys without the entries of those that were deleted. A crash
// leaves the old vault or the new one, whole. Processes that have the vault open
// go on with the new one. The data key stays, and with it every derived key.
//
// Whoever has both a copy of the old file and its passphrase still has the data
// key: Rewrap does not make a lost passphrase harmless. What a crash has left at
// the end of the file is dropped; Open reports it.
func Rewrap(path string, old, next Sealer) error {
	return rewrap(path, old, next, durable.WriteFile)
}

func rewrap(path string, old, next Sealer, write func(string, []byte, fs.FileMode) error) error {
	v, err := Open(path, old)
	if err != nil {
		return err
	}
	h, err := newHeader(v.key, next)
	if err == nil {
		err = v.locked(context.Background(), func() error {
			b, err := v.anew(h)
			if err != nil {
				return err
			}
			return write(path, b, 0o600)
		})
	}
	if err := errors.Join(err, v.Close()); err != nil {
		return fmt.Errorf("rewrap vault: %w", err)
	}
	return nil
}

// anew returns a vault of the keys that are held, under the header h.
func (v *Vault) anew(h header) ([]byte, error) {
	sealed, at, live, err := v.entries()
	if err != nil {
		return nil, err
	}
	b := h.encode(v.key)
	end := newChain(v.key, h.id, len(b))
	for e, err := range at.entries(sealed) {
		if err != nil {
			return nil, damaged(v.path, at.offset(), err)
		}
		if number, ok := live[e.pub]; ok && number == e.number {
			b = end.seal(b, kindAdd, e.pub, e.secret[:])
		}
	}
	return b, nil
}
