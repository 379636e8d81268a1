// Package audit is the tamper-evident log of every decision: an append-only
// Merkle tree (RFC 6962, by x/mod/sumdb/tlog) whose checkpoints (C2SP
// tlog-checkpoint) are signed by a key that only the signer has.
//
// # What it guarantees
//
// Whoever has the key's public half can tell, offline, that no entry was changed,
// moved, added, or dropped from the middle, and that the entries kept are all that
// there were between two checkpoints. A place for each decision is reserved before
// it is made: where there is none, nothing is signed. Nothing that has a place is
// dropped. A crash loses at most what came since the last flush, about a second,
// and the next start says so in an entry of its own.
//
// # What it does not guarantee
//
// A log cut back to an earlier checkpoint is a log: only who has kept a later
// checkpoint can tell (Verify takes it), or who compares the journal's sequence
// numbers in the entry that the next start writes. Anybody who reads the disk reads
// the log. What one client may ask for it may fill the log with: the oldest entries
// make room.
//
// Signing safety rests on the slashing journal alone. So a log that is damaged keeps no
// signer from starting: the damaged file is kept, and another tree begun beside it.
//
// # How it is stored
//
// A folder of text files, NNNNNNNN.log: one entry in JSON a line, and after each batch a
// checkpoint, in one write and one fsync. Each file begins with an entry that carries the
// tree so far, so that what is kept can be verified when what came before is not.
package audit

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/secure-signer/secure-signer/internal/durable"
	"github.com/secure-signer/secure-signer/signer"
)

// Config is where a log is kept and who signs it. Dir, Key and Journal are required.
type Config struct {
	Dir     string        // made if it is missing; for this process alone
	Key     *Key          // signs checkpoints
	Journal func() uint64 // the journal's sequence number, now

	SegmentBytes int64         // a file is full; 0 is 8 MiB
	KeepBytes    int64         // all files together, of which the oldest go; 0 is 1 GiB
	Places       int           // decisions that may wait for the disk; 0 is 32768
	Every        time.Duration // between two flushes; 0 is a second

	Log *slog.Logger // slog.Default if nil
	Now func() time.Time
}

// ErrFull is that no place is left: the disk is slower than the decisions, full, or broken.
var ErrFull = errors.New("the audit log has no place left: its disk is full, failing, or too slow")

// ErrClosed is that the log is closed.
var ErrClosed = errors.New("the audit log is closed")

// A Log is open for one process. It is a signer.Auditor.
type Log struct {
	cfg  Config
	wake chan struct{} // much is queued
	stop chan struct{}
	done chan struct{} // closed when the writer has ended

	mu       sync.Mutex // guards what follows; held for an append, never for the disk
	taken    int        // places: promised, queued, or being written
	queue    [][]byte   // lines
	unlogged uint64     // refused since the last flush that told of it
	stats    Stats
	closed   bool

	flushing sync.Mutex // guards what follows; held while the disk is written
	file     *os.File
	size     int64 // of file that is durable
	head     Segment
	tree     tree
	broken   string // why file is not written to any more; empty while it is

	closeErr error // to be read once done is closed
}

// Stats are figures for operators, since Open except for Entries.
type Stats struct {
	Entries  int64  // of the tree, durable
	Waiting  int    // decisions that have a place and are not durable yet
	Unlogged uint64 // requests refused for want of a place
	Failures uint64 // writes that failed, each of which is tried again
}

