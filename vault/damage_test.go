package vault

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/bls"
)

// history is a vault with two keys added, one deleted and one more added.
func history(t *testing.T) (path string, s Sealer, b []byte, headerSize int) {
	t.Helper()
	path, s = newVault(t)
	v := mustOpen(t, path, s)
	keys := newKeys(t, 3)
	mustAddAll(t, v, keys[:2]...)
	if err := v.Delete(t.Context(), keys[0].Public); err != nil {
		t.Fatal(err)
	}
	mustAddAll(t, v, keys[2])
	b = mustRead(t, path)
	_, headerSize, err := parseHeader(b)
	if err != nil {
		t.Fatal(err)
	}
	return path, s, b, headerSize
}

func TestNoFlippedBitGoesUnnoticed(t *testing.T) {
	path, s, b, _ := history(t)
	for i := range len(b) * 8 {
		changed := bytes.Clone(b)
		changed[i/8] ^= 1 << (i % 8)
		_, err := openBytes(t, path, changed, s)
		switch {
		case errors.Is(err, ErrDamaged):
		case errors.Is(err, ErrVersion) && i/8 >= len(magic) && i/8 < len(magic)+4:
		default:
			t.Fatalf("bit %d of byte %d: %v, want %v", i%8, i/8, err, ErrDamaged)
		}
		if !bytes.Equal(mustRead(t, path), changed) {
			t.Fatal("a damaged file was written to")
		}
	}
}

