package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A Store is what the store of the slashing records has done since it was opened.
// It is journal.Stats, field by field, so that one converts to the other.
type Store struct {
	Keys         int
	FileBytes    int64
	Flushes      uint64
	Records      uint64
	Flushing     time.Duration
	FlushTimes   [23]uint64 // flushes by the binary digits of their microseconds; the last one's may be longer
	Snapshots    uint64
	LongestPause time.Duration
}

// A storeCollector reads the figures of a store once for each scrape.
type storeCollector struct{ read func() Store }

func storeDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("secure_signer_store_"+name, help, nil, nil)
}

// Describe tells of every metric that Collect gives.
func (c storeCollector) Describe(out chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, out) }

// Collect gives the figures.
func (c storeCollector) Collect(out chan<- prometheus.Metric) {
	s := c.read()
	gauge := func(name, help string, v float64) {
		out <- prometheus.MustNewConstMetric(storeDesc(name, help), prometheus.GaugeValue, v)
	}
	counter := func(name, help string, v uint64) {
		out <- prometheus.MustNewConstMetric(storeDesc(name, help), prometheus.CounterValue, float64(v))
	}
	gauge("records", "Slashing records kept, also of keys that are not held any more.", float64(s.Keys))
	gauge("file_bytes", "Size of snapshot and segments.", float64(s.FileBytes))
	gauge("longest_pause_seconds", "The longest time since the start that a snapshot kept records waiting.", s.LongestPause.Seconds())
	counter("changes_total", "Changes of slashing records made durable.", s.Records)
	counter("snapshots_total", "Snapshots made.", s.Snapshots)

	times := make(map[float64]uint64, len(s.FlushTimes)-1)
	below := uint64(0)
	for digits, n := range s.FlushTimes[:len(s.FlushTimes)-1] {
		below += n
		times[(time.Duration(1<<digits) * time.Microsecond).Seconds()] = below
	}
	out <- prometheus.MustNewConstHistogram(
		storeDesc("flush_duration_seconds", "Of writing a frame and of its fsync. One flush makes all changes durable that had arrived."),
		s.Flushes, s.Flushing.Seconds(), times)
}
