package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/secure-signer/secure-signer/bls"
)

// Add seals a key and returns nil once it is on the disk, or ErrExists. After
// any other error the key may or may not have been added.
func (v *Vault) Add(ctx context.Context, sk *bls.SecretKey, pub bls.PublicKey) error {
	return v.AddAll(ctx, []Key{{pub, sk}})
}

// AddAll is Add for many keys with one write to the disk. If one of them exists,
// or occurs twice, none is added.
func (v *Vault) AddAll(ctx context.Context, keys []Key) error {
	for _, k := range keys {
		if got := k.Secret.PublicKey(); got != k.Public {
			return fmt.Errorf("add key %v: its secret key belongs to %v", k.Public, got)
		}
	}
	return v.change(ctx, kindAdd, keys)
}

// Delete takes a key out and returns nil once that is on the disk, or
// ErrNotFound. After any other error the key may or may not have been deleted.
func (v *Vault) Delete(ctx context.Context, pub bls.PublicKey) error {
	return v.change(ctx, kindDelete, []Key{{Public: pub}})
}

// Refresh reads what other processes have changed since this vault was opened
// or last changed, or since the last Refresh.
func (v *Vault) Refresh(ctx context.Context) error {
	return v.locked(ctx, func() error { return nil })
}

// change appends one entry for each key, in one write.
func (v *Vault) change(ctx context.Context, kind byte, keys []Key) error {
	return v.locked(ctx, func() error {
		if err := v.allowed(kind, keys); err != nil {
			return err
		}
		end, b := v.end, make([]byte, 0, len(keys)*entrySize)
		for _, k := range keys {
			if kind == kindDelete {
				b = end.seal(b, kind, k.Public, nil)
				continue
			}
			secret := k.Secret.Bytes()
			b = end.seal(b, kind, k.Public, secret)
			clear(secret)
		}
		if err := v.write(b); err != nil {
			return err
		}
		for i, k := range keys {
			if kind == kindDelete {
				delete(v.live, k.Public)
			} else {
				v.live[k.Public] = v.end.next + uint64(i)
			}
		}
		v.end = end
		return nil
	})
}

// allowed reports why entries of this kind may not follow those in the file.
func (v *Vault) allowed(kind byte, keys []Key) error {
	if v.broken != nil {
		return fmt.Errorf("vault takes no more changes until it is opened again: an earlier one failed: %w", v.broken)
	}
	if v.end.next+uint64(len(keys)) > maxEntries {
		return fmt.Errorf("vault is full: %d of %d entries are used; change the passphrase, be it to the same one, to write it anew without those deleted", v.end.next, maxEntries)
	}
	seen := make(map[bls.PublicKey]bool, len(keys))
	for _, k := range keys {
		switch _, held := v.live[k.Public]; {
		case kind == kindAdd && (held || seen[k.Public]):
			return fmt.Errorf("%w: %v", ErrExists, k.Public)
		case kind == kindDelete && !held:
			return fmt.Errorf("%w: %v", ErrNotFound, k.Public)
		}
		seen[k.Public] = true
	}
	return nil
}

// write appends b to the file. After a failure the file may hold any part of b,
// and after a failed fsync its pages in memory may show what the disk lacks: cut
// it back, which drops those pages, and trust this open file no further.
func (v *Vault) write(b []byte) error {
	// What a crash left behind would otherwise stand between two entries.
	err := v.file.Truncate(v.end.offset())
	if err == nil {
		err = v.append(v.file, b)
	}
	if err != nil {
		v.broken = err
		return fmt.Errorf("write vault: %w", errors.Join(err, v.file.Truncate(v.end.offset())))
	}
	return nil
}

// locked calls f with mu and the lock file held and everything read that other
// processes have appended. While it waits for another process it holds nothing
// that List or Has wait for.
func (v *Vault) locked(ctx context.Context, f func() error) error {
	v.turn.Lock()
	defer v.turn.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	lock, err := lockFile(ctx, v.path)
	if err != nil {
		return fmt.Errorf("lock vault: %w", err)
	}
	defer lock.Unlock()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.key == nil {
		return ErrClosed
	}
	if err := v.reopen(); err != nil {
		return err
	}
	v.end.unlock(v.key)
	defer func() { v.end.aead = nil }() // it holds a key that opens every entry
	if err := v.readOn(); err != nil {
		return err
	}
	return f()
}

// reopen goes back to the start if path names another file than the one that
// is open: none yet, or one that Rewrap has replaced since.
func (v *Vault) reopen() error {
	f, err := openFile(v.path)
	if err != nil {
		return err
	}
	if v.file != nil {
		same, err := sameFile(v.file, f)
		if same || err != nil {
			return errors.Join(err, f.Close())
		}
	}
	end, err := v.begin(f)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	if v.file != nil {
		err = v.file.Close()
	}
	v.file, v.end, v.live = f, end, make(map[bls.PublicKey]uint64)
	return err
}

func sameFile(a, b *os.File) (bool, error) {
	x, err := a.Stat()
	if err != nil {
		return false, err
	}
	y, err := b.Stat()
	return err == nil && os.SameFile(x, y), err
}

// begin reads the header of f and returns the place before its first entry. The
// header must have been made with this data key: entries sealed for a file that
// belongs to another would be lost.
func (v *Vault) begin(f *os.File) (chain, error) {
	b, err := io.ReadAll(io.NewSectionReader(f, 0, maxHeader))
	if err != nil {
		return chain{}, fmt.Errorf("read vault: %w", err)
	}
	h, size, err := parseHeader(b)
	if err != nil {
		return chain{}, damaged(v.path, 0, err)
	}
	if !authenticHeader(v.key, b[:size]) {
		return chain{}, damaged(v.path, 0, errors.New("the header does not authenticate"))
	}
	return newChain(v.key, h.id, size), nil
}

// readOn reads and authenticates what follows the last entry that was read.
func (v *Vault) readOn() error {
	info, err := v.file.Stat()
	if err != nil {
		return fmt.Errorf("read vault: %w", err)
	}
	size := info.Size() - v.end.offset()
	if size < 0 {
		return damaged(v.path, info.Size(), errors.New("the file has become shorter while it was open"))
	}
	if size > maxEntries*entrySize {
		return damaged(v.path, v.end.offset(), errors.New("the file is longer than any vault"))
	}
	b := make([]byte, size)
	if _, err := v.file.ReadAt(b, v.end.offset()); err != nil {
		return fmt.Errorf("read vault: %w", err)
	}
	n := whole(b)
	for e, err := range v.end.entries(b[:n]) {
		if err == nil {
			err = v.apply(e)
		}
		if err != nil {
			return damaged(v.path, v.end.offset(), err)
		}
	}
	if n < len(b) {
		v.recovered = fmt.Sprintf("the last %d bytes of %s, from byte %d, are a change that was never finished: dropped. If neither this program nor the machine has crashed during a change of keys, somebody has cut the file: compare the keys with a backup", len(b)-n, v.path, v.end.offset())
	}
	return nil
}

// apply keeps live up to date. An entry that makes no sense is authentic, so it
// can only come of a fault of ours.
func (v *Vault) apply(e entry) error {
	_, held := v.live[e.pub]
	switch {
	case e.kind == kindAdd && !held:
		v.live[e.pub] = e.number
	case e.kind == kindDelete && held:
		delete(v.live, e.pub)
	default:
		return fmt.Errorf("entry %d makes no sense after those before it", e.number)
	}
	return nil
}
