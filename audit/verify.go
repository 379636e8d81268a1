package audit

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A Report is what a log is found to be.
type Report struct {
	Files      int       `json:"files"`
	Origin     string    `json:"origin"`  // of the last tree
	First      int64     `json:"first"`   // index of the first entry that is kept, of the last tree
	Entries    int64     `json:"entries"` // of the last tree: the index of the next
	Checkpoint string    `json:"checkpoint"`
	Gaps       int       `json:"gaps"`
	Trees      int       `json:"trees"`    // more than one after damage
	Kept       bool      `json:"kept"`     // a checkpoint that was to be found was
	Problems   []Problem `json:"problems"` // empty: nothing was changed
}

// A Problem is where a log is not what was signed.
type Problem struct {
	File   string `json:"file"`
	Offset int    `json:"offset"` // of the first line that is not right
	Text   string `json:"problem"`
}

func (p Problem) String() string { return fmt.Sprintf("%s, offset %d: %s", p.File, p.Offset, p.Text) }

// A Reading says what to do with a log while it is verified. All may be left out.
type Reading struct {
	Key   note.Verifier // signs every checkpoint; nil: whoever has written the log may have made it up
	Kept  []byte        // a checkpoint that the log has to continue
	Entry func(file string, index int64, line []byte, e Entry)

	keep func(origin string, stored int64, h tlog.Hash)
}

// Verify reads a folder of a log, or one file of it. The error is that it cannot be
// read; what is wrong with it is in the report. Entry is told only entries that
// a checkpoint covers.
func Verify(path string, r Reading) (Report, error) {
	report := Report{}
	files, err := filesOf(path)
	if err != nil {
		return report, err
	}
	kept, err := r.openKept()
	if err != nil {
		return report, err
	}
	var before *walk
	for i, f := range files {
		text, err := readSegment(f.path)
		if err != nil {
			return report, fmt.Errorf("read the audit log: %w", err)
		}
		w := &walk{text: text, by: r.Key}
		r.listen(w, f.path, kept, &report)
		err = w.run()
		if errors.Is(err, errUnsigned) && i == len(files)-1 {
			err = fmt.Errorf("%w: if the signer runs, verify again; after a crash its next start cuts it; else somebody has changed it", err)
		}
		if err != nil {
			report.add(f.path, w.at, err)
		}
		report.Files++
		report.follow(before, w, f)
		before = w
	}
	if kept != nil && !report.Kept {
		report.add(path, 0, errors.New("the log does not continue the checkpoint that was kept: it was cut back or replaced, or the entries of that time are not kept any more"))
	}
	return report, nil
}

// follow holds a segment against the one before it.
func (r *Report) follow(before, w *walk, f segmentFile) {
	if w.end == 0 {
		return // what it begins with is nobody's word
	}
	if w.head.Number != f.number && f.number != 0 {
		r.add(f.path, 0, fmt.Errorf("it says that it is file %d", w.head.Number))
	}
	switch {
	case before == nil || before.end == 0 || before.head.Origin != w.head.Origin:
		r.Trees++
		r.First = w.head.Size
	case before.tree.size != w.head.Size || before.tree.root() != w.began.root():
		r.add(f.path, 0, fmt.Errorf("it does not continue the file before, which ends with %d entries: this one begins after %d", before.tree.size, w.head.Size))
	}
	if before != nil && w.head.Size == 0 && before.head.Origin != w.head.Origin {
		r.add(f.path, 0, fmt.Errorf("another tree begins: %s", w.head.Why))
	}
	r.Origin, r.Entries, r.Checkpoint = w.head.Origin, w.tree.size, string(w.checkpoint)
}

func (r *Report) add(file string, offset int, err error) {
	r.Problems = append(r.Problems, Problem{file, offset, err.Error()})
}

// listen has a walk tell what was asked for.
func (r *Reading) listen(w *walk, path string, kept *checkpoint, report *Report) {
	w.entry = func(index int64, line []byte, e Entry) {
		if e.Gap != nil {
			report.Gaps++
		}
		if r.Entry != nil {
			r.Entry(path, index, line, e)
		}
	}
	if kept != nil {
		w.sized = func(t *tree) {
			if t.size == kept.size && w.head.Origin == kept.origin && t.root() == kept.root {
				report.Kept = true
			}
		}
	}
	if r.keep != nil {
		w.keep = func(stored int64, h tlog.Hash) { r.keep(w.head.Origin, stored, h) }
	}
}

// A checkpoint is what one says.
type checkpoint struct {
	origin string
	size   int64
	root   tlog.Hash
}

func (r *Reading) openKept() (*checkpoint, error) {
	if r.Kept == nil {
		return nil, nil
	}
	c := &checkpoint{}
	var err error
	if c.origin, c.size, c.root, err = parseCheckpoint(r.Kept); err != nil {
		return nil, err
	}
	if r.Key != nil {
		err = openCheckpoint(r.Kept, r.Key)
	}
	return c, err
}

// filesOf lists the segments of a folder, or the one that path is.
func filesOf(path string) ([]segmentFile, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	if !info.IsDir() {
		return []segmentFile{{path: path, name: filepath.Base(path)}}, nil
	}
	files, err := segments(path)
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("there is no audit log in %s: it is the folder audit in the signer's data folder", path)
	}
	return files, err
}

// IsProof tells a proof from a file of a log.
func IsProof(text []byte) bool { return bytes.HasPrefix(text, []byte(proofMagic)) }