// Open opens the log of a folder, or begins one. Nothing is in it after the last
// checkpoint that is right; a log that is not right in its middle is left as it is,
// and another begun.
func Open(cfg Config) (*Log, error) {
	cfg.defaults()
	l := &Log{cfg: cfg, wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	if err := os.Mkdir(cfg.Dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make the folder of the audit log: %w", err)
	}
	if err := l.recover(); err != nil {
		return nil, fmt.Errorf("open the audit log in %s (to start without: --audit-log off): %w", cfg.Dir, err)
	}
	go l.write()
	return l, nil
}

func (c *Config) defaults() {
	if c.SegmentBytes == 0 {
		c.SegmentBytes = 8 << 20
	}
	if c.KeepBytes == 0 {
		c.KeepBytes = 1 << 30
	}
	if c.Places == 0 {
		c.Places = 32768
	}
	if c.Every == 0 {
		c.Every = time.Second
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

// recover finds where the log goes on, and writes that it does.
func (l *Log) recover() error {
	files, err := segments(l.cfg.Dir)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return l.begin(1, "first")
	}
	last := files[len(files)-1]
	text, err := readSegment(last.path)
	if err != nil {
		return err
	}
	w := &walk{text: text}
	err = w.run()
	right := w.end > 0 && openCheckpoint(w.checkpoint, l.cfg.Key) == nil // the last vouches for all before it
	if !right || err != nil && w.signedBeyond(l.cfg.Key) {
		if err == nil || !right {
			err = errors.Join(err, errSignature)
		}
		l.cfg.Log.Error("the audit log is damaged: it is kept as it is, and another is begun beside it",
			"file", last.path, "offset", w.at, "error", err)
		return l.begin(last.number+1, fmt.Sprintf("%s is damaged at offset %d: %s", last.name, w.at, clip(err.Error(), maxDetail)))
	}
	l.head, l.tree = w.head, w.tree
	return l.goOn(last.path, text[:w.end], l.resumption(w, len(text)-w.end))
}

// resumption is what a start says of the time before it.
func (l *Log) resumption(w *walk, cut int) *Entry {
	e := &Entry{Time: l.cfg.Now().UTC(), Event: EventStarted, Journal: l.cfg.Journal()}
	if w.last.Event != EventStopped || w.last.Journal != e.Journal || cut > 0 {
		e.Event, e.Gap = EventGap, &Gap{Before: w.last.Journal, After: e.Journal, Cut: cut}
		l.cfg.Log.Warn("the audit log has a gap: the signer was not stopped cleanly, or ran without it",
			"journal_before", e.Gap.Before, "journal_after", e.Gap.After, "bytes_cut", cut)
	}
	return e
}

// goOn replaces a segment by what is right of it and an entry: what was read may be
// in the page cache alone, and is on the disk after this.
func (l *Log) goOn(path string, right []byte, e *Entry) error {
	next := l.tree.clone()
	batch, err := l.batch(&next, l.head.Origin, [][]byte{e.encode()})
	if err != nil {
		return err
	}
	text := append(bytes.Clone(right), batch...)
	if err := durable.WriteFile(path, text, 0o600); err != nil {
		return err
	}
	return l.use(path, int64(len(text)), next)
}

// use has the writer go on in a file that is durable.
func (l *Log) use(path string, size int64, t tree) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	if l.file != nil {
		_ = l.file.Close() // what was in it is synced, or told anew in the new one
	}
	l.file, l.size, l.tree, l.broken = file, size, t, ""
	l.mu.Lock()
	l.stats.Entries = t.size
	l.mu.Unlock()
	return nil
}

// begin begins a tree.
func (l *Log) begin(number int, why string) error {
	var id [8]byte
	if _, err := rand.Read(id[:]); err != nil {
		return err
	}
	l.head, l.tree = Segment{Origin: originPrefix + hex.EncodeToString(id[:])}, tree{peaks: []tlog.Hash{}}
	return l.segment(number, why, nil)
}

// Public is the key that the log is verified with.
func (l *Log) Public() string { return l.cfg.Key.Public() }

// Reserve takes a place, or returns ErrFull or ErrClosed.
func (l *Log) Reserve() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return ErrClosed
	case l.taken >= l.cfg.Places:
		l.unlogged++
		l.stats.Unlogged++
		return ErrFull
	}
	l.taken++
	return nil
}

// Decided fills a place that Reserve has given.
func (l *Log) Decided(d signer.Decision) {
	e := decided(d, l.cfg.Journal())
	line := e.encode()
	l.mu.Lock()
	l.queue = append(l.queue, line)
	much := len(l.queue) >= l.cfg.Places/8
	l.mu.Unlock()
	if much {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

// Full tells whether no place is left, just now.
func (l *Log) Full() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.taken >= l.cfg.Places
}

// Stats returns figures for operators.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	s.Waiting = l.taken
	return s
}

// Close writes what is queued and that the log is whole until here. It waits for places
// that were promised, for a moment: who still has one has been cut off from his client.
func (l *Log) Close() error {
	l.mu.Lock()
	already := l.closed
	l.closed = true
	l.mu.Unlock()
	if !already {
		close(l.stop)
	}
	<-l.done
	return l.closeErr
}

var _ signer.Auditor = (*Log)(nil)
