package audit

import (
	"bytes"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A walk reads one segment: lines that begin with { are entries, and a checkpoint
// signs all entries before it, those of earlier segments included. A segment ends
// with a checkpoint.
type walk struct {
	text []byte
	by   note.Verifier // of every checkpoint; nil leaves them unverified

	entry func(index int64, line []byte, e Entry) // told only what a checkpoint covers
	keep  func(stored int64, h tlog.Hash)
	sized func(t *tree) // told the tree after each entry, before a checkpoint covers it

	head       Segment
	began      tree   // before the first entry
	tree       tree   // at end
	end        int    // of the last checkpoint that is right
	checkpoint []byte // that one
	last       Entry  // before it

	at      int
	next    tree
	pending []pending
}

type pending struct {
	line []byte
	e    Entry
}

// errUnsigned is a segment whose end no checkpoint covers: it is being written,
// was cut off by a crash, or was changed.
var errUnsigned = errors.New("no checkpoint covers the end of the file")

// run reads as far as all is right. The error says what is wrong at offset at.
func (w *walk) run() error {
	for w.at < len(w.text) {
		end := bytes.IndexByte(w.text[w.at:], '\n') + 1
		if end == 0 {
			return fmt.Errorf("%w: it ends within a line", errUnsigned)
		}
		line := w.text[w.at : w.at+end]
		if line[0] != '{' {
			if err := w.seal(); err != nil {
				return err
			}
			continue
		}
		if err := w.append(line[:end-1]); err != nil {
			return err
		}
		w.at += end
	}
	if w.end == 0 || len(w.pending) > 0 {
		return errUnsigned
	}
	return nil
}

// append reads an entry.
func (w *walk) append(line []byte) error {
	e, err := parseEntry(line)
	if err != nil {
		return err
	}
	first := w.at == 0
	if first != (e.Segment != nil) {
		return errors.New("a segment's first entry, and no other, says that it begins")
	}
	if first {
		if err := e.Segment.check(); err != nil {
			return err
		}
		w.head = *e.Segment
		if w.began, err = newTree(w.head.Size, w.head.Peaks); err != nil {
			return err
		}
		w.next = w.began.clone()
		if w.keep != nil {
			w.began.tell(w.keep)
		}
		if w.sized != nil && w.began.size > 0 {
			w.sized(&w.began)
		}
	}
	w.next.add(line, w.keep)
	if w.sized != nil {
		w.sized(&w.next)
	}
	w.pending = append(w.pending, pending{line, e})
	return nil
}

// seal reads a checkpoint.
func (w *walk) seal() error {
	text := w.text[w.at:]
	end := linesEnd(text, checkpointLines)
	if end == 0 {
		return fmt.Errorf("%w: it ends within one", errUnsigned)
	}
	if len(w.pending) == 0 {
		return errors.New("a checkpoint of nothing new")
	}
	text = text[:end]
	if !bytes.HasPrefix(text, []byte(checkpointBody(w.head.Origin, w.next.size, w.next.root())+"\n")) {
		return errors.New("the entries since the last checkpoint are not those that were signed")
	}
	if w.by != nil {
		if err := openCheckpoint(text, w.by); err != nil {
			return err
		}
	}
	w.at += end
	w.end, w.checkpoint, w.tree = w.at, text, w.next.clone()
	w.last = w.pending[len(w.pending)-1].e
	if w.entry != nil {
		index := w.tree.size - int64(len(w.pending))
		for i, p := range w.pending {
			w.entry(index+int64(i), p.line, p.e)
		}
	}
	w.pending = w.pending[:0]
	return nil
}

// linesEnd returns where the n-th line ends, or 0.
func linesEnd(text []byte, n int) (end int) {
	for range n {
		next := bytes.IndexByte(text[end:], '\n') + 1
		if next == 0 {
			return 0
		}
		end += next
	}
	return end
}

// signedBeyond tells whether by has signed a checkpoint after the first that is not
// right: then it was no crash that cut the file off there.
func (w *walk) signedBeyond(by note.Verifier) bool {
	rest := w.text[w.end:]
	for at := 0; ; {
		next := bytes.Index(rest[at:], []byte(originPrefix))
		if next < 0 {
			return false
		}
		at += next
		window := rest[at:min(len(rest), at+maxCheckpoint)]
		if end := linesEnd(window, checkpointLines); end > 0 && openCheckpoint(window[:end], by) == nil {
			return true
		}
		at += len(originPrefix)
	}
}
