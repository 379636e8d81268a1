package journal

import (
	"fmt"
	"math/bits"
	"time"

	"github.com/secure-signer/secure-signer/record"
)

// write is the only goroutine that writes frames. It begins a flush as soon as
// the last one has ended, with all changes that have arrived meanwhile.
//
// The order of its steps is why nobody hears of a change that a crash can undo:
//
//  1. The frame is written to blocks that hold nothing yet, and synced. Until the
//     fsync has returned no other frame is written.
//  2. The changes become what Load returns, and their callers go on.
//  3. If the frame was the segment's last, it has named the next one, which was
//     durable before. Frames go on there while a snapshot takes the place of
//     what is full.
//
// When any step fails nothing is written any more.
func (s *Store) write() {
	defer close(s.stopped)
	for batch := s.take(); len(batch) > 0; batch = s.take() {
		payload := encode(batch)
		full := s.current.fillsSegment(len(payload))
		if full {
			began := time.Now()
			if err := s.checkpoint.wait(); err != nil {
				s.finish(batch, s.fail(err))
				return
			}
			s.notePause(began)
			payload = appendNext(payload, s.checkpoint.reserve.salt)
		}
		began := time.Now()
		after, err := s.current.write(s.state.at, payload)
		if err != nil {
			s.finish(batch, s.fail(err))
			return
		}
		s.publish(batch, after, time.Since(began))
		if full {
			s.changeOver()
		}
	}
}

// take waits for changes and returns as many as one frame holds, in the order of
// their arrival. It returns none when none will come.
func (s *Store) take() []*change {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.queue) == 0 && !s.closed && s.err == nil {
		s.arrived.Wait()
	}
	n := 0
	for size := 0; n < len(s.queue); n++ {
		size += putSize(s.queue[n].key, s.queue[n].record)
		if size > maxPayload {
			break
		}
	}
	batch := s.queue[:n:n]
	s.queue = s.queue[n:]
	return batch
}

func encode(batch []*change) []byte {
	var payload []byte
	for _, c := range batch {
		if c.key == settleKey {
			payload = append(payload, byte(itemSettled))
		} else {
			payload = appendPut(payload, c.key, c.record)
		}
	}
	return payload
}

// publish makes the changes of a durable frame visible.
func (s *Store) publish(batch []*change, after position, took time.Duration) {
	s.mu.Lock()
	s.state.at = after
	for _, c := range batch {
		if c.key == settleKey {
			s.state.unsettled = false
		} else {
			s.state.records[c.key] = c.record
		}
	}
	s.stats.Flushes++
	s.stats.Records += uint64(len(batch))
	s.stats.Flushing += took
	s.stats.FlushTimes[min(bits.Len64(uint64(took.Microseconds())), len(s.stats.FlushTimes)-1)]++
	s.mu.Unlock()
	s.finish(batch, nil)
}

// finish lets the callers go on that wait for these changes.
func (s *Store) finish(batch []*change, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range batch {
		delete(s.pending, c.key)
		c.err = err
		close(c.done)
	}
}

// fail ends the store's service. Nothing is tried again: after a failed write or
// fsync nobody knows what the disk holds until it is read anew.
func (s *Store) fail(cause error) error {
	s.mu.Lock()
	if s.err == nil {
		s.err = fmt.Errorf("%w: %w", record.ErrUnavailable, cause)
		close(s.failed)
		s.arrived.Signal()
	}
	err, waiting := s.err, s.queue
	s.queue = nil
	s.mu.Unlock()
	s.finish(waiting, err)
	return err
}

// changeOver goes on in the segment that the last frame named, and starts the
// checkpoint that replaces what came before it.
func (s *Store) changeOver() {
	began := time.Now()
	full := s.current
	s.current = s.checkpoint.reserve
	s.checkpoint = s.startCheckpoint(s.state.clone(), s.current)
	if err := full.file.Close(); err != nil {
		_ = s.fail(err) // nobody waits for this: the next change gets the error
	}
	s.notePause(began)
}

func (s *Store) notePause(began time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.LongestPause = max(s.stats.LongestPause, time.Since(began))
}
