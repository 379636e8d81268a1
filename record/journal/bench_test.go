package journal

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/record"
)

// fill makes so many records as a signer keeps them: keys of 80 bytes and values
// of 120.
func fill(tb testing.TB, s *Store, keys int) {
	tb.Helper()
	const together = 1000
	var wg sync.WaitGroup
	for first := range together {
		wg.Go(func() {
			for i := first; i < keys; i += together {
				if err := s.Create(tb.Context(), benchKey(i), make([]byte, 120)); err != nil {
					tb.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func benchKey(i int) record.Key { return record.Key(fmt.Sprintf("%080d", i)) }

// replaceAll replaces each record once, by so many callers at once, and returns
// how long each call took.
func replaceAll(tb testing.TB, s *Store, keys, callers int) []time.Duration {
	tb.Helper()
	took := make([]time.Duration, keys)
	var wg sync.WaitGroup
	for first := range callers {
		wg.Go(func() {
			for i := first; i < keys; i += callers {
				r, err := s.Load(tb.Context(), benchKey(i))
				if err != nil {
					tb.Error(err)
					return
				}
				r.Value[0]++
				began := time.Now()
				if err := s.Replace(tb.Context(), benchKey(i), r.Version, r.Value); err != nil {
					tb.Error(err)
					return
				}
				took[i] = time.Since(began)
			}
		})
	}
	wg.Wait()
	return took
}

func BenchmarkReplace(b *testing.B) {
	for _, callers := range []int{1, 64, 512, 4096} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			s := mustOpen(b, mustCreate(b))
			keys := max(1000, callers)
			fill(b, s, keys)
			var took []time.Duration
			before := s.Stats()
			b.ReportAllocs()
			for b.Loop() {
				took = append(took, replaceAll(b, s, keys, callers)...)
			}
			after := s.Stats()
			b.ReportMetric(float64(len(took))/b.Elapsed().Seconds(), "records/s")
			b.ReportMetric(float64(after.Records-before.Records)/float64(after.Flushes-before.Flushes), "records/flush")
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
}

// BenchmarkSnapshot shows how long the slowest call took while snapshots were
// made.
func BenchmarkSnapshot(b *testing.B) {
	for _, keys := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			s := mustOpen(b, mustCreate(b))
			fill(b, s, keys)
			before := s.Stats().Snapshots
			var slowest time.Duration
			for b.Loop() {
				for s.Stats().Snapshots < before+3 {
					slowest = max(slowest, slices.Max(replaceAll(b, s, keys, 64)))
				}
				before = s.Stats().Snapshots
			}
			b.ReportMetric(float64(slowest.Microseconds())/1000, "slowest-ms")
			b.ReportMetric(float64(s.Stats().LongestPause.Microseconds())/1000, "pause-ms")
			b.ReportMetric(float64(s.Stats().FileBytes)/float64(keys), "disk-B/key")
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	dir := mustCreate(b)
	s := mustOpen(b, dir)
	fill(b, s, 100_000)
	for b.Loop() {
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		s = mustOpen(b, dir)
	}
}
