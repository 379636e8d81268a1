package main

import (
	"fmt"
	"io"
	"log/slog"
	"math"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/secure-signer/secure-signer/custody"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/slashing"
)

// serveFlags are the flags of serve, in groups.
type serveFlags struct {
	dataDir         string
	seal            sealFlags
	horizon         claimFlags
	httpHost        string
	httpPort        uint16
	metricsHost     string
	metricsPort     uint16
	management      pageFlags
	access          accessFlags
	newKeyFloor     string
	maxFutureEpochs string
	stopEpoch       optional[eth2.Epoch]
	stopSlot        optional[eth2.Slot]
	allow           []string
	hardening       string
	audit           auditFlags
	log             logFlags
}

// define adds the flags to serve.
func (f *serveFlags) define(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.dataDir, "data-dir", "", "`folder` made by init")
	f.seal.define(flags, &f.horizon.tpm)
	f.horizon.define(flags)
	flags.StringVar(&f.httpHost, "http-listen-host", "127.0.0.1", "`address` of the signing and keymanager API")
	flags.Uint16Var(&f.httpPort, "http-listen-port", 9000, "its `port`; 0 takes a free one")
	flags.StringVar(&f.metricsHost, "metrics-listen-host", "127.0.0.1", "`address` of the metrics")
	flags.Uint16Var(&f.metricsPort, "metrics-listen-port", 9001, "their `port`; 0 takes a free one")
	f.management.define(flags)
	f.access.define(cmd)
	flags.StringVar(&f.newKeyFloor, "new-key-floor", "clock", "what a key that arrives without history may sign: clock (nothing at or before now) or none (devnets only)")
	flags.StringVar(&f.maxFutureEpochs, "max-future-epochs", strconv.Itoa(slashing.DefaultMaxFutureEpochs), "refuse blocks and votes further past the clock than this many `epochs`, or off")
	flags.Var(&f.stopEpoch, "high-watermark-epoch", "sign no vote from or to this `epoch` or a later one, and no block of it")
	flags.Var(&f.stopSlot, "high-watermark-slot", "sign no block at this `slot` or a later one, and no vote of its epoch")
	flags.StringSliceVar(&f.allow, "allow", nil, "sign these `types` too: DEPOSIT, VOLUNTARY_EXIT")
	flags.StringVar(&f.hardening, "hardening", hardenBestEffort, "give up what the process does not need (programs, sockets, files, core dumps): best-effort, require (no start if a part does not take) or off")
	f.audit.define(flags)
	f.log.define(flags)
}

// logFlags say what is logged, and how.
type logFlags struct{ level, format string }

func (f *logFlags) define(flags *pflag.FlagSet) {
	flags.StringVar(&f.level, "log-level", "info", "debug, info, warn or error")
	flags.StringVar(&f.format, "log-format", "text", "text or json")
}

func (f logFlags) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.level)); err != nil {
		return nil, fmt.Errorf("%w: --log-level %q: use debug, info, warn or error", cli.ErrUsage, f.level)
	}
	options := &slog.HandlerOptions{Level: level}
	switch f.format {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return nil, fmt.Errorf("%w: --log-format %q: use text or json", cli.ErrUsage, f.format)
}

// parse turns the flags that decide what is signed into what decides it.
func (f serveFlags) parse() (slashing.Config, []eth2.Kind, custody.Floor, error) {
	var c slashing.Config
	var err error
	if c.MaxFutureEpochs, c.Unbounded, err = parseBound(f.maxFutureEpochs); err != nil {
		return c, nil, 0, err
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

// parseBound reads --max-future-epochs.
func parseBound(text string) (epochs uint64, unbounded bool, err error) {
	if text == "off" {
		return 0, true, nil
	}
	epochs, err = strconv.ParseUint(text, 10, 64)
	if err != nil || epochs > math.MaxInt32 {
		return 0, false, fmt.Errorf("%w: --max-future-epochs %q: use a number of epochs, or off", cli.ErrUsage, text)
	}
	return epochs, false, nil
}
