package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/secure-signer/secure-signer/audit"
	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/custody"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/handover"
	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/internal/datadir"
	"github.com/secure-signer/secure-signer/policy"
	"github.com/secure-signer/secure-signer/record/journal"
	"github.com/secure-signer/secure-signer/signer"
	"github.com/secure-signer/secure-signer/slashing"
	"github.com/secure-signer/secure-signer/statuspage"
	"github.com/secure-signer/secure-signer/vault"
)

// journalKeyLabel separates the journal's key from whatever else is derived
// from the vault's data key.
const journalKeyLabel = "secure-signer journal v1"

// credential names the systemd credential that holds the passphrase.
const credential = "secure-signer-passphrase"

func serveCommand() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve --data-dir D",
		Short: "Sign for the keys of a data folder",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.serve(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f.define(cmd)
	return cmd
}

// A daemon is everything that serve opens, in the order in which it is opened.
type daemon struct {
	log      *slog.Logger
	dir      datadir.Folder
	network  *eth2.Network
	platform platform
	vault    *vault.Vault
	journal  *journal.Store
	audit    *audit.Log // nil if there is to be none
	horizon  *horizon   // nil if the folder has none
	guard    *slashing.Guard
	keyring  *bls.Keyring
	custody  *custody.Custodian
	signer   *signer.Signer
	access   *access
	hardened *hardening
	activity statuspage.Activity
	manager  notifier
	token    atomic.Pointer[string] // of the keymanager and management APIs
	started  time.Time

	generous func() // to be called once all keys are loaded

	giving   *handover.Giver   // nil where no hardware seals
	retiring chan chan<- error // who waits for nothing to be signed any more
	stopped  chan struct{}     // closed once listen takes no more of them
	ended    bool              // nothing is signed any more; of the goroutine that serves
}

func (f serveFlags) serve(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) error {
	if f.dataDir == "" {
		return fmt.Errorf("%w: serve needs --data-dir; make one with: secure-signer init", cli.ErrUsage)
	}
	log, err := f.log.logger(stderr)
	if err != nil {
		return err
	}
	if err := f.audit.check(); err != nil {
		return err
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP) // from now on: unheeded, it ends the process
	defer signal.Stop(hangup)
	hardened, err := beginHardening(f.hardening)
	if err != nil {
		return err
	}
	d, err := f.open(ctx, log, stdin, stderr)
	if err != nil {
		return err
	}
	d.hardened = hardened
	d.manager = notifyManager(log, d.working)
	serveErr := f.listen(ctx, d, hangup, stdout)
	return errors.Join(serveErr, d.close())
}

// open opens the data folder. What it returns has decided nothing yet: no key
// is in service before Load.
func (f serveFlags) open(ctx context.Context, log *slog.Logger, stdin io.Reader, stderr io.Writer) (_ *daemon, err error) {
	d := &daemon{log: log, started: time.Now(), generous: thrifty(), retiring: make(chan chan<- error), stopped: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	guardConfig, allowed, floor, err := f.parse()
	if err != nil {
		return nil, err
	}
	if d.access, err = f.access.open(f.httpHost, f.metricsHost, f.management.host); err != nil {
		return nil, err
	}
	if d.dir, err = datadir.Open(f.dataDir); err != nil {
		return nil, err
	}
	d.network = d.dir.Network
	if err := d.readToken(); err != nil {
		return nil, err
	}
	if err := checkClock(d.network, time.Now()); err != nil {
		return nil, err
	}
	if d.platform, err = f.seal.platform.of(ctx, d.dir); err != nil {
		return nil, err
	}
	d.platform.log(log)
	warn := func(what, detail string) { log.Warn(what, "detail", detail) }
	if d.vault, err = f.seal.openVault(ctx, d.platform, d.dir, stdin, stderr, warn); err != nil {
		return nil, advise(err, "give the one of init, or of the last passphrase change")
	}
	if d.journal, err = journal.Open(d.dir.Journal(), d.vault.DeriveKey(journalKeyLabel)); err != nil {
		return nil, err
	}
	if d.audit, err = f.audit.open(d.dir.Dir, d.vault, d.journal, log); err != nil {
		return nil, err
	}
	if d.keyring, err = bls.OpenKeyring(bls.Config{}); err != nil {
		return nil, err
	}
	if d.horizon, err = openHorizon(ctx, d.dir, d.vault, d.journal, f.horizon, log); err != nil {
		return nil, err
	}
	d.guard = f.guard(d, guardConfig)
	if err := d.settle(); err != nil {
		return nil, err
	}
	d.custody = &custody.Custodian{Vault: d.vault, Keyring: d.keyring, Guard: d.guard, NewKeyFloor: floor}
	d.signer = &signer.Signer{Network: d.network, Keys: d.keyring, Guard: d.guard, Policy: policy.Duties(allowed...)}
	return d, nil
}

// guard returns what decides on every block and vote.
func (f serveFlags) guard(d *daemon, c slashing.Config) *slashing.Guard {
	c.Network = d.network
	c.Now = time.Now
	c.HighWatermark = slashing.StopAt(d.network, f.stopEpoch.value, f.stopSlot.value)
	if d.horizon != nil {
		c.Epochs = d.horizon
	}
	return slashing.New(d.journal, c)
}

// checkClock refuses a clock that is certainly wrong, as after its battery died:
// a key that arrives without history would get no floor from it. The genesis of
// a network that is built in is in the past of every release.
func checkClock(network *eth2.Network, now time.Time) error {
	if _, builtin := eth2.Builtin(network.Name); !builtin {
		return nil
	}
	genesis := time.Unix(int64(network.GenesisTime), 0)
	if now.Before(genesis) {
		return fmt.Errorf("this machine's clock says %s, which is before the genesis of %s: set it, then start again",
			now.UTC().Format(time.RFC3339), network.Name)
	}
	return nil
}

// settle raises every floor over all that may have been signed until now, after a
// start that found the journal's last record torn: what it held is unknown.
func (d *daemon) settle() error {
	if !d.journal.Unsettled() {
		return nil
	}
	floors, err := d.guard.SignedUntil(time.Now())
	if err != nil {
		return fmt.Errorf("the journal's last record is torn, as after a power cut, and without the network's time of genesis the clock does not tell what it may have held: give an epoch after which nothing was signed: secure-signer restore --data-dir %s --floor-epoch N", d.dir.Path())
	}
	d.log.Warn("the journal's last record is torn, as after a power cut: every key is held back until the chain has passed this epoch", "epoch", floors.Target)
	if err := d.guard.RaiseAll(context.Background(), floors); err != nil {
		return fmt.Errorf("raise every floor after a torn record: %w", err)
	}
	return d.journal.Settle(context.Background())
}

// close closes all that open has opened.
func (d *daemon) close() error {
	err := d.end()
	if d.vault != nil {
		err = errors.Join(err, d.vault.Close())
	}
	return err
}

// end closes whatever signs, in the reverse order of open, except for the horizon:
// what the next run inherits is named by a journal to which nothing can be added any
// more.
func (d *daemon) end() error {
	if d.ended {
		return nil
	}
	d.ended = true
	var errs []error
	if d.keyring != nil {
		errs = append(errs, d.keyring.Close())
	}
	if d.audit != nil {
		errs = append(errs, d.audit.Close()) // it notes how far the journal is
	}
	if d.journal != nil {
		closed := d.journal.Close()
		recorded := errors.Join(d.journal.Err(), closed) // of its last change, too
		errs = append(errs, recorded)
		if d.horizon != nil {
			errs = append(errs, d.horizon.close(recorded))
		}
	}
	return errors.Join(errs...)
}
