package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/secure-signer/secure-signer/admission"
	"github.com/secure-signer/secure-signer/attestapi"
	"github.com/secure-signer/secure-signer/handover"
	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/internal/httpjson"
	"github.com/secure-signer/secure-signer/internal/telemetry"
	"github.com/secure-signer/secure-signer/keymanager"
	"github.com/secure-signer/secure-signer/management"
	"github.com/secure-signer/secure-signer/web3signer"
)

// listen serves until ctx is done or the store fails, then drains.
func (f serveFlags) listen(ctx context.Context, d *daemon, hangup <-chan os.Signal, stdout io.Writer) error {
	at, err := f.bind()
	if err != nil {
		return err
	}
	defer at.close()

	metrics := d.metrics()
	d.signer.Guard = metrics.Guard(d.guard)
	d.signer.Keys = metrics.Keys(d.keyring)
	reloads := newReloader(d.log, d.sources())
	reloads.manager = d.manager
	signing := d.signing(metrics, reloads)
	d.giving = d.giver()
	attestation, err := f.attestation(d)
	if err != nil {
		return err
	}
	d.access.warn(d.log, at.api.Addr())
	at.page.warn(d.log)
	if err := d.harden(f); err != nil {
		return err
	}

	failed := make(chan error, 4)
	servers := d.answer(at, d.routes(signing, attestation), metricsRoutes(metrics), failed)

	keeping, stopKeeping := context.WithCancel(ctx)
	d.horizon.begin(keeping)
	kept := make(chan struct{})
	go func() { // the keys: they load once, then reload when asked
		defer close(kept)
		if !d.makeReady(keeping, signing, failed) {
			return
		}
		d.announce(stdout, at)
		d.manager.ready()
		d.generous()
		reloads.run(keeping, hangup)
	}()

	waiting, cause := d.wait(ctx, failed)
	close(d.stopped)
	stopKeeping()
	<-kept
	d.manager.stopping()
	signing.ShutDown()
	if waiting != nil {
		signing.Settle()
		cause = d.giveUp(waiting)
	}
	drain(servers, d.log)
	return cause
}

// makeReady loads the keys, and reports whether it got so far before ctx was done.
func (d *daemon) makeReady(ctx context.Context, signing *web3signer.Handler, failed chan<- error) bool {
	if err := d.load(ctx); err != nil {
		if ctx.Err() == nil {
			failed <- err
		}
		return false
	}
	d.horizon.await(ctx)
	signing.Ready()
	return true
}

// wait returns when it is time to stop: who waits for it, or why, if nobody has asked
// for it.
func (d *daemon) wait(ctx context.Context, failed <-chan error) (waiting chan<- error, cause error) {
	select {
	case <-ctx.Done():
		d.log.Info("stopping: finishing what is in flight")
		return nil, nil
	case err := <-failed:
		return nil, err
	case <-d.journal.Failed():
		return nil, fmt.Errorf("the store failed and a restart is needed: %w", d.journal.Err())
	case waiting := <-d.retiring:
		d.log.Info("stopping for good: another version takes the folder over")
		return waiting, nil
	}
}

// signing is the Web3Signer API over this daemon's parts.
func (d *daemon) signing(metrics *telemetry.Metrics, reloads *reloader) *web3signer.Handler {
	return web3signer.New(web3signer.Config{
		Gate:        metrics.Gate(admission.Config{}),
		Signer:      d.signer,
		PublicKeys:  d.keyring.PublicKeys,
		StoreErr:    d.journal.Err,
		Needed:      d.needed,
		Further:     d.further,
		StartReload: reloads.start,
		LastReload:  reloads.state,
		Auditor:     d.auditor(),
		Log:         d.log,
		Observe:     d.observe(metrics),
		UnknownFork: metrics.UnknownFork,

		HighWatermark: d.stopsAt(),
	})
}

