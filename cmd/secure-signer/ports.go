package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/secure-signer/secure-signer/internal/httpjson"
	"github.com/secure-signer/secure-signer/internal/tlsfiles"
)

// drainTime is how long a stop waits for requests in flight. What was recorded
// is answered within milliseconds; a slow reader gets no more than this.
const drainTime = 10 * time.Second

// ports are where the daemon listens.
type ports struct {
	api, metrics *boundedListener
	page         pageListener
}

// bind takes the ports that duties need, or none, and that of the page if it is free.
func (f serveFlags) bind() (_ ports, err error) {
	var p ports
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	if p.api, err = bind(f.httpHost, f.httpPort, "http", connectionLimit()); err != nil {
		return p, err
	}
	if p.metrics, err = bind(f.metricsHost, f.metricsPort, "metrics", maxScrapes); err != nil {
		return p, err
	}
	p.page = f.management.bind()
	return p, nil
}

func (p ports) close() {
	for _, l := range []*boundedListener{p.api, p.metrics, p.page.boundedListener} {
		if l != nil {
			l.Close()
		}
	}
}

// answer serves on all ports: on each only whom its access lets in. Whatever ends one
// of the servers is sent to failed.
func (d *daemon) answer(at ports, api, metrics http.Handler, failed chan<- error) []*http.Server {
	serve := func(l *boundedListener, as net.Listener, h http.Handler) *http.Server {
		s := server(l, h, d.log)
		go func() { failed <- s.Serve(as) }()
		return s
	}
	servers := []*http.Server{
		serve(at.api, d.access.secure(at.api, d.log), d.access.guard(api)),
		serve(at.metrics, at.metrics, d.access.guardMetrics(metrics)),
	}
	if at.page.on() {
		servers = append(servers, serve(at.page.boundedListener, at.page, d.access.guardPage(d.statusPage())))
	}
	return servers
}

func bind(host string, port uint16, which string, connections int) (*boundedListener, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(int(port))))
	if err != nil {
		return nil, fmt.Errorf("%w: choose another with --%s-listen-port (the address: --%s-listen-host), or stop what holds it", err, which, which)
	}
	return bounded(l, connections), nil
}

// server bounds what a client can hold: slow headers, slow bodies, slow reads.
// Connections idle for two minutes and a half outlive the pools of every known
// client, so that none finds its kept connection closed at a duty.
func server(l *boundedListener, h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           httpjson.Edge(log, h),
		ConnState:         l.track,
		ConnContext:       tlsfiles.Remember,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       150 * time.Second,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),

		DisableGeneralOptionsHandler: true, // httpjson.Edge answers that, too
	}
}

// drain lets what is in flight finish, all servers at once. A client that has
// not sent or read everything when the time is up is cut off: what was recorded
// for it can be asked for again, and the stop is no less clean.
func drain(servers []*http.Server, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	var all sync.WaitGroup
	for _, s := range servers {
		all.Go(func() {
			if err := s.Shutdown(ctx); err != nil {
				log.Warn("clients that had not finished are cut off", "error", errors.Join(err, s.Close()))
			}
		})
	}
	all.Wait()
}
