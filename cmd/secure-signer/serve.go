package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/custody"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/internal/config"
	"github.com/secure-signer/secure-signer/internal/datadir"
	"github.com/secure-signer/secure-signer/policy"
	"github.com/secure-signer/secure-signer/record/journal"
	"github.com/secure-signer/secure-signer/signer"
	"github.com/secure-signer/secure-signer/slashing"
	"github.com/secure-signer/secure-signer/vault"
)

// journalKeyLabel separates the journal's key from whatever else is derived
// from the vault's data key.
const journalKeyLabel = "secure-signer journal v1"

// credential names the systemd credential that holds the passphrase.
const credential = "secure-signer-passphrase"

type serveFlags struct {
	dataDir         string
	passphraseFile  string
	httpHost        string
	httpPort        uint16
	metricsHost     string
	metricsPort     uint16
	newKeyFloor     string
	maxFutureEpochs string
	allow           []string
	logLevel        string
	logFormat       string
}

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
	flags := cmd.Flags()
	flags.StringVar(&f.dataDir, "data-dir", "", "`folder` made by init")
	flags.StringVar(&f.passphraseFile, "passphrase-file", "", "`file` with the vault's passphrase; else the systemd credential "+credential+", else asked for")
	flags.StringVar(&f.httpHost, "http-listen-host", "127.0.0.1", "`address` of the signing and keymanager API")
	flags.Uint16Var(&f.httpPort, "http-listen-port", 9000, "its `port`; 0 takes a free one")
	flags.StringVar(&f.metricsHost, "metrics-listen-host", "127.0.0.1", "`address` of the metrics")
	flags.Uint16Var(&f.metricsPort, "metrics-listen-port", 9001, "their `port`; 0 takes a free one")
	flags.StringVar(&f.newKeyFloor, "new-key-floor", "clock", "what a key that arrives without history may sign: clock (nothing at or before now) or none (devnets only)")
	flags.StringVar(&f.maxFutureEpochs, "max-future-epochs", strconv.Itoa(slashing.DefaultMaxFutureEpochs), "refuse blocks and votes further past the clock than this many `epochs`, or off")
	flags.StringSliceVar(&f.allow, "allow", nil, "sign these `types` too: DEPOSIT, VOLUNTARY_EXIT")
	flags.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error")
	flags.StringVar(&f.logFormat, "log-format", "text", "text or json")
	return cmd
}

// A daemon is everything that serve opens, in the order in which it is opened.
type daemon struct {
	log     *slog.Logger
	dir     datadir.Dir
	network *eth2.Network
	vault   *vault.Vault
	journal *journal.Store
	guard   *slashing.Guard
	keyring *bls.Keyring
	custody *custody.Custodian
	signer  *signer.Signer
	token   string // of the keymanager and management APIs
	started time.Time
}

func (f serveFlags) serve(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) error {
	if f.dataDir == "" {
		return fmt.Errorf("%w: serve needs --data-dir; make one with: secure-signer init", cli.ErrUsage)
	}
	log, err := f.logger(stderr)
	if err != nil {
		return err
	}
	d, err := f.open(ctx, log, stdin, stderr)
	if err != nil {
		return err
	}
	serveErr := f.listen(ctx, d, stdout)
	return errors.Join(serveErr, d.close())
}

func (f serveFlags) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.logLevel)); err != nil {
		return nil, fmt.Errorf("%w: --log-level %q: use debug, info, warn or error", cli.ErrUsage, f.logLevel)
	}
	options := &slog.HandlerOptions{Level: level}
	switch f.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return nil, fmt.Errorf("%w: --log-format %q: use text or json", cli.ErrUsage, f.logFormat)
}