func TestDamageNamesTheFileThePlaceAndTheRemedy(t *testing.T) {
	path, s, b, headerSize := history(t)
	b[headerSize+2*entrySize+60] ^= 1
	_, err := openBytes(t, path, b, s)
	for _, want := range []string{path, "at byte 445", "entry 2", "backup"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}

// A file that is cut off holds the entries before the cut. A cut within an entry
// is reported, and the next change makes the file whole again.
func TestTheVaultCutOffAtEveryByte(t *testing.T) {
	path, s, b, headerSize := history(t)
	whole := mustOpen(t, path, s).List()
	extra := newKeys(t, 1)[0]
	for size := range b {
		v, err := openBytes(t, path, b[:size], s)
		if size < headerSize {
			if !errors.Is(err, ErrDamaged) {
				t.Fatalf("cut within the header at %d: %v, want %v", size, err, ErrDamaged)
			}
			continue
		}
		if err != nil {
			t.Fatalf("cut at %d: %v", size, err)
		}
		entries, rest := (size-headerSize)/entrySize, (size-headerSize)%entrySize
		if got := int(v.end.next); got != entries {
			t.Fatalf("cut at %d: %d entries, want %d", size, got, entries)
		}
		if reported := v.Recovered() != ""; reported != (rest > 0) {
			t.Fatalf("cut at %d, %d bytes into an entry: reported is %v: %q", size, rest, reported, v.Recovered())
		}
		mustAddAll(t, v, extra)
		want := headerSize + (entries+1)*entrySize
		if got := len(mustRead(t, path)); got != want {
			t.Fatalf("cut at %d: after one more entry the file has %d bytes, want %d", size, got, want)
		}
		again := mustOpen(t, path, s)
		if again.Recovered() != "" || !again.Has(extra.Public) {
			t.Fatalf("cut at %d: what was added since is lost: %q", size, again.Recovered())
		}
	}
	v, err := openBytes(t, path, b, s)
	if err != nil || v.Recovered() != "" || !cmp.Equal(v.List(), whole) {
		t.Errorf("the whole file: %v", err)
	}
}

func TestATailOfZeroBytesWasNeverWritten(t *testing.T) {
	path, s, b, _ := history(t)
	for _, zeros := range []int{1, tagSize, entrySize - 1, entrySize, entrySize + 1, 5 * entrySize, 4096} {
		v, err := openBytes(t, path, append(bytes.Clone(b), make([]byte, zeros)...), s)
		if err != nil || v.end.next != 4 || v.Recovered() == "" {
			t.Fatalf("%d zero bytes at the end: %v", zeros, err)
		}
		extra := newKeys(t, 1)[0]
		mustAddAll(t, v, extra)
		if again := mustOpen(t, path, s); again.end.next != 5 || again.Recovered() != "" {
			t.Errorf("%d zero bytes at the end: the file is not whole after a change", zeros)
		}
	}

	// The data reached the disk for the first part of an entry only.
	torn := append(bytes.Clone(b), b[len(b)-entrySize:]...)
	clear(torn[len(torn)-tagSize-1:])
	if v, err := openBytes(t, path, torn, s); err != nil || v.end.next != 4 || v.Recovered() == "" {
		t.Errorf("an entry that ends in zero bytes: %v", err)
	}
}

func TestEntriesCannotBeMoved(t *testing.T) {
	path, s, b, headerSize := history(t)
	entry := func(i int) []byte { return b[headerSize+i*entrySize : headerSize+(i+1)*entrySize] }
	file := func(entries ...[]byte) []byte {
		return append(bytes.Clone(b[:headerSize]), bytes.Join(entries, nil)...)
	}

	// Another future of the same file, begun from an older copy of it.
	v, err := openBytes(t, path, file(entry(0), entry(1)), s)
	if err != nil {
		t.Fatal(err)
	}
	mustAddAll(t, v, newKeys(t, 2)...)
	fork := mustRead(t, path)[headerSize:]

	// The same keys under the same data key, in a file written anew.
	if _, err := openBytes(t, path, b, s); err != nil {
		t.Fatal(err)
	}
	if err := Rewrap(path, s, s); err != nil {
		t.Fatal(err)
	}
	anew := mustRead(t, path)[headerSize:]

	tests := map[string][]byte{
		"the first entry is missing":          file(entry(1), entry(2), entry(3)),
		"the deletion is missing":             file(entry(0), entry(1), entry(3)),
		"two entries are swapped":             file(entry(1), entry(0), entry(2), entry(3)),
		"the last two entries are swapped":    file(entry(0), entry(1), entry(3), entry(2)),
		"an entry is repeated at once":        file(entry(0), entry(0), entry(1), entry(2), entry(3)),
		"an entry is repeated at the end":     file(entry(0), entry(1), entry(2), entry(3), entry(0)),
		"the last entry is of another future": file(entry(0), entry(1), entry(2), fork[3*entrySize:4*entrySize]),
		"an entry is of the file's successor": file(anew[:entrySize]),
		"two public keys are exchanged": file(
			exchange(entry(0), entry(1)), exchange(entry(1), entry(0)), entry(2), entry(3)),
		"a deletion is made an addition": file(entry(0), entry(1), append([]byte{kindAdd}, entry(2)[1:]...), entry(3)),
	}
	for name, contents := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := openBytes(t, path, contents, s); !errors.Is(err, ErrDamaged) {
				t.Errorf("got %v, want %v", err, ErrDamaged)
			}
		})
	}
}

// exchange returns the entry a under the public key of b.
func exchange(a, b []byte) []byte {
	return append(bytes.Clone(b[:sealedAt]), a[sealedAt:]...)
}

// An entry that is authentic and impossible is a fault of ours, not to be
// guessed at.
func TestAuthenticEntriesMustMakeSense(t *testing.T) {
	keys := newKeys(t, 1)
	for name, kinds := range map[string][]byte{
		"a key is added twice":              {kindAdd, kindAdd},
		"a key is deleted, never added":     {kindDelete},
		"a key is deleted twice":            {kindAdd, kindDelete, kindDelete},
		"the kind is one of another format": {3},
	} {
		t.Run(name, func(t *testing.T) {
			path, s := newVault(t)
			v := mustOpen(t, path, s)
			b, end := mustRead(t, path), v.end
			end.unlock(v.key)
			for _, kind := range kinds {
				b = end.seal(b, kind, keys[0].Public, keys[0].Secret.Bytes())
			}
			if _, err := openBytes(t, path, b, s); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "sense") {
				t.Errorf("got %v, want %v", err, ErrDamaged)
			}
		})
	}
}

