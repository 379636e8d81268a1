package crash

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/secure-signer/secure-signer/record"
	"github.com/secure-signer/secure-signer/record/journal"
)

// Expectations are what had been asked of a journal, and promised, at a cut.
type Expectations struct {
	Created         bool
	AtLeast, AtMost map[record.Key]record.Version
}

// Expect returns what a journal must hold after a crash at the cut. Whoever has
// begun to say that he was promised something has been promised it.
func (h *History) Expect(cut int) Expectations {
	e := Expectations{AtLeast: make(map[record.Key]record.Version), AtMost: make(map[record.Key]record.Version)}
	for _, w := range h.words {
		if w.begin >= cut {
			break
		}
		switch w.word {
		case Created:
			e.Created = true
		case Asked:
			e.AtMost[w.key] = max(e.AtMost[w.key], w.version)
		case Promised, Seen:
			e.AtLeast[w.key] = max(e.AtLeast[w.key], w.version)
		}
	}
	return e
}

// An Outcome is what a journal did with a state.
type Outcome struct {
	Unsettled bool
	Extra     int // records that are newer than promised
}

// Recover writes the files of a state to an empty folder, opens the journal there
// and returns an error unless it holds what it must and nothing else.
func (e Expectations) Recover(ctx context.Context, folder string, state map[string][]byte) (Outcome, error) {
	var out Outcome
	for path, b := range state {
		if err := os.WriteFile(filepath.Join(folder, filepath.Base(path)), b, 0o600); err != nil {
			return out, err
		}
	}
	s, err := journal.Open(folder, Key)
	if !e.Created && errors.Is(err, journal.ErrMissing) {
		return out, journal.Create(folder, Key)
	}
	if err != nil {
		return out, err
	}
	out.Unsettled = s.Unsettled()
	found := make(map[record.Key]record.Version)
	for r, err := range s.List(ctx) {
		if err != nil {
			return out, errors.Join(err, s.Close())
		}
		found[r.Key] = r.Version
		if r.Version > e.AtMost[r.Key] || string(r.Value) != string(Value(r.Key, r.Version)) {
			return out, errors.Join(fmt.Errorf("%q holds %q at version %d, which nobody asked for", r.Key, r.Value, r.Version), s.Close())
		}
		if r.Version > e.AtLeast[r.Key] {
			out.Extra++
		}
	}
	for key, v := range e.AtLeast {
		if found[key] < v {
			return out, errors.Join(fmt.Errorf("%q is at version %d, although %d was promised", key, found[key], v), s.Close())
		}
	}
	return out, s.Close()
}
