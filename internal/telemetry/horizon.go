package telemetry

import "github.com/prometheus/client_golang/prometheus"

// A Horizon is how far this signer may sign, and how its claims went since the
// start.
type Horizon struct {
	Owned          bool   // the present epoch
	LastEpoch      uint64 // that is owned; 0 if none is
	Claims, Failed uint64
}

// A horizonCollector reads the figures of a horizon once for each scrape.
type horizonCollector struct{ read func() Horizon }

// Describe tells of every metric that Collect gives.
func (c horizonCollector) Describe(out chan<- *prometheus.Desc) {
	prometheus.DescribeByCollect(c, out)
}

// Collect gives the figures.
func (c horizonCollector) Collect(out chan<- prometheus.Metric) {
	h := c.read()
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("secure_signer_horizon_"+name, help, labels, nil)
	}
	owned := 0.0
	if h.Owned {
		owned = 1
	}
	claims := desc("claims_total", "Claims of an epoch by this signer, by result (owned or failed).", "result")
	out <- prometheus.MustNewConstMetric(desc("owned", "1 while blocks and votes of the present epoch may be signed."), prometheus.GaugeValue, owned)
	out <- prometheus.MustNewConstMetric(desc("last_owned_epoch", "The last epoch that this signer owns; 0 if it owns none."), prometheus.GaugeValue, float64(h.LastEpoch))
	out <- prometheus.MustNewConstMetric(claims, prometheus.CounterValue, float64(h.Claims), "owned")
	out <- prometheus.MustNewConstMetric(claims, prometheus.CounterValue, float64(h.Failed), "failed")
}
