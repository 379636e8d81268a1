package crash

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

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
	n := 0
	for n < len(h.words) && h.words[n].begin < cut {
		n++
	}
	return expect(h.words[:n])
}

func expect(words []said) Expectations {
	e := Expectations{AtLeast: make(map[record.Key]record.Version), AtMost: make(map[record.Key]record.Version)}
	for _, w := range words {
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

// ExpectOf returns what a journal must hold after a program that has said this.
func ExpectOf(output string) (Expectations, error) {
	var words []said
	for line := range strings.Lines(output) {
		word, key, version, err := hear(line)
		if err != nil {
			return Expectations{}, err
		}
		words = append(words, said{word: word, key: key, version: version})
	}
	return expect(words), nil
}

// An Outcome is what a journal did with a state.
type Outcome struct {
	Unsettled bool
	Extra     int // records that are newer than promised
}

// Write puts the files of a state into an empty folder.
func Write(folder string, state map[string][]byte) error {
	for path, b := range state {
		if err := os.WriteFile(filepath.Join(folder, filepath.Base(path)), b, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Recover opens the journal in the folder and returns an error unless it holds
// what it must and nothing else.
func (e Expectations) Recover(ctx context.Context, folder string) (Outcome, error) {
	s, err := journal.Open(folder, Key)
	if !e.Created && errors.Is(err, journal.ErrMissing) {
		return Outcome{}, journal.Create(folder, Key)
	}
	if err != nil {
		return Outcome{}, err
	}
	out, err := e.judge(ctx, s)
	return out, errors.Join(err, s.Close())
}

func (e Expectations) judge(ctx context.Context, s *journal.Store) (Outcome, error) {
	out := Outcome{Unsettled: s.Unsettled()}
	found := make(map[record.Key]record.Version)
	for r, err := range s.List(ctx) {
		if err != nil {
			return out, err
		}
		found[r.Key] = r.Version
		if r.Version > e.AtMost[r.Key] || string(r.Value) != string(Value(r.Key, r.Version)) {
			return out, fmt.Errorf("%q holds %q at version %d, which nobody asked for", r.Key, r.Value, r.Version)
		}
		if r.Version > e.AtLeast[r.Key] {
			out.Extra++
		}
	}
	for key, v := range e.AtLeast {
		if found[key] < v {
			return out, fmt.Errorf("%q is at version %d, although %d was promised", key, found[key], v)
		}
	}
	return out, nil
}
