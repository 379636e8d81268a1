package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/secure-signer/secure-signer/management"
)

func (c *tool) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Tell what the signer is, holds and can do right now",
		Long:  "Tell what the signer is, holds and can do right now. Fails if it cannot sign.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			signer, err := c.client()
			if err != nil {
				return err
			}
			var s management.Status
			if err := signer.call(cmd.Context(), answerTime, "GET", "/signer/v1/status", nil, &s); err != nil {
				return err
			}
			if c.json {
				err = c.printJSON(s)
			} else {
				err = c.printTable(nil, statusRows(s))
			}
			if err != nil {
				return err
			}
			return notReady(s)
		},
	}
}

// notReady is why a signer cannot sign, and what to do.
func notReady(s management.Status) error {
	switch {
	case s.Ready:
		return nil
	case !s.Store.Up:
		return fmt.Errorf("the signer cannot record and so does not sign: %s: look at its disk and log, then restart it", s.Store.Error)
	default:
		return fmt.Errorf("the signer is still loading its keys, %d of %d: try again in a moment", s.Keys.InService, s.Keys.Held)
	}
}

func statusRows(s management.Status) []table.Row {
	rows := []table.Row{
		{"version", s.Version},
		{"uptime", time.Duration(s.UptimeSeconds) * time.Second},
		{"network", s.Network.Name},
		{"genesis root", s.Network.GenesisValidatorsRoot},
		{"genesis time", genesisTime(s.Network)},
		{"clock", clock(s.Network)},
		{"keys", keySummary(s.Keys)},
		{"store", storeSummary(s.Store)},
		{"platform", strings.TrimSpace(s.Platform.Kind + " " + s.Platform.Measurement)},
	}
	for _, lack := range s.Platform.Lacks {
		rows = append(rows, table.Row{"", "lacks: " + lack})
	}
	rows = append(rows, horizonRows(s)...)
	if s.HighWatermark != nil {
		rows = append(rows, table.Row{"high watermark", stop(s.HighWatermark)})
	}
	return rows
}

func horizonRows(s management.Status) []table.Row {
	h := s.Horizon
	if h == nil {
		return []table.Row{{"horizon", "none"}}
	}
	rows := []table.Row{{"horizon", h.Kind + ", " + h.Keeper}}
	switch {
	case h.First != nil && h.Owned:
		rows = append(rows, table.Row{"", fmt.Sprintf("owns epochs %d to %d", *h.First, *h.Last)})
	case h.First != nil:
		rows = append(rows, table.Row{"", fmt.Sprintf("owns epochs %d to %d, and not the present one: no block and no vote is signed", *h.First, *h.Last)})
	default:
		rows = append(rows, table.Row{"", "owns no epoch yet: no block and no vote is signed"})
	}
	if h.SourceFloor != nil {
		rows = append(rows, table.Row{"", fmt.Sprintf("source floor %d", *h.SourceFloor)})
	}
	if h.Error != "" {
		rows = append(rows, table.Row{"", h.Error})
	}
	return rows
}

func genesisTime(n management.Network) string {
	if n.GenesisTime == 0 {
		return "unknown"
	}
	return time.Unix(int64(n.GenesisTime), 0).UTC().Format(time.RFC3339)
}

func clock(n management.Network) string {
	if n.Slot == nil || n.Epoch == nil {
		return "before genesis, or genesis time unknown"
	}
	return fmt.Sprintf("slot %d, epoch %d", *n.Slot, *n.Epoch)
}

func keySummary(k management.Keys) string {
	switch {
	case k.Loading:
		return fmt.Sprintf("loading, %d of %d", k.InService, k.Held)
	case k.Withheld > 0:
		return fmt.Sprintf("%d in service, %d not: signerctl keys list says why", k.InService, k.Withheld)
	case k.Held == 0:
		return "none: make some with signerctl keys generate, or keys import"
	default:
		return fmt.Sprintf("%d in service", k.InService)
	}
}

func storeSummary(s management.Store) string {
	switch {
	case !s.Up:
		return "DOWN: " + s.Error
	case s.Head == nil:
		return "up"
	default:
		return fmt.Sprintf("up, %d changes, head %s", s.Head.Sequence, s.Head.Hash)
	}
}
