package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/secure-signer/secure-signer/signer"
)

// aliases gives our figures under the names that Web3Signer has and that
// Grafana dashboard 13687 queries. Web3Signer 26 exports counters with and
// dashboards query them without the suffix _total; both are given.
type aliases struct {
	metrics *Metrics
	state   State
	release prometheus.Metric

	signing                        *prometheus.Desc
	loaded                         *prometheus.Desc
	missing, malformed             [2]*prometheus.Desc
	permittedSigns, preventedSigns [2]*prometheus.Desc
}

func newAliases(m *Metrics, release string, state State) *aliases {
	desc := func(name, help string) *prometheus.Desc { return prometheus.NewDesc(name, help, nil, nil) }
	both := func(name, help string) [2]*prometheus.Desc {
		return [2]*prometheus.Desc{desc(name, help), desc(name+"_total", help)}
	}
	version := prometheus.NewDesc("process_release", "The running release.", []string{"version"}, nil)
	return &aliases{
		metrics:        m,
		state:          state,
		release:        prometheus.MustNewConstMetric(version, prometheus.GaugeValue, 1, release),
		signing:        desc("signing_bls_signing_duration", "Seconds from a signing request to its signature; quantiles since the start, interpolated."),
		loaded:         desc("signing_signers_loaded_count", "Keys in service."),
		missing:        both("signing_bls_missing_identifier_count", "Requests for keys that are not held here."),
		malformed:      both("http_bls_malformed_request_count", "Requests that could not be understood."),
		permittedSigns: both("eth2_slashingprotection_permitted_signings", "Requests that were signed."),
		preventedSigns: both("eth2_slashingprotection_prevented_signings", "Requests refused by slashing protection."),
	}
}

// Describe sends nothing: an unchecked collector, because what it derives
// exists only once it was counted.
func (a *aliases) Describe(chan<- *prometheus.Desc) {}

func (a *aliases) Collect(out chan<- prometheus.Metric) {
	out <- a.release
	out <- prometheus.MustNewConstMetric(a.loaded, prometheus.GaugeValue, float64(a.state.KeysLoaded()))

	signed := a.signed()
	quantiles := map[float64]float64{}
	for _, q := range []float64{0.2, 0.5, 0.8, 0.95, 0.99, 1} {
		quantiles[q] = signed.quantile(q)
	}
	out <- prometheus.MustNewConstSummary(a.signing, signed.count, signed.sum, quantiles)

	refused := a.refusals()
	counters := []struct {
		descs [2]*prometheus.Desc
		value float64
	}{
		{a.permittedSigns, float64(signed.count)},
		{a.preventedSigns, refused(signer.ReasonDoubleBlock, signer.ReasonDoubleVote, signer.ReasonSurroundVote,
			signer.ReasonBelowWatermark, signer.ReasonBelowFloor, signer.ReasonSourceAfterTarget,
			signer.ReasonTooFarFuture, signer.ReasonHighWatermark, signer.ReasonKeyDisabled, signer.ReasonNoRecord, signer.ReasonForeignChain, signer.ReasonHorizonSource)},
		{a.missing, refused(signer.ReasonKeyNotFound)},
		{a.malformed, refused(signer.ReasonMalformedRequest)},
	}
	for _, c := range counters {
		for _, d := range c.descs {
			out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, c.value)
		}
	}
}

// refusals reads the refusals by reason, and returns their sum over reasons.
func (a *aliases) refusals() func(...signer.Reason) float64 {
	byReason := map[signer.Reason]float64{}
	for _, m := range gather(a.metrics.refusals) {
		for _, label := range m.Label {
			if label.GetName() == "reason" {
				byReason[signer.Reason(label.GetValue())] += m.Counter.GetValue()
			}
		}
	}
	return func(reasons ...signer.Reason) (sum float64) {
		for _, r := range reasons {
			sum += byReason[r]
		}
		return sum
	}
}

// signed adds up the histograms of what was signed, over all kinds.
func (a *aliases) signed() histogram {
	h := histogram{cumulative: make([]uint64, len(buckets))}
	for _, m := range gather(a.metrics.requests) {
		for _, label := range m.Label {
			if label.GetName() == "outcome" && label.GetValue() == "signed" {
				h.add(m.Histogram)
			}
		}
	}
	return h
}

func gather(c prometheus.Collector) []*dto.Metric {
	out := make(chan prometheus.Metric)
	go func() {
		defer close(out)
		c.Collect(out)
	}()
	var all []*dto.Metric
	for m := range out {
		var d dto.Metric
		if m.Write(&d) == nil {
			all = append(all, &d)
		}
	}
	return all
}

// A histogram counts over the package's buckets.
type histogram struct {
	count      uint64
	sum        float64
	cumulative []uint64
}

func (h *histogram) add(d *dto.Histogram) {
	h.count += d.GetSampleCount()
	h.sum += d.GetSampleSum()
	for i, b := range d.Bucket {
		if i < len(h.cumulative) {
			h.cumulative[i] += b.GetCumulativeCount()
		}
	}
}

// quantile interpolates within the bucket that holds the q-th sample, as
// Prometheus' histogram_quantile does.
func (h *histogram) quantile(q float64) float64 {
	if h.count == 0 {
		return 0
	}
	rank := q * float64(h.count)
	var below uint64
	lower := 0.0
	for i, upper := range buckets {
		if n := h.cumulative[i]; float64(n) >= rank && n > below {
			return lower + (upper-lower)*(rank-float64(below))/float64(n-below)
		}
		below, lower = h.cumulative[i], upper
	}
	return buckets[len(buckets)-1]
}
