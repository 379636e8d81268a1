package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/bench"
	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/web3signer"
)

// benchFlags says how to load a signer.
type benchFlags struct {
	against     string
	network     string
	mix         string
	fromEpoch   uint64
	connections int
	duration    time.Duration
	warmUp      time.Duration
	rounds      int
	rate        float64
	burst       int
	bursts      int

	secured *tls.Config // of https addresses
}

func (c *tool) benchCommand() *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Load a signer, or compare two, and say what came of it",
		Long: `Load any signer that speaks the Web3Signer API, or compare two of them in rounds
that alternate. It signs real messages with every key that the signer offers, in
epochs from --from-epoch on: never run it on keys of a live validator.

A mix says how many of so many requests are of a kind. The kinds are
` + kindList() + `.
In an epoch all keys ask for the same root, or (*) each for its own.`,
		Example: `  signerctl bench --mix attestation=90,aggregate=5,block=1,registration=4
  signerctl bench --burst 1000 --connections 1000 --from-epoch 1000
  signerctl bench --against http://127.0.0.1:9100 --rounds 5`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.bench(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.against, "against", "", "`address` of a second signer, with the same keys, to compare with")
	flags.StringVar(&f.network, "network", "hoodi", "the signers' network: one of "+strings.Join(eth2.BuiltinNames(), ", "))
	flags.StringVar(&f.mix, "mix", string(bench.Attestation), "what to sign: a kind, or `kind=weight,…`")
	flags.Uint64Var(&f.fromEpoch, "from-epoch", 1, "first `epoch` to sign in: later than any the keys have signed in")
	flags.IntVar(&f.connections, "connections", 64, "connections at most")
	flags.DurationVar(&f.duration, "duration", 10*time.Second, "of one round")
	flags.DurationVar(&f.warmUp, "warm-up", time.Second, "before each round, not counted")
	flags.IntVar(&f.rounds, "rounds", 1, "rounds, each on one signer and then on the other")
	flags.Float64Var(&f.rate, "rate", 0, "instead of a closed loop, so many `requests` a second however fast the answers come")
	flags.IntVar(&f.burst, "burst", 0, "instead of a closed loop, so many `validators` at once, as at a slot's start")
	flags.IntVar(&f.bursts, "bursts", 10, "bursts in a round")
	return cmd
}

func kindList() string {
	var names []string
	for _, k := range bench.Kinds() {
		name := string(k)
		if !k.Shared() {
			name += "*"
		}
		names = append(names, name)
	}
	half := len(names) / 2
	return strings.Join(names[:half], ", ") + ",\n" + strings.Join(names[half:], ", ")
}

func (c *tool) bench(ctx context.Context, f benchFlags) error {
	network, ok := eth2.Builtin(f.network)
	if !ok {
		return fmt.Errorf("%w: --network %q: use one of %s", cli.ErrUsage, f.network, strings.Join(eth2.BuiltinNames(), ", "))
	}
	mix, err := bench.ParseMix(f.mix)
	if err != nil {
		return fmt.Errorf("%w: --mix: %w", cli.ErrUsage, err)
	}
	switch {
	case f.connections < 1 || f.rounds < 1 || f.bursts < 1 || f.duration <= 0:
		return fmt.Errorf("%w: --connections, --rounds, --bursts and --duration are more than nothing", cli.ErrUsage)
	case f.burst < 0 || f.rate < 0 || f.warmUp < 0:
		return fmt.Errorf("%w: --burst, --rate and --warm-up are not less than nothing", cli.ErrUsage)
	case f.burst > 0 && f.rate > 0:
		return fmt.Errorf("%w: use one of --burst and --rate", cli.ErrUsage)
	}
	if f.secured, err = c.tls.open(strings.HasPrefix(c.url, "https:") || strings.HasPrefix(f.against, "https:")); err != nil {
		return err
	}
	keys, err := c.benchKeys(ctx, f)
	if err != nil {
		return err
	}
	return c.runBench(ctx, f, bench.Load{Network: network, Keys: keys, Mix: mix, FromEpoch: eth2.Epoch(f.fromEpoch)})
}

// offer asks a signer for what it offers.
func (f benchFlags) offer(url string) *web3signer.Client {
	return &web3signer.Client{URL: url, HTTP: &http.Client{Transport: &http.Transport{TLSClientConfig: f.secured, DisableKeepAlives: true}}}
}

