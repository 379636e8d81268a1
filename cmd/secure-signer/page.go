package main

import (
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/spf13/pflag"

	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/telemetry"
	"github.com/secure-signer/secure-signer/signer"
	"github.com/secure-signer/secure-signer/statuspage"
)

// pageFlags say where the status page is.
type pageFlags struct {
	host string
	port uint16
}

// noPage is the address of a status page that is not served.
const noPage = "off"

func (f *pageFlags) define(flags *pflag.FlagSet) {
	flags.StringVar(&f.host, "management-listen-host", "127.0.0.1", "`address` of the status page, which shows keys and asks nobody who he is; off for none")
	flags.Uint16Var(&f.port, "management-listen-port", 9002, "its `port`; 0 takes a free one")
}

// A pageListener is that of the status page, if there is one.
type pageListener struct {
	*boundedListener
	err error // why there is none that should be
}

// bind takes the page's port. Where it cannot, as beside a second signer on one
// machine, duties go on without the page.
func (f pageFlags) bind() pageListener {
	if f.host == noPage {
		return pageListener{}
	}
	l, err := bind(f.host, f.port, "management", maxViewers)
	return pageListener{l, err}
}

func (l pageListener) on() bool { return l.boundedListener != nil }

func (l pageListener) address() string {
	if !l.on() {
		return noPage
	}
	return "http://" + l.Addr().String() + "/"
}

func (l pageListener) warn(log *slog.Logger) {
	if l.err != nil {
		log.Warn("there is no status page; signing goes on", "error", l.err)
	}
	if !l.on() {
		return
	}
	if tcp, ok := l.Addr().(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		log.Warn("everyone who reaches this address can read which keys are here and when they last signed: keep it to a private network, or give --management-listen-host 127.0.0.1", "address", tcp.String())
	}
}

// statusPage is the operator's page over this daemon's parts.
func (d *daemon) statusPage() http.Handler {
	return statuspage.New(statuspage.Config{Signer: d.management(), Activity: &d.activity, Down: d.down})
}

// down names the lines of /healthcheck that are not as they should be, besides
// store and loading keys, of which the page tells in its own words.
func (d *daemon) down() []string {
	var down []string
	for _, c := range append(d.horizon.needed(), d.further()...) {
		if !c.Up {
			down = append(down, c.ID)
		}
	}
	return down
}

// observe counts each decision for the metrics and for the page.
func (d *daemon) observe(metrics *telemetry.Metrics) func(eth2.Kind, signer.Reason, time.Duration) {
	return func(kind eth2.Kind, reason signer.Reason, took time.Duration) {
		metrics.Observe(kind, reason, took)
		d.activity.Observe(kind, reason, took)
	}
}