// further shows the platform, and what is not as it should be and keeps no key in
// service from signing. It is asked every second, so it looks for keys that are held and not
// in service only where some are missing.
func (d *daemon) further() []web3signer.Check {
	checks := append(d.access.degraded(), d.platform.check(), d.hardened.check())
	checks = append(checks, d.horizon.awaited()...)
	if d.vault.Err() != nil {
		checks = append(checks, web3signer.Check{ID: "vault-check/needs-restart"})
	}
	if !d.custody.Ready() || d.vault.Len() == d.keyring.Len() {
		return checks
	}
	if withheld := d.custody.Withheld(context.Background()); len(withheld) > 0 {
		checks = append(checks, web3signer.Check{ID: "keys-check/withheld", Data: map[string]any{"error-count": len(withheld)}})
	}
	return checks
}

// routes puts the APIs of port 9000 side by side. Those that change the vault or
// show more than public keys need the token, unless the keymanager API is open to
// whoever has been let in. Evidence is for everybody.
func (d *daemon) routes(signing http.Handler, attestation attestapi.Routes) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", signing)
	token := func() string { return *d.token.Load() }
	mux.Handle("/eth/v1/keystores", d.access.keymanager(token, keymanager.New(keymanager.Config{
		Custody: d.custody, Guard: d.guard, Log: d.log,
	})))
	mux.Handle(attestapi.RouteAttest, attestation.Attest)
	mux.Handle(attestapi.RouteImport, d.access.keymanager(token, attestation.Import))
	mux.Handle(attestapi.RouteGenerate, httpjson.RequireToken(token, attestation.Generate))
	handOver := httpjson.RequireToken(token, handover.Handler(d.giving, d.log))
	mux.Handle(handover.NonceRoute, handOver)
	mux.Handle(handover.GiveRoute, handOver)
	mux.Handle("/signer/v1", signing) // has no such route; ServeMux would redirect it
	mux.Handle("/signer/v1/", httpjson.RequireToken(token, management.New(d.management())))
	return mux
}

func metricsRoutes(metrics *telemetry.Metrics) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics.Handler())
	return mux
}

// load brings the vault's keys into service.
func (d *daemon) load(ctx context.Context) error {
	report, err := d.custody.Load(ctx)
	if err != nil {
		return fmt.Errorf("load keys: %w", err)
	}
	for _, problem := range report.Problems {
		d.log.Error("key not in service", "pubkey", problem.PublicKey, "error", problem.Err)
	}
	return nil
}

// announce tells scripts that it is ready, in one log line, and a person what
// the signer holds, where, and what to do next.
func (d *daemon) announce(stdout io.Writer, at ports) {
	keys, api := d.keyring.Len(), at.api.Addr()
	d.log.Info("ready to sign", "keys", keys, "network", d.network.Name, "address", api.String(), "version", cli.Release())
	next := "point a validator client at it: docs/clients.md has the flags of each"
	ctl := fmt.Sprintf("%s --data-dir %s%s", signerctl(), d.dir.Path(), d.access.signerctlFlags(api))
	switch {
	case keys < d.vault.Len():
		next = "see why some keys do not sign: " + ctl + " keys list"
	case keys == 0:
		next = "make keys with: " + ctl + " keys generate (or keys import FILE)"
	}
	fmt.Fprintf(stdout, `
Secure Signer %s
  network   %s
  keys      %d in service, of %d held in %s
  signing   %s://%s
  metrics   http://%s/metrics
  page      %s
  platform  %s
  horizon   %s
  memory    keys %s
  hardening %s
  audit     %s
  next      %s

`, cli.Release(), d.network.Name, keys, d.vault.Len(), d.dir.Path(), d.access.scheme(), api, at.metrics.Addr(), at.page.address(), d.platform.banner(), d.horizon.banner(), strings.Join(d.keyring.Protections(), ", "), d.hardened.banner(), d.auditBanner(), next)
}

// signerctl is how to call the operator's tool: as this program was called, if
// they lie side by side.
func signerctl() string {
	const name = "signerctl"
	dir := filepath.Dir(os.Args[0])
	if _, err := os.Stat(filepath.Join(dir, name)); dir == "." || err != nil {
		return name
	}
	return filepath.Join(dir, name)
}