// offered are the keys that a signer offers.
func (f benchFlags) offered(ctx context.Context, url string) ([]bls.PublicKey, error) {
	keys, err := f.offer(url).PublicKeys(ctx)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("no signer answers at %s: start it, or give the right address with --url and --against", url)
	}
	if advice := (&client{base: url}).adviseTLS(err); advice != nil {
		return nil, advice
	}
	if err != nil {
		return nil, fmt.Errorf("ask %s for its keys: %w", url, err)
	}
	return keys, nil
}

// benchKeys returns the keys to ask for, which both signers must hold.
func (c *tool) benchKeys(ctx context.Context, f benchFlags) ([]bls.PublicKey, error) {
	keys, err := f.offered(ctx, c.url)
	if err != nil {
		return nil, err
	}
	if f.burst > 0 && f.burst < len(keys) {
		keys = keys[:f.burst]
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s offers no keys to sign with: make some with signerctl keys generate --count N", c.url)
	}
	if len(keys) < f.burst {
		return nil, fmt.Errorf("%s offers %s, fewer than --burst: make more with signerctl keys generate --count N", c.url, count(len(keys)))
	}
	if f.against == "" {
		return keys, nil
	}
	theirs, err := f.offered(ctx, f.against)
	if err != nil {
		return nil, err
	}
	held := make(map[bls.PublicKey]bool, len(theirs))
	for _, k := range theirs {
		held[k] = true
	}
	if absent := slices.IndexFunc(keys, func(k bls.PublicKey) bool { return !held[k] }); absent >= 0 {
		return nil, fmt.Errorf("%s does not hold %v, which %s offers: both signers need the same keys to be compared", f.against, keys[absent], c.url)
	}
	return keys, nil
}

// runBench loads one signer, or two in turn.
func (c *tool) runBench(ctx context.Context, f benchFlags, load bench.Load) error {
	targets := []*bench.Target{bench.NewTarget(c.url, load, f.connections, f.secured)}
	if f.against != "" {
		targets = append(targets, bench.NewTarget(f.against, load, f.connections, f.secured))
	}
	report := newBenchReport(f, load, targets)
	if !c.json {
		report.describe(c.stdout)
	}
	for round := range f.rounds {
		perSecond := make([]float64, len(targets))
		for i := range targets {
			first := (i + round) % len(targets) // who goes first takes turns: a machine that heats up slows down
			result, err := c.benchRound(ctx, f, targets[first], fmt.Sprintf("round %d of %d, %s:", round+1, f.rounds, targets[first].URL()))
			if err != nil {
				return fmt.Errorf("%w: does --network fit, and has any key signed after --from-epoch?", err)
			}
			if ctx.Err() != nil {
				return fmt.Errorf("interrupted in round %d", round+1)
			}
			report.Rounds = append(report.Rounds, result)
			perSecond[first] = result.PerSecond
		}
		if len(targets) == 2 {
			report.ratios = append(report.ratios, perSecond[0]/perSecond[1])
		}
	}
	report.compare()
	if c.json {
		return c.printJSON(report)
	}
	return c.printBench(report)
}

// benchRound warms one signer up and loads it once.
func (c *tool) benchRound(ctx context.Context, f benchFlags, t *bench.Target, what string) (bench.Result, error) {
	run := func(long time.Duration, bursts int) (bench.Result, error) {
		switch {
		case f.burst > 0:
			return t.Bursts(ctx, f.burst, bursts)
		case f.rate > 0:
			return t.Open(ctx, f.rate, long)
		}
		return t.Closed(ctx, f.connections, long)
	}
	// The first requests open the connections, and fill caches on both sides.
	if f.warmUp > 0 {
		if r, err := run(f.warmUp, 1); err != nil {
			return r, err
		}
	}
	progress, before, stop := c.progress(what), t.Answered(), make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		total := f.burst*f.bursts + int(f.rate*f.duration.Seconds()) // nobody knows that of a closed loop
		for tick := time.Tick(frameTime); ; {
			select {
			case <-tick:
				progress.report(t.Answered()-before, total)
			case <-stop:
				progress.end()
				return
			}
		}
	})
	defer watching.Wait()
	defer close(stop)
	return run(f.duration, f.bursts)
}
