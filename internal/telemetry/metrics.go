// Package telemetry counts and times what the signer does, for Prometheus.
//
// Its own metrics begin with secure_signer_. The names that Web3Signer's
// dashboards query are derived from them at scrape time and cost nothing on
// the signing path; see aliases.go.
package telemetry

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/signer"
)

// buckets span what matters to a duty: 50 µs, a cached hash and no disk, to
// 5 s, when the duty is lost.
var buckets = []float64{
	50e-6, 100e-6, 200e-6, 350e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 20e-3, 50e-3, 0.1, 0.2, 0.5, 1, 2, 5,
}

// Metrics holds the counters of one signer. Make it with New.
type Metrics struct {
	registry    *prometheus.Registry
	requests    *prometheus.HistogramVec // by kind and outcome
	refusals    *prometheus.CounterVec   // by kind and reason
	commit      prometheus.Histogram
	sign        prometheus.Histogram
	lastSigned  *prometheus.GaugeVec // unix seconds, by kind
	unknownFork prometheus.Counter
}

// State is what is read anew at each scrape.
type State struct {
	KeysLoaded func() int  // in service
	KeysHeld   func() int  // in the vault
	Ready      func() bool // every key was looked at
	StoreUp    func() bool
	Store      func() Store
	Horizon    func() Horizon // nil: there is none
	Audit      func() Audit   // nil: there is no audit log
}

// New returns the metrics of a signer of that release.
func New(release string, state State) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "secure_signer_request_duration_seconds", Buckets: buckets,
			Help: "From a decoded signing request to its answer, by kind of message and outcome (signed or refused).",
		}, []string{"kind", "outcome"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "secure_signer_refusals_total", Help: "Requests that were not signed, by kind of message and reason (docs/errors.md).",
		}, []string{"kind", "reason"}),
		commit: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "secure_signer_commit_duration_seconds", Buckets: buckets,
			Help: "Until the slashing record of a block or attestation was durable.",
		}),
		sign: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "secure_signer_sign_duration_seconds", Buckets: buckets,
			Help: "Of one BLS signature, the wait for a worker included.",
		}),
		lastSigned: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "secure_signer_last_signed_timestamp_seconds", Help: "When a message of this kind was last signed.",
		}, []string{"kind"}),
		unknownFork: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "secure_signer_unknown_fork_signed_total",
			Help: "Messages signed under a fork version newer than this release knows: update the signer.",
		}),
	}
	m.registry.MustRegister(m.requests, m.refusals, m.commit, m.sign, m.lastSigned, m.unknownFork,
		gauge("secure_signer_keys_loaded", "Keys in service.", func() float64 { return float64(state.KeysLoaded()) }),
		gauge("secure_signer_keys_held", "Keys in the vault.", func() float64 { return float64(state.KeysHeld()) }),
		gauge("secure_signer_ready", "1 once every key of the vault was looked at; until then keys_loaded of keys_held are in service.", truth(state.Ready)),
		gauge("secure_signer_store_up", "1 while slashing records can be made durable.", truth(state.StoreUp)),
		storeCollector{state.Store},
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		newAliases(m, release, state))
	if state.Horizon != nil {
		m.registry.MustRegister(horizonCollector{state.Horizon})
	}
	if state.Audit != nil {
		m.registry.MustRegister(auditCollector{state.Audit})
	}
	m.beginConflicts()
	return m
}

// beginConflicts shows the refusals of slashable messages before there are any: to
// Prometheus a counter that begins at 1 has not increased, and the first is the one
// that must not be missed.
func (m *Metrics) beginConflicts() {
	m.refusals.WithLabelValues(eth2.KindBlock.String(), string(signer.ReasonDoubleBlock))
	m.refusals.WithLabelValues(eth2.KindAttestation.String(), string(signer.ReasonDoubleVote))
	m.refusals.WithLabelValues(eth2.KindAttestation.String(), string(signer.ReasonSurroundVote))
}

// truth is 1 or 0.
func truth(of func() bool) func() float64 {
	return func() float64 {
		if of() {
			return 1
		}
		return 0
	}
}

func gauge(name, help string, read func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read)
}

// Observe counts one answered request. An empty reason means that it was
// signed; a zero kind, that it could not be told what was asked.
func (m *Metrics) Observe(kind eth2.Kind, reason signer.Reason, took time.Duration) {
	name := "unknown"
	if kind != 0 {
		name = kind.String()
	}
	if reason == "" {
		m.requests.WithLabelValues(name, "signed").Observe(took.Seconds())
		m.lastSigned.WithLabelValues(name).SetToCurrentTime()
		return
	}
	m.requests.WithLabelValues(name, "refused").Observe(took.Seconds())
	m.refusals.WithLabelValues(name, string(reason)).Inc()
}

// UnknownFork counts a message signed under a fork version that is not in the
// schedule.
func (m *Metrics) UnknownFork() { m.unknownFork.Inc() }

// Handler serves the metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
}

// Guard returns g with its commits timed. Messages without a record take no
// commit and are not counted.
func (m *Metrics) Guard(g signer.Guard) signer.Guard { return timedGuard{g, m.commit} }

type timedGuard struct {
	signer.Guard
	commit prometheus.Observer
}

func (g timedGuard) Record(ctx context.Context, pub bls.PublicKey, m eth2.Message, root eth2.Root) error {
	begin := time.Now()
	err := g.Guard.Record(ctx, pub, m, root)
	if k := m.Kind(); k == eth2.KindAttestation || k == eth2.KindBlock {
		g.commit.Observe(time.Since(begin).Seconds())
	}
	return err
}

// Keys returns k with its signatures timed.
func (m *Metrics) Keys(k signer.Keys) signer.Keys { return timedKeys{k, m.sign} }

type timedKeys struct {
	signer.Keys
	sign prometheus.Observer
}

func (k timedKeys) Sign(ctx context.Context, key *bls.Key, root [32]byte) (bls.Signature, error) {
	defer k.observe(time.Now())
	return k.Keys.Sign(ctx, key, root)
}

func (k timedKeys) SignFirst(ctx context.Context, key *bls.Key, root [32]byte) (bls.Signature, error) {
	defer k.observe(time.Now())
	return k.Keys.SignFirst(ctx, key, root)
}

func (k timedKeys) observe(begin time.Time) { k.sign.Observe(time.Since(begin).Seconds()) }
