package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/secure-signer/secure-signer/admission"
)

// Gate opens a gate whose queue is on the page: how many wait in it, and for how
// long those waited that were let in. Who was turned away is among the refusals.
func (m *Metrics) Gate(cfg admission.Config) *admission.Gate {
	waits := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "secure_signer_queue_wait_seconds", Buckets: buckets,
		Help: "How long requests waited for their turn, by class of urgency. Those turned away are in secure_signer_refusals_total, reason overloaded.",
	}, []string{"class"})
	var observers []prometheus.Observer // by class, so that the signing path looks nothing up
	for _, c := range admission.Classes() {
		observers = append(observers, waits.WithLabelValues(c.String()))
	}
	cfg.Observe = func(c admission.Class, waited time.Duration) { observers[c].Observe(waited.Seconds()) }
	gate := admission.New(cfg)

	m.registry.MustRegister(waits)
	for _, c := range admission.Classes() {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "secure_signer_queue_length", Help: "Requests that wait for their turn, by class of urgency.",
			ConstLabels: prometheus.Labels{"class": c.String()},
		}, func() float64 { return float64(gate.Waiting(c)) }))
	}
	return gate
}
