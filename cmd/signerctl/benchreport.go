package main

import (
	"fmt"
	"io"
	"runtime"
	"slices"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/secure-signer/secure-signer/internal/bench"
)

// A benchReport is what signerctl bench --json prints: what was done, and what
// came of it. The rounds stand in the order in which they were run.
type benchReport struct {
	Network     string         `json:"network"`
	Fork        string         `json:"fork"`
	FromEpoch   uint64         `json:"from_epoch"`
	Keys        int            `json:"keys"`
	Mix         bench.Mix      `json:"mix"`
	Load        string         `json:"load"` // closed, rate or burst
	Connections int            `json:"connections"`
	Rate        float64        `json:"rate,omitzero"`   // requests a second
	Burst       int            `json:"burst,omitzero"`  // requests at once
	Bursts      int            `json:"bursts,omitzero"` // in a round
	Seconds     float64        `json:"seconds,omitzero"`
	WarmUp      float64        `json:"warm_up_seconds,omitzero"` // before each round; of bursts it is one
	Processors  int            `json:"processors"`               // of the machine that the load comes from
	URLs        []string       `json:"urls"`
	Rounds      []bench.Result `json:"rounds"`
	Ratio       float64        `json:"ratio,omitzero"` // median over the rounds, first signer over second
	RatioMin    float64        `json:"ratio_min,omitzero"`
	RatioMax    float64        `json:"ratio_max,omitzero"`

	ratios []float64
}

func newBenchReport(f benchFlags, load bench.Load, targets []*bench.Target) *benchReport {
	r := &benchReport{
		Network: load.Network.Name, Fork: load.Network.ForkAt(load.FromEpoch).String(), FromEpoch: f.fromEpoch,
		Keys: len(load.Keys), Mix: load.Mix,
		Load: "closed", Connections: f.connections, WarmUp: f.warmUp.Seconds(), Processors: runtime.NumCPU(),
	}
	switch {
	case f.burst > 0:
		r.Load, r.Burst, r.Bursts = "burst", f.burst, f.bursts
	case f.rate > 0:
		r.Load, r.Rate, r.Seconds = "rate", f.rate, f.duration.Seconds()
	default:
		r.Seconds = f.duration.Seconds()
	}
	for _, t := range targets {
		r.URLs = append(r.URLs, t.URL())
	}
	return r
}

// describe says what is going to be done.
func (r *benchReport) describe(w io.Writer) {
	load := fmt.Sprintf("closed loop of %d connections, %g s a round", r.Connections, r.Seconds)
	warm := fmt.Sprintf("%g s", r.WarmUp)
	switch r.Load {
	case "burst":
		load = fmt.Sprintf("%d at once over at most %d connections, %d times a round", r.Burst, r.Connections, r.Bursts)
		warm = "one burst"
	case "rate":
		load = fmt.Sprintf("%g requests a second over at most %d connections, %g s a round", r.Rate, r.Connections, r.Seconds)
	}
	if r.WarmUp == 0 {
		warm = "nothing"
	}
	fmt.Fprintf(w, "mix      %v\n", r.Mix)
	fmt.Fprintf(w, "keys     %d, on %s in epochs from %d (%s)\n", r.Keys, r.Network, r.FromEpoch, r.Fork)
	fmt.Fprintf(w, "load     %s; warmed up by %s, not counted\n", load, warm)
	fmt.Fprintf(w, "times    from when a request was due until its answer was read\n")
	if len(r.URLs) == 2 {
		fmt.Fprintf(w, "signers  %s and %s, with the same requests; who goes first takes turns\n", r.URLs[0], r.URLs[1])
	}
	if r.Load == "closed" && r.Keys < r.Connections && r.Mix.Ordered() {
		fmt.Fprintf(w, "note     a key votes or proposes only once its last answer is there: %s cannot keep %d connections busy\n", count(r.Keys), r.Connections)
	}
	fmt.Fprintln(w)
}

// compare sums up the ratios of the rounds.
func (r *benchReport) compare() {
	if len(r.ratios) == 0 {
		return
	}
	slices.Sort(r.ratios)
	n := len(r.ratios)
	r.RatioMin, r.RatioMax = r.ratios[0], r.ratios[n-1]
	r.Ratio = (r.ratios[(n-1)/2] + r.ratios[n/2]) / 2
}

// printBench prints the figures for people.
func (c *tool) printBench(r *benchReport) error {
	header := table.Row{"signer", "kind", "signed", "per second", "p50 ms", "p99 ms", "max ms", "errors", "load's cpu"}
	var rows []table.Row
	row := func(url, kind string, f bench.Figures, cpu string) {
		rows = append(rows, table.Row{url, kind, f.Signed, fmt.Sprintf("%.0f", f.PerSecond),
			fmt.Sprintf("%.2f", f.P50), fmt.Sprintf("%.2f", f.P99), fmt.Sprintf("%.2f", f.Max), f.ErrorText(), cpu})
	}
	for _, round := range r.Rounds {
		cpu := fmt.Sprintf("%.0f %%", 100*round.ClientCPU/round.Seconds/float64(r.Processors))
		if len(r.Mix) == 1 {
			row(round.URL, string(r.Mix[0].Kind), round.Figures, cpu)
			continue
		}
		row(round.URL, "all", round.Figures, cpu)
		for _, share := range r.Mix {
			row("", string(share.Kind), round.Kinds[share.Kind], "")
		}
	}
	if err := c.printTable(header, rows); err != nil {
		return err
	}
	fmt.Fprintf(c.stdout, "\nThe load's cpu is its share of this machine's %d processors", r.Processors)
	if _, err := fmt.Fprintln(c.stdout, ": what a signer on the same machine did not have."); err != nil || len(r.ratios) == 0 {
		return err
	}
	_, err := fmt.Fprintf(c.stdout, "Signatures a second, first over second: %.2f (median of %d rounds, from %.2f to %.2f)\n",
		r.Ratio, len(r.ratios), r.RatioMin, r.RatioMax)
	return err
}
