package datadir

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/secure-signer/secure-signer/eth2"
)

// Describe writes a network for a person who compares it with another source.
func Describe(w io.Writer, n *eth2.Network) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "network\t%s\n", n.Name)
	fmt.Fprintf(t, "genesis validators root\t%v\n", n.GenesisValidatorsRoot)
	genesis := "unknown"
	if n.GenesisTime != 0 {
		genesis = fmt.Sprintf("%d (%s)", n.GenesisTime, time.Unix(int64(n.GenesisTime), 0).UTC().Format(time.RFC3339))
	}
	fmt.Fprintf(t, "genesis time\t%s\n", genesis)
	fmt.Fprintf(t, "preset\t%s, %d slots of %d s an epoch\n", n.Preset.Name, n.SlotsPerEpoch(), n.SecondsPerSlot)
	for _, f := range n.Forks {
		fmt.Fprintf(t, "%v\tversion %v from epoch %d\n", f.Fork, f.Version, f.Epoch)
	}
	return t.Flush()
}
