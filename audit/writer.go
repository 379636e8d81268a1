package audit

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/secure-signer/secure-signer/internal/durable"
)

// write flushes now and then until the log is closed.
func (l *Log) write() {
	defer close(l.done)
	tick := time.NewTicker(l.cfg.Every)
	defer tick.Stop()
	wake := l.wake
	for {
		select {
		case <-tick.C:
		case <-wake:
		case <-l.stop:
			l.closeErr = l.finish()
			return
		}
		wake = l.wake
		if err := l.flush(nil); err != nil {
			l.failed(err)
			wake = nil // a disk that fails is asked again in its time, however much is queued
		}
	}
}

// failed is told every time: until it succeeds, fewer and fewer requests have a place.
func (l *Log) failed(err error) {
	l.mu.Lock()
	l.stats.Failures++
	waiting := l.taken
	l.mu.Unlock()
	l.cfg.Log.Error("the audit log cannot be written, and is tried again: once it has no place left, nothing is signed",
		"waiting", waiting, "places", l.cfg.Places, "error", err)
}

// patience is how long Close waits for decisions that have a place.
const patience = time.Second

// finish writes the last entry.
func (l *Log) finish() error {
	for end := time.Now().Add(patience); l.promised() && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	e := Entry{Time: l.cfg.Now().UTC(), Event: EventStopped, Journal: l.cfg.Journal()}
	err := errors.Join(l.flush(&e), l.file.Close())
	if err != nil {
		return fmt.Errorf("close the audit log: %w", err)
	}
	return nil
}

// promised tells whether a place is taken and not filled.
func (l *Log) promised() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.taken > len(l.queue)
}

// flush makes what is queued durable, with a checkpoint. After an error it is still
// queued, and the file it may be in is not written to again.
func (l *Log) flush(last *Entry) error {
	l.flushing.Lock()
	defer l.flushing.Unlock()
	l.mu.Lock()
	n, unlogged := len(l.queue), l.unlogged
	lines := append([][]byte(nil), l.queue...)
	l.mu.Unlock()
	if unlogged > 0 {
		e := Entry{Time: l.cfg.Now().UTC(), Event: EventUnlogged, Count: unlogged, Journal: l.cfg.Journal()}
		lines = append(lines, e.encode())
	}
	if last != nil {
		lines = append(lines, last.encode())
	}
	if len(lines) == 0 {
		return nil
	}
	if err := l.store(lines); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.queue[:n])
	l.queue = l.queue[n:]
	l.taken -= n
	l.unlogged -= unlogged
	return nil
}

// store appends lines to the file, or begins the next with them.
func (l *Log) store(lines [][]byte) error {
	switch {
	case l.broken != "":
		return l.segment(l.head.Number+1, l.broken, lines)
	case l.size >= l.cfg.SegmentBytes:
		return l.segment(l.head.Number+1, "full", lines)
	}
	next := l.tree.clone()
	batch, err := l.batch(&next, l.head.Origin, lines)
	if err != nil {
		return err
	}
	if err := durable.Append(l.file, batch); err != nil {
		// A part of it may be there, and a second fsync would prove nothing.
		l.broken = "the file before could not be written to: " + clip(err.Error(), maxDetail)
		return errors.Join(err, l.file.Truncate(l.size))
	}
	l.tree, l.size = next, l.size+int64(len(batch))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.Entries = next.size
	return nil
}

// segment begins a file with lines. A crash leaves it whole, or not there.
func (l *Log) segment(number int, why string, lines [][]byte) error {
	head := Segment{Format: format, Origin: l.head.Origin, Number: number, Size: l.tree.size, Peaks: l.tree.peaks, Why: why}
	e := Entry{Segment: &head, Time: l.cfg.Now().UTC(), Event: EventSegment, Journal: l.cfg.Journal()}
	next := l.tree.clone()
	text, err := l.batch(&next, head.Origin, append([][]byte{e.encode()}, lines...))
	if err != nil {
		return err
	}
	path := segmentPath(l.cfg.Dir, number)
	if err := durable.WriteFile(path, text, 0o600); err != nil {
		return err
	}
	if err := l.use(path, int64(len(text)), next); err != nil {
		return err
	}
	l.head = head
	if err := l.retain(); err != nil { // what was to be written is written
		l.cfg.Log.Warn("the oldest files of the audit log cannot be removed", "error", err)
	}
	return nil
}

// batch adds lines to t and returns them with the checkpoint that covers them.
func (l *Log) batch(t *tree, origin string, lines [][]byte) ([]byte, error) {
	var text []byte
	for _, line := range lines {
		t.add(line, nil)
		text = append(append(text, line...), '\n')
	}
	checkpoint, err := l.cfg.Key.signCheckpoint(checkpointBody(origin, t.size, t.root()))
	if err != nil {
		return nil, err
	}
	return append(text, checkpoint...), nil
}

// retain removes the oldest files while all together are too large. The present one
// stays, and whatever is in it.
func (l *Log) retain() error {
	files, err := segments(l.cfg.Dir)
	if err != nil {
		return err
	}
	var all int64
	for _, f := range files {
		all += f.size
	}
	for _, f := range files[:len(files)-1] {
		if all <= l.cfg.KeepBytes {
			break
		}
		if err := os.Remove(f.path); err != nil {
			return err
		}
		all -= f.size
	}
	return nil
}
