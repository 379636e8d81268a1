package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
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
	kind        string
	fromEpoch   uint64
	connections int
	duration    time.Duration
	rounds      int
	burst       int
	bursts      int
}

// A benchReport is what signerctl bench --json prints.
type benchReport struct {
	Kind        string         `json:"kind"`
	Keys        int            `json:"keys"`
	Connections int            `json:"connections"`
	Burst       int            `json:"burst"` // validators at once; 0 in a closed loop
	FromEpoch   uint64         `json:"from_epoch"`
	Rounds      []bench.Result `json:"rounds"`
	Ratio       float64        `json:"ratio,omitzero"` // median over the rounds, first signer over second
}

func (c *tool) benchCommand() *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Load a signer, or compare two, and say what came of it",
		Long: `Load any signer that speaks the Web3Signer API, or compare two of them in rounds
that alternate. It signs real messages with every key that the signer offers, in
epochs from --from-epoch on: never run it on keys of a live validator.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.bench(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.against, "against", "", "`address` of a second signer, with the same keys, to compare with")
	flags.StringVar(&f.network, "network", "hoodi", "the signers' network: one of "+strings.Join(eth2.BuiltinNames(), ", "))
	flags.StringVar(&f.kind, "kind", string(bench.Attestation), "what to sign: "+kindNames())
	flags.Uint64Var(&f.fromEpoch, "from-epoch", 1, "first `epoch` to sign in: later than any the keys have signed in")
	flags.IntVar(&f.connections, "connections", 64, "connections at most")
	flags.DurationVar(&f.duration, "duration", 10*time.Second, "of one round of the closed loop")
	flags.IntVar(&f.rounds, "rounds", 1, "rounds, each on one signer and then on the other")
	flags.IntVar(&f.burst, "burst", 0, "instead of a closed loop, so many `validators` at once, as at a slot's start")
	flags.IntVar(&f.bursts, "bursts", 10, "bursts in a round")
	return cmd
}

func kindNames() string {
	var names []string
	for _, k := range bench.Kinds() {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}

func (c *tool) bench(ctx context.Context, f benchFlags) error {
	network, ok := eth2.Builtin(f.network)
	if !ok {
		return fmt.Errorf("%w: --network %q: use one of %s", cli.ErrUsage, f.network, strings.Join(eth2.BuiltinNames(), ", "))
	}
	if !slices.Contains(bench.Kinds(), bench.Kind(f.kind)) {
		return fmt.Errorf("%w: --kind %q: use one of %s", cli.ErrUsage, f.kind, kindNames())
	}
	if f.connections < 1 || f.rounds < 1 || f.bursts < 1 || f.burst < 0 || f.duration <= 0 {
		return fmt.Errorf("%w: --connections, --rounds, --bursts and --duration are more than nothing", cli.ErrUsage)
	}
	keys, err := (&web3signer.Client{URL: c.url}).PublicKeys(ctx)
	if err != nil {
		return err
	}
	if f.burst > 0 && f.burst < len(keys) {
		keys = keys[:f.burst]
	}
	if len(keys) < max(f.burst, 1) {
		return fmt.Errorf("%s offers %d keys, fewer than --burst: make more with signerctl keys generate --count N", c.url, len(keys))
	}
	return c.runBench(ctx, f, network, keys)
}

// runBench loads one signer, or two in turn.
func (c *tool) runBench(ctx context.Context, f benchFlags, network *eth2.Network, keys []bls.PublicKey) error {
	load := bench.Load{Network: network, Keys: keys, Kind: bench.Kind(f.kind), FromEpoch: eth2.Epoch(f.fromEpoch)}
	targets := []*bench.Target{bench.NewTarget(c.url, f.connections)}
	if f.against != "" {
		targets = append(targets, bench.NewTarget(f.against, f.connections))
	}
	report := benchReport{Kind: f.kind, Keys: len(keys), Connections: f.connections, Burst: f.burst, FromEpoch: f.fromEpoch}
	if !c.json {
		fmt.Fprintf(c.stdout, "%s, %d keys, at most %d connections\n", f.kind, len(keys), f.connections)
	}
	var ratios []float64
	for range f.rounds {
		var perSecond []float64
		for _, t := range targets {
			r, err := f.round(ctx, t, load)
			if err != nil {
				return fmt.Errorf("%w: does --network fit, and has any key signed after --from-epoch?", err)
			}
			report.Rounds = append(report.Rounds, r)
			perSecond = append(perSecond, r.PerSecond)
			if !c.json {
				fmt.Fprintln(c.stdout, r)
			}
		}
		if len(perSecond) == 2 {
			ratios = append(ratios, perSecond[0]/perSecond[1])
		}
	}
	if len(ratios) > 0 {
		slices.Sort(ratios)
		report.Ratio = ratios[len(ratios)/2]
	}
	switch {
	case c.json:
		return c.printJSON(report)
	case report.Ratio != 0:
		fmt.Fprintf(c.stdout, "ratio first/second: %.2f (median of %d rounds)\n", report.Ratio, len(ratios))
	}
	return nil
}

func (f benchFlags) round(ctx context.Context, t *bench.Target, l bench.Load) (bench.Result, error) {
	if f.burst > 0 {
		return t.Burst(ctx, l, bench.Burst{Rounds: f.bursts})
	}
	return t.Closed(ctx, l, bench.Closed{Connections: f.connections, Duration: f.duration})
}
