package main

import (
	"fmt"
	"log/slog"

	"github.com/spf13/pflag"

	"github.com/secure-signer/secure-signer/audit"
	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/internal/datadir"
	"github.com/secure-signer/secure-signer/internal/telemetry"
	"github.com/secure-signer/secure-signer/record/journal"
	"github.com/secure-signer/secure-signer/signer"
	"github.com/secure-signer/secure-signer/vault"
	"github.com/secure-signer/secure-signer/web3signer"
)

// auditKeyLabel separates the seed of the audit log's key from whatever else is
// derived from the vault's data key.
const auditKeyLabel = "secure-signer audit v1"

// auditFlags say whether every decision is kept, and how many.
type auditFlags struct {
	mode      string
	megabytes uint32
}

func (f *auditFlags) define(flags *pflag.FlagSet) {
	flags.StringVar(&f.mode, "audit-log", "on", "keep every decision in a log that shows whether it was changed: on or off")
	flags.Uint32Var(&f.megabytes, "audit-log-megabytes", 1024, "how much of it is kept, in `MB`: the oldest decisions make room")
}

// minAuditMegabytes is what two files of the log take.
const minAuditMegabytes = 16

// check is for a call that is wrong before anything is opened.
func (f auditFlags) check() error {
	switch {
	case f.mode != "on" && f.mode != "off":
		return fmt.Errorf("%w: --audit-log %q: use on or off", cli.ErrUsage, f.mode)
	case f.megabytes < minAuditMegabytes:
		return fmt.Errorf("%w: --audit-log-megabytes %d: use %d or more, or --audit-log off", cli.ErrUsage, f.megabytes, minAuditMegabytes)
	}
	return nil
}

// open opens the log of a folder, or returns nil where there is to be none.
func (f auditFlags) open(dir datadir.Dir, v *vault.Vault, store *journal.Store, log *slog.Logger) (*audit.Log, error) {
	if f.mode == "off" {
		return nil, nil
	}
	key, err := audit.NewKey(v.DeriveKey(auditKeyLabel))
	if err != nil {
		return nil, err
	}
	return audit.Open(audit.Config{
		Dir: dir.Audit(), Key: key, KeepBytes: int64(f.megabytes) << 20, Log: log,
		Journal: func() uint64 { seq, _ := store.Head(); return seq },
	})
}

// auditor is who keeps decisions, as the edge knows it.
func (d *daemon) auditor() signer.Auditor {
	if d.audit == nil {
		return nil // and no interface that holds a nil
	}
	return d.audit
}

// needed is what /healthcheck is DOWN without: the horizon, and a place in the audit log.
func (d *daemon) needed() []web3signer.Check {
	checks := d.horizon.needed()
	if d.audit != nil && d.audit.Full() {
		checks = append(checks, web3signer.Check{ID: "audit-check/full", Up: false})
	}
	return checks
}

// auditMetrics are nil where there is no log.
func (d *daemon) auditMetrics() func() telemetry.Audit {
	if d.audit == nil {
		return nil
	}
	return func() telemetry.Audit { return telemetry.Audit(d.audit.Stats()) }
}

// auditBanner tells a person what to keep: without the key nothing can be verified.
func (d *daemon) auditBanner() string {
	if d.audit == nil {
		return "off"
	}
	return "key " + d.audit.Public()
}
