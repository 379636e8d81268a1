package journal

import (
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"
)

// memDisk is one folder in memory that knows what a crash of the power supply would
// leave: it keeps what was synced apart from what the process sees.
type memDisk struct {
	mu     sync.Mutex
	names  map[string]*memFile
	synced map[string]*memFile
	moved  []func(map[string]*memFile) // changes of names since the last SyncDir, in their order

	calls int          // that change the disk, so far
	fault func() fault // what happens to call number calls; nil: nothing
	lies  lies
}

type memFile struct {
	disk *memDisk
	data []byte // as the process sees it
	safe []byte // as of the last Sync

	dirty []extent // where they differ
}

type extent struct{ from, to int }

// A fault is what happens to a call.
type fault int

const (
	none               fault = iota
	failAndNotPersist        // EIO, without effect
	failButPersist           // EIO, although it took effect
	failAndPersistHalf       // ENOSPC, after half of a write; like failAndNotPersist elsewhere
)

// lies are promises that the disk breaks without a word.
type lies struct{ sync, syncDir bool }

func newMemDisk() *memDisk {
	return &memDisk{names: make(map[string]*memFile), synced: make(map[string]*memFile)}
}

// change is a call that changes the disk.
func (d *memDisk) change(do func(half bool)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls++
	f := none
	if d.fault != nil {
		f = d.fault()
	}
	switch f {
	case failAndNotPersist:
		return syscall.EIO
	case failButPersist:
		do(false)
		return syscall.EIO
	case failAndPersistHalf:
		do(true)
		return syscall.ENOSPC
	}
	do(false)
	return nil
}

func (d *memDisk) move(op func(names map[string]*memFile)) {
	op(d.names)
	d.moved = append(d.moved, op)
}

func (d *memDisk) Create(path string) (file, error) {
	path = filepath.Base(path)
	f := &memFile{disk: d}
	return f, d.change(func(half bool) {
		if !half {
			d.move(func(names map[string]*memFile) { names[path] = f })
		}
	})
}

func (d *memDisk) Rename(from, to string) error {
	from, to = filepath.Base(from), filepath.Base(to)
	return d.change(func(half bool) {
		if !half {
			d.move(func(names map[string]*memFile) { names[to] = names[from]; delete(names, from) })
		}
	})
}

func (d *memDisk) Remove(path string) error {
	path = filepath.Base(path)
	return d.change(func(half bool) {
		if !half {
			d.move(func(names map[string]*memFile) { delete(names, path) })
		}
	})
}

func (d *memDisk) SyncDir(string) error {
	return d.change(func(half bool) {
		if !half && !d.lies.syncDir {
			d.synced, d.moved = maps.Clone(d.names), nil
		}
	})
}

func (f *memFile) Sync() error {
	return f.disk.change(func(half bool) {
		if !half && !f.disk.lies.sync {
			f.safe = append(f.safe, make([]byte, len(f.data)-len(f.safe))...)
			for _, e := range f.dirty {
				copy(f.safe[e.from:], f.data[e.from:e.to])
			}
			f.dirty = nil
		}
	})
}

func (f *memFile) WriteAt(p []byte, off int64) (n int, err error) {
	err = f.disk.change(func(half bool) {
		if half {
			p = p[:len(p)/2]
		}
		f.data = append(f.data, make([]byte, max(0, int(off)+len(p)-len(f.data)))...)
		n = copy(f.data[off:], p)
		f.dirty = append(f.dirty, extent{int(off), int(off) + n})
	})
	return n, err
}

func (f *memFile) Close() error { return nil }

func (d *memDisk) ReadFile(path string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, ok := d.names[filepath.Base(path)]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	return slices.Clone(f.data), nil
}

func (d *memDisk) ReadDir(string) ([]os.DirEntry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	files := make(fstest.MapFS)
	for path := range d.names {
		files[path] = &fstest.MapFile{}
	}
	return files.ReadDir(".")
}

// restart returns the disk as the next process finds it, if only the process ended.
func (d *memDisk) restart() *memDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	next := newMemDisk()
	for name, f := range d.names {
		next.put(name, f.data)
	}
	return next
}

// crash returns the disk as the next process may find it after a power failure:
// of the changed names a prefix, of the changed sectors any.
func (d *memDisk) crash(r *rand.Rand) *memDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	names := maps.Clone(d.synced)
	for _, op := range d.moved[:r.IntN(len(d.moved)+1)] {
		op(names)
	}
	next := newMemDisk()
	for _, name := range slices.Sorted(maps.Keys(names)) {
		next.put(name, names[name].crash(r))
	}
	return next
}

func (f *memFile) crash(r *rand.Rand) []byte {
	const sector = 512
	size := max(len(f.data), len(f.safe))
	if n := size - len(f.safe); n > 0 {
		size = len(f.safe) + r.IntN(n+1)
	}
	after := make([]byte, size)
	copy(after, f.safe)
	kept := r.Float64()
	for at := 0; at < size; at += sector {
		if r.Float64() < kept {
			copy(after[at:min(at+sector, size)], f.data[min(at, len(f.data)):])
		}
	}
	return after
}

func (d *memDisk) put(name string, data []byte) {
	f := &memFile{disk: d, data: slices.Clone(data), safe: slices.Clone(data)}
	d.names[name], d.synced[name] = f, f
}

// smallSegment makes segments of a few frames.
const smallSegment = maxFrame + 12*blockSize

// openSmall opens a journal that changes segments every few frames.
func openSmall(t testing.TB, d disk) (*Store, error) {
	t.Helper()
	dir := t.TempDir()
	lock, err := lockFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	j := newFolder(d, dir, testKey)
	j.minSegment = smallSegment
	s, err := j.start(lock)
	if err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	return s, nil
}

var testKey = [32]byte{1, 2, 3}

// newJournal returns a disk that holds an empty journal.
func newJournal(t testing.TB) *memDisk {
	t.Helper()
	d := newMemDisk()
	if err := create(d, t.TempDir(), testKey, new(state)); err != nil {
		t.Fatal(err)
	}
	return d
}

// used returns the bytes in all files.
func (d *memDisk) used() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for _, f := range d.names {
		n += len(f.data)
	}
	return n
}
