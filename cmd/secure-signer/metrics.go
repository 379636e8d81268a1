package main

import (
	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/internal/telemetry"
)

// metrics are those of this daemon's parts.
func (d *daemon) metrics() *telemetry.Metrics {
	state := telemetry.State{
		KeysLoaded: d.keyring.Len,
		KeysHeld:   d.vault.Len,
		Ready:      d.custody.Ready,
		StoreUp:    func() bool { return d.journal.Err() == nil },
		Store:      func() telemetry.Store { return telemetry.Store(d.journal.Stats()) },
	}
	state.Audit = d.auditMetrics()
	if d.horizon != nil {
		state.Horizon = d.horizon.metrics
	}
	return telemetry.New(cli.Release(), state)
}
