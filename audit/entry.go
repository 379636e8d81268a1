package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/signer"
)

// The events of a log.
const (
	EventSegment  = "segment"  // a file begins
	EventStarted  = "started"  // after a clean stop: nothing is missing before it
	EventGap      = "gap"      // after anything else: something may be missing before it
	EventStopped  = "stopped"  // a clean stop: the log has all until here
	EventSigned   = "signed"   // a signature was made
	EventRefused  = "refused"  // a request was refused
	EventUnlogged = "unlogged" // requests were refused because the log had no place for them
)

// An Entry is one line of the log, in JSON. Members that do not apply are left out.
type Entry struct {
	Segment *Segment `json:"segment,omitempty"` // first: it begins with the format

	Time  time.Time `json:"time"`
	Event string    `json:"event"`

	Caller      string           `json:"caller,omitempty"`
	Kind        string           `json:"kind,omitempty"`
	Key         string           `json:"key,omitempty"`
	Slot        *eth2.Slot       `json:"slot,omitempty"`
	Epoch       *eth2.Epoch      `json:"epoch,omitempty"`
	Source      *eth2.Checkpoint `json:"source,omitempty"`
	Target      *eth2.Checkpoint `json:"target,omitempty"`
	SigningRoot *eth2.Root       `json:"signing_root,omitempty"`
	Reason      signer.Reason    `json:"reason,omitempty"`
	Detail      string           `json:"detail,omitempty"`

	Gap     *Gap   `json:"gap,omitempty"`
	Count   uint64 `json:"count,omitempty"`   // of unlogged refusals
	Journal uint64 `json:"journal,omitempty"` // the journal's sequence number at that time
}

// A Segment is how a file begins.
type Segment struct {
	Format string      `json:"format"`
	Origin string      `json:"origin"` // names the tree: the same in every file of it
	Number int         `json:"number"` // of the file
	Size   int64       `json:"size"`   // how many entries the tree has before this one
	Peaks  []tlog.Hash `json:"peaks"`  // the tree of these
	Why    string      `json:"why"`    // the file was begun
}

// A Gap is what the log does not tell.
type Gap struct {
	Before uint64 `json:"journal_before"` // the journal's sequence number of the last entry
	After  uint64 `json:"journal_after"`  // and when the signer was started
	Cut    int    `json:"bytes_cut"`      // from the end of the file, which no checkpoint covered
}

// format is the magic of a segment, with its version.
const format = "secure-signer-audit-1"

// magic is how each segment begins.
const magic = `{"segment":{"format":"` + format + `"`

// What callers and errors may add to an entry, in bytes: a place in the queue
// must have a bound. A line is far below maxLine then, whatever JSON makes of it.
const (
	maxCaller = 128
	maxDetail = 512
	maxLine   = 16 << 10
)

// decided is the entry of d.
func decided(d signer.Decision, journal uint64) Entry {
	e := Entry{Time: d.Time.UTC(), Event: EventSigned, Caller: clip(d.Caller.Name, maxCaller), Journal: journal}
	if d.Refusal != nil {
		e.Event, e.Reason = EventRefused, d.Refusal.Reason
		if d.Refusal.Err != nil {
			e.Detail = clip(d.Refusal.Err.Error(), maxDetail)
		}
	}
	if d.Message == nil {
		return e
	}
	e.Kind, e.Key = d.Message.Kind().String(), d.Key.String()
	duty := eth2.DutyOf(d.Message)
	e.Slot, e.Epoch, e.Source, e.Target = duty.Slot, duty.Epoch, duty.Source, duty.Target
	if d.Root != (eth2.Root{}) {
		e.SigningRoot = &d.Root
	}
	return e
}

// clip keeps a text short and valid.
func clip(text string, limit int) string {
	if len(text) > limit {
		text = text[:limit]
	}
	return strings.ToValidUTF8(text, "?")
}

// encode returns the line of e, without its end.
func (e *Entry) encode() []byte {
	line, err := json.Marshal(e)
	if err != nil {
		panic(fmt.Sprintf("audit: internal error: encode an entry: %v", err))
	}
	return line
}

// parseEntry reads a line.
func parseEntry(line []byte) (Entry, error) {
	var e Entry
	if len(line) > maxLine {
		return e, fmt.Errorf("an entry of %d bytes", len(line))
	}
	if err := json.Unmarshal(line, &e); err != nil {
		return e, fmt.Errorf("not an entry: %w", err)
	}
	if (e.Segment != nil) != (e.Event == EventSegment) || (e.Gap != nil) != (e.Event == EventGap) {
		return e, fmt.Errorf("an entry of event %.32q that is none", e.Event)
	}
	return e, nil
}

// check says whether this release reads s.
func (s *Segment) check() error {
	switch {
	case s.Format != format:
		return fmt.Errorf("format %.64q is of a newer release: update this program", s.Format)
	case !strings.HasPrefix(s.Origin, originPrefix) || strings.ContainsAny(s.Origin, "\n\r") || len(s.Origin) > 64:
		return errors.New("no log of a Secure Signer")
	}
	return nil
}
