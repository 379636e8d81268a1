package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/mnemonic"
)

// A reader sits at the terminal: what was shown, and what is typed.
type reader struct {
	shown string
	types func(place int) string
	asked []int
	press error
}

func (r *reader) ask(text, label string) (string, error) {
	r.shown += text + label
	var place int
	if _, err := fmt.Sscanf(label, "Word number %d: ", &place); err != nil {
		return "", r.press
	}
	r.asked = append(r.asked, place)
	return r.types(place), nil
}

func TestWordsAreShownOnceAndAskedFor(t *testing.T) {
	words := mnemonic.New().Words()
	right := func(place int) string { return words[place-1] }
	r := &reader{types: func(place int) string { return "  " + strings.ToUpper(right(place)) + "\r" }}
	if err := writtenDown(words, r.ask); err != nil {
		t.Fatal(err)
	}
	if len(r.asked) != askedWords || !slices.IsSorted(r.asked) || len(slices.Compact(slices.Clone(r.asked))) != askedWords {
		t.Errorf("asked for %v", r.asked)
	}
	first, rest, found := strings.Cut(r.shown, "Press Enter")
	for i, word := range words {
		if line := fmt.Sprintf("%6d %s", i+1, word); !strings.Contains(first, line) {
			t.Errorf("%q is not shown", line)
		}
	}
	if before, _, asks := strings.Cut(rest, "Word number"); !found || !asks || !strings.HasSuffix(before, clearScreen) {
		t.Errorf("the words stay on the screen while they are asked for: %q", rest)
	}

	wrong := &reader{types: func(place int) string { return right(place%24+1) + "x" }}
	if err := writtenDown(words, wrong.ask); err == nil || !strings.Contains(err.Error(), "throw the paper away") || len(wrong.asked) != maxTries {
		t.Errorf("wrong words: %v after %d", err, len(wrong.asked))
	}

	slip := &reader{}
	slip.types = func(place int) string {
		if len(slip.asked) == 1 {
			return "zoo!"
		}
		return right(place)
	}
	if err := writtenDown(words, slip.ask); err != nil || len(slip.asked) != askedWords+1 || !strings.Contains(slip.shown, "look again") {
		t.Errorf("one slip: %v after %d", err, len(slip.asked))
	}

	gone := &reader{press: io.EOF}
	if err := writtenDown(words, gone.ask); !errors.Is(err, io.EOF) || gone.asked != nil {
		t.Errorf("nobody there: %v", err)
	}
}