// open opens the data folder. What it returns has decided nothing yet: no key
// is in service before Load.
func (f serveFlags) open(ctx context.Context, log *slog.Logger, stdin io.Reader, stderr io.Writer) (_ *daemon, err error) {
	d := &daemon{log: log, started: time.Now()}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	guardConfig, allowed, floor, err := f.parse()
	if err != nil {
		return nil, err
	}
	if d.dir, d.network, err = datadir.Open(f.dataDir); err != nil {
		return nil, err
	}
	if d.token, err = d.dir.Token(); err != nil {
		return nil, err
	}
	if err := checkClock(d.network, time.Now()); err != nil {
		return nil, err
	}
	passphrase, warning, err := config.Passphrase(ctx, f.passphraseFile, credential, stdin, stderr)
	if err != nil {
		return nil, err
	}
	defer clear(passphrase)
	if warning != "" {
		log.Warn("passphrase is readable by others", "detail", warning)
	}
	if d.vault, err = vault.Open(d.dir.Vault(), vault.Passphrase(passphrase)); err != nil {
		return nil, err
	}
	if detail := d.vault.Recovered(); detail != "" {
		log.Warn("the end of the vault was cut off, as after a power cut", "detail", detail)
	}
	if d.journal, err = journal.Open(d.dir.Journal(), d.vault.DeriveKey(journalKeyLabel)); err != nil {
		return nil, err
	}
	if d.keyring, err = bls.OpenKeyring(bls.Config{}); err != nil {
		return nil, err
	}
	guardConfig.Network = d.network
	guardConfig.Now = time.Now
	d.guard = slashing.New(d.journal, guardConfig)
	if err := d.settle(); err != nil {
		return nil, err
	}
	debug.FreeOSMemory() // the passphrase's KDF took 128 MiB that nothing needs again
	d.custody = &custody.Custodian{Vault: d.vault, Keyring: d.keyring, Guard: d.guard, NewKeyFloor: floor}
	d.signer = &signer.Signer{Network: d.network, Keys: d.keyring, Guard: d.guard, Policy: policy.Duties(allowed...)}
	return d, nil
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

// settle raises every floor to now after a start that found the journal's last
// record torn: what it held, and so what may have been signed, is unknown.
func (d *daemon) settle() error {
	if !d.journal.Unsettled() {
		return nil
	}
	now := time.Now()
	d.log.Warn("the journal's last record is torn, as after a power cut: every key is held back until the chain has passed this moment",
		"until", now.UTC().Format(time.RFC3339))
	if err := d.guard.RaiseAll(context.Background(), now); err != nil {
		return fmt.Errorf("raise every floor after a torn record: %w", err)
	}
	return d.journal.Settle(context.Background())
}

// parse turns the flags that decide what is signed into what decides it.
func (f serveFlags) parse() (slashing.Config, []eth2.Kind, custody.Floor, error) {
	var c slashing.Config
	if f.maxFutureEpochs == "off" {
		c.Unbounded = true
	} else {
		n, err := strconv.ParseUint(f.maxFutureEpochs, 10, 64)
		if err != nil || n > math.MaxInt32 {
			return c, nil, 0, fmt.Errorf("%w: --max-future-epochs %q: use a number of epochs, or off", cli.ErrUsage, f.maxFutureEpochs)
		}
		c.MaxFutureEpochs = n
	}
	var allowed []eth2.Kind
	for _, name := range f.allow {
		kind, err := eth2.ParseKind(name)
		if err != nil || kind != eth2.KindDeposit && kind != eth2.KindVoluntaryExit {
			return c, nil, 0, fmt.Errorf("%w: --allow %q: use DEPOSIT or VOLUNTARY_EXIT; everything else is allowed", cli.ErrUsage, name)
		}
		allowed = append(allowed, kind)
	}
	floor, err := custody.ParseFloor(f.newKeyFloor)
	if err != nil {
		return c, nil, 0, fmt.Errorf("%w: --new-key-floor: %w", cli.ErrUsage, err)
	}
	return c, allowed, floor, nil
}

// close closes in the reverse order of open. Nothing signs any more when the
// journal is closed.
func (d *daemon) close() error {
	var errs []error
	if d.keyring != nil {
		errs = append(errs, d.keyring.Close())
	}
	if d.journal != nil {
		errs = append(errs, d.journal.Close())
	}
	if d.vault != nil {
		errs = append(errs, d.vault.Close())
	}
	return errors.Join(errs...)
}