func TestAnOpenVaultNoticesThatItsFileWasChanged(t *testing.T) {
	key := newKeys(t, 1)[0]
	otherPath, _ := newVault(t)
	tests := map[string]struct {
		change func(path string) error
		want   error
	}{
		"cut off": {func(path string) error { return os.Truncate(path, 300) }, ErrDamaged},
		"emptied": {func(path string) error { return os.Truncate(path, 0) }, ErrDamaged},
		"removed": {os.Remove, ErrMissing},
		"replaced by another vault": {func(path string) error { return os.Rename(otherPath, path) },
			ErrDamaged},
		"continued with foreign bytes": {func(path string) error {
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				return err
			}
			_, err = f.Write(bytes.Repeat([]byte{7}, entrySize))
			return errors.Join(err, f.Close())
		}, ErrDamaged},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			path, s, _, _ := history(t)
			v := mustOpen(t, path, s)
			if err := test.change(path); err != nil {
				t.Fatal(err)
			}
			if err := v.Add(t.Context(), key.Secret, key.Public); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if v.Has(key.Public) {
				t.Error("the key is held although it was not added")
			}
		})
	}
}

func TestKeysNoticesDamageSinceTheVaultWasOpened(t *testing.T) {
	path, s, b, headerSize := history(t)
	v := mustOpen(t, path, s)
	b[headerSize+3*entrySize+80] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := v.Keys(func(bls.PublicKey, *bls.SecretKey) bool { return true }); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v, want %v", err, ErrDamaged)
	}
}

// openBytes writes b to path, in place, and opens it.
func openBytes(t testing.TB, path string, b []byte, s Sealer) (*Vault, error) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	v, err := Open(path, s)
	if err == nil {
		t.Cleanup(func() { v.Close() })
	}
	return v, err
}

// rehashed changes the header of a vault as an attacker would, who can make the
// checksum fit.
func rehashed(b []byte, change func([]byte)) []byte {
	b = bytes.Clone(b)
	change(b)
	body := wrappedOffset + int(binary.BigEndian.Uint32(b[wrappedOffset-4:]))
	sum := sha256.Sum256(b[:body])
	copy(b[body:], sum[:])
	return b
}

// FuzzOpen holds that whatever becomes of the bytes of a vault, it opens as a
// beginning of its true history or not at all.
func FuzzOpen(f *testing.F) {
	released, err := os.ReadFile(releasedVault)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(released)
	f.Add(released[:len(released)-1])
	f.Add(released[:len(released)-entrySize])
	f.Add(append(bytes.Clone(released), make([]byte, entrySize)...))
	f.Add(append(bytes.Clone(released), released[len(released)-entrySize:]...))
	f.Add(append(bytes.Clone(released[:len(released)-2*entrySize]), released[len(released)-entrySize:]...))
	f.Add(rehashed(released, func(b []byte) { b[idOffset] ^= 1 }))
	f.Add(binary.BigEndian.AppendUint32(bytes.Clone(released[:wrappedOffset-4]), 1<<31))
	f.Add([]byte(magic))
	s := cheap(f, releasedPassphrase)
	path := filepath.Join(f.TempDir(), "vault")
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := openBytes(t, path, b, s)
		if err != nil {
			return
		}
		defer v.Close()
		n := v.end.offset()
		if n > int64(len(released)) || !bytes.Equal(b[:n], released[:n]) {
			t.Errorf("opened %d bytes that were never written", n)
		}
		if whole := len(b) == int(n); whole == (v.Recovered() != "") {
			t.Errorf("read %d of %d bytes, reported %q", n, len(b), v.Recovered())
		}
	})
}
