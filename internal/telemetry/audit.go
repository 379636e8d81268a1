package telemetry

import "github.com/prometheus/client_golang/prometheus"

// An Audit is how far the audit log is; all but Entries and Waiting since the start.
type Audit struct {
	Entries  int64  // durable
	Waiting  int    // decisions that are not durable yet
	Unlogged uint64 // requests refused for want of a place
	Failures uint64 // writes that failed
}

// An auditCollector reads the figures of the audit log once for each scrape.
type auditCollector struct{ read func() Audit }

// Describe tells of every metric that Collect gives.
func (c auditCollector) Describe(out chan<- *prometheus.Desc) {
	prometheus.DescribeByCollect(c, out)
}

// Collect gives the figures.
func (c auditCollector) Collect(out chan<- prometheus.Metric) {
	a := c.read()
	give := func(name, help string, kind prometheus.ValueType, value float64) {
		desc := prometheus.NewDesc("secure_signer_audit_"+name, help, nil, nil)
		out <- prometheus.MustNewConstMetric(desc, kind, value)
	}
	give("entries", "Entries of the audit log that are durable, of those kept and of those that made room.", prometheus.GaugeValue, float64(a.Entries))
	give("waiting", "Decisions that the audit log has a place for and that are not durable yet.", prometheus.GaugeValue, float64(a.Waiting))
	give("refused_total", "Requests refused because the audit log had no place left.", prometheus.CounterValue, float64(a.Unlogged))
	give("failures_total", "Writes of the audit log that failed; each is tried again.", prometheus.CounterValue, float64(a.Failures))
}
