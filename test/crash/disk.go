package crash

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"

	"github.com/secure-signer/secure-signer/record"
)

// A History is what a program did to one folder, and what it said meanwhile.
//
// Of a crash it assumes what the standards promise and no more. What was written
// to a file before an fsync of it is on the disk once that has returned; of later
// writes any page, or any sector, may be. Creations, renames and removals in a
// directory are on the disk once an fsync of the directory has returned; of later
// ones those that came first. Nothing else survives, and a new file may be
// shorter than what was written to it.
type History struct {
	names []*nameChange
	files []*file
	live  map[string]*file // at the end
	words []said
	End   int // a cut at End or later is none
}

// never is later than every cut.
const never = math.MaxInt

type nameChange struct {
	begin, end int
	safe       int // the end of the fsync that made it durable
	path, to   string
	file       *file // nil for a directory, a rename and a removal
	kind       change
}

type change int

const (
	create change = iota
	makeDir
	rename
	remove
)

type file struct{ writes []*write }

type write struct {
	begin, end, safe int
	offset           int64
	data             []byte
}

type said struct {
	begin   int
	word    string
	key     record.Key
	version record.Version
}

// NewHistory reads the calls that concern a folder. It refuses those that it does
// not understand.
func NewHistory(calls []*Call, folder string) (*History, error) {
	live := make(map[string]*file)
	h := &History{live: live}
	dirs := map[string]bool{filepath.Dir(folder): true}
	for _, c := range calls {
		h.End = max(h.End, c.End+1)
		if c.Name == "write" && c.FD == 1 {
			word, key, version, err := hear(string(c.Data))
			if err != nil {
				return nil, err
			}
			h.words = append(h.words, said{c.Begin, word, key, version})
			continue
		}
		if !dirs[filepath.Dir(c.Path)] && !dirs[c.Path] {
			continue
		}
		n := &nameChange{begin: c.Begin, end: c.End, safe: never, path: c.Path, to: c.To}
		switch f := live[c.Path]; {
		case c.Name == "openat" && !c.Creates:
			continue
		case c.Name == "openat" && f == nil:
			n.kind, n.file = create, new(file)
			live[c.Path] = n.file
			h.files = append(h.files, n.file)
		case c.Name == "openat" && len(f.writes) == 0: // the lock
			continue
		case c.Name == "mkdirat":
			n.kind, dirs[c.Path] = makeDir, true
		case strings.HasPrefix(c.Name, "rename") && f != nil && filepath.Dir(c.Path) == filepath.Dir(c.To):
			n.kind, live[c.To] = rename, f
			delete(live, c.Path)
		case c.Name == "unlinkat" && f != nil:
			n.kind = remove
			delete(live, c.Path)
		case c.Name == "pwrite64" && f != nil:
			f.writes = append(f.writes, &write{c.Begin, c.End, never, c.Offset, c.Data})
			continue
		case (c.Name == "fsync" || c.Name == "fdatasync") && (f != nil || dirs[c.Path]):
			h.sync(c, f)
			continue
		default:
			return nil, fmt.Errorf("%s of %s is not understood", c.Name, c.Path)
		}
		h.names = append(h.names, n)
	}
	return h, nil
}

// sync notes what an fsync of a file, or of a directory, made durable.
func (h *History) sync(c *Call, f *file) {
	if f != nil {
		for _, w := range f.writes {
			if w.safe == never && w.end < c.Begin {
				w.safe = c.End
			}
		}
		return
	}
	for _, n := range h.names {
		if n.safe == never && n.end < c.Begin && filepath.Dir(n.path) == c.Path {
			n.safe = c.End
		}
	}
}

// State returns the files that a crash at the cut may leave.
func (h *History) State(cut int, r *rand.Rand) map[string][]byte {
	files, dirs := h.namesAt(cut, r)
	state := make(map[string][]byte)
	for path, f := range files {
		if dirs[filepath.Dir(path)] {
			state[path] = f.at(cut, r)
		}
	}
	return state
}

// Final returns the files as the program left them.
func (h *History) Final() map[string][]byte {
	state := make(map[string][]byte)
	for path, f := range h.live {
		state[path] = []byte{}
		for _, w := range f.writes {
			b := state[path]
			b = append(b, make([]byte, max(0, int(w.offset)+len(w.data)-len(b)))...)
			copy(b[w.offset:], w.data)
			state[path] = b
		}
	}
	return state
}

// namesAt applies all changes of names that are durable, and a first part of the
// others.
func (h *History) namesAt(cut int, r *rand.Rand) (files map[string]*file, dirs map[string]bool) {
	var loose int
	for _, n := range h.names {
		if n.begin < cut && n.safe >= cut {
			loose++
		}
	}
	kept := r.IntN(loose + 1)
	files, dirs = make(map[string]*file), make(map[string]bool)
	for _, n := range h.names {
		if n.begin >= cut {
			break
		}
		if n.safe >= cut {
			if kept == 0 {
				continue
			}
			kept--
		}
		switch n.kind {
		case create:
			files[n.path] = n.file
		case makeDir:
			dirs[n.path] = true
		case rename:
			files[n.to] = files[n.path]
			delete(files, n.path)
		case remove:
			delete(files, n.path)
		}
	}
	return files, dirs
}

// at returns what a crash at the cut may leave of a file: the durable writes, and
// the others by page or by sector.
func (f *file) at(cut int, r *rand.Rand) []byte {
	var safe, full int
	for _, w := range f.writes {
		if end := int(w.offset) + len(w.data); w.safe < cut {
			safe, full = max(safe, end), max(full, end)
		} else if w.begin < cut {
			full = max(full, end)
		}
	}
	size := full
	if r.IntN(2) == 0 {
		size = safe + r.IntN(full-safe+1)
	}
	b := make([]byte, size)
	unit := []int{4096, 512}[r.IntN(2)]
	kept := []float64{0, 1, r.Float64(), r.Float64()}[r.IntN(4)]
	for _, w := range f.writes {
		switch {
		case w.safe < cut:
			copy(b[min(int(w.offset), size):], w.data)
		case w.begin < cut:
			for at := 0; at < len(w.data); at += unit {
				if r.Float64() < kept {
					copy(b[min(int(w.offset)+at, size):], w.data[at:min(at+unit, len(w.data))])
				}
			}
		}
	}
	return b
}

// Torn reports whether at the cut something was written that was not durable.
func (h *History) Torn(cut int) bool {
	for _, f := range h.files {
		for _, w := range f.writes {
			if w.begin < cut && w.safe >= cut {
				return true
			}
		}
	}
	return false
}

// Moving reports whether at the cut a name had changed and was not durable, or a
// file was being written that would take the name of another.
func (h *History) Moving(cut int) bool {
	begun := make(map[string]int)
	for _, n := range h.names {
		if n.begin < cut && n.safe >= cut && n.kind != create {
			return true
		}
		if n.kind == create {
			begun[n.path] = n.begin
		}
		if n.kind == rename && begun[n.path] < cut && cut <= n.end {
			return true
		}
	}
	return false
}
