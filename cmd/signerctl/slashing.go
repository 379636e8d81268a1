package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/management"
)

func (c *tool) slashingCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "slashing",
		Short: "Import, export, show, explain and raise what keys have signed",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return fmt.Errorf("%w: slashing needs import, export, show, explain or raise", cli.ErrUsage)
		},
	}
	cmd.AddCommand(c.importHistoryCommand(), c.exportHistoryCommand(), c.showCommand(), c.explainCommand(), c.raiseCommand())
	return cmd
}

func (c *tool) importHistoryCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "import FILE|-",
		Short: "Import slashing protection data",
		Long: "Import EIP-3076 slashing protection data, for keys that are held and for keys that will be. It only raises floors: " +
			"nothing becomes signable by it, and it can be repeated. A key that is imported later still starts above now, unless its history comes with it: " +
			"signerctl keys import --slashing-protection.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.importHistory(cmd.Context(), args[0])
		},
	}
}

func (c *tool) importHistory(ctx context.Context, path string) error {
	signer, err := c.client()
	if err != nil {
		return err
	}
	in, size, err := c.openInput(path)
	if err != nil {
		return fmt.Errorf("nothing was imported: %w", err)
	}
	defer in.Close()
	progress := c.progress("kB sent:")
	text, err := signer.upload(ctx, "/signer/v1/slashing", in, func(n int64) {
		progress.report(int(n/kilobyte), int(size/kilobyte))
	})
	progress.end()
	if refusal := (*answerError)(nil); errors.As(err, &refusal) {
		text = refusal.body // it tells what became of each key, if anything did
	}
	var answer management.HistoryImported
	if jsonErr := json.Unmarshal(text, &answer); jsonErr != nil && err == nil {
		err = fmt.Errorf("%s does not answer like a Secure Signer: is --url right? %w", signer.base, jsonErr)
	}
	if err != nil && len(answer.Keys) == 0 {
		return err
	}
	return errors.Join(c.printHistory(answer), err)
}

// kilobyte is the unit of progress.
const kilobyte = 1000

// openInput opens a file, or standard input for "-". The size is 0 where it is
// not known.
func (c *tool) openInput(path string) (io.ReadCloser, int64, error) {
	if path == "-" {
		return io.NopCloser(c.stdin), 0, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s is a folder: name the file in it", path)
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

func (c *tool) printHistory(answer management.HistoryImported) error {
	if c.json {
		return c.printJSON(answer)
	}
	counts := make(map[management.HistoryStatus]int)
	var rows []table.Row
	for _, k := range answer.Keys {
		counts[k.Status]++
		if k.Status == management.HistoryError {
			rows = append(rows, table.Row{k.Pubkey, k.Status, k.Message})
		}
	}
	if len(rows) > 0 {
		if err := c.printTable(table.Row{"key", "status", "message"}, rows); err != nil {
			return err
		}
	}
	var parts []string
	if n := counts[management.HistoryRaised]; n > 0 {
		parts = append(parts, count(n)+" held here: nothing at or below their history is signed.")
	}
	if n := counts[management.HistoryWaiting]; n > 0 {
		parts = append(parts, count(n)+" not held: their history waits for them.")
	}
	if len(answer.Keys) == 0 {
		parts = append(parts, "The file names no keys.")
	}
	_, err := fmt.Fprintln(c.stdout, strings.Join(parts, " "))
	return err
}

func (c *tool) exportHistoryCommand() *cobra.Command {
	var pubkeys []string
	cmd := &cobra.Command{
		Use:   "export FILE|-",
		Short: "Export slashing protection data",
		Long: "Write the EIP-3076 slashing protection data of all keys, or of some, to a new file, or to standard output. " +
			"While a key signs it is out of date at once: to move a key use signerctl keys delete, which stops it first.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			pubs, err := publicKeys(pubkeys)
			if err != nil {
				return err
			}
			if len(pubs) > maxNamed {
				return fmt.Errorf("%w: more than %d times --pubkey: leave it out to export all", cli.ErrUsage, maxNamed)
			}
			return c.exportHistory(cmd.Context(), pubs, args[0])
		},
	}
	cmd.Flags().StringSliceVar(&pubkeys, "pubkey", nil, "only these `keys`; may be repeated")
	return cmd
}

// maxNamed is how many keys an address has room for.
const maxNamed = 200

func (c *tool) exportHistory(ctx context.Context, pubs []bls.PublicKey, path string) error {
	signer, err := c.client()
	if err != nil {
		return err
	}
	write := func(w io.Writer) error {
		progress := c.progress("kB received:")
		defer progress.end()
		return signer.download(ctx, "/signer/v1/slashing"+query(pubs), w, func(n int64) {
			progress.report(int(n/kilobyte), 0)
		})
	}
	if path == "-" {
		return write(c.stdout)
	}
	file, err := createNew(path)
	if err != nil {
		return err
	}
	if err := file.fill(write); err != nil {
		return fmt.Errorf("nothing was exported: %w", err)
	}
	fmt.Fprintf(c.stderr, "Slashing protection data is in %s. It is out of date as soon as one of the keys signs again.\n", path)
	if c.json {
		return c.printJSON(struct {
			Export string `json:"export"`
		}{path})
	}
	return nil
}

func query(pubs []bls.PublicKey) string {
	values := make(url.Values)
	for _, pub := range pubs {
		values.Add("pubkey", pub.String())
	}
	if len(values) == 0 {
		return ""
	}
	return "?" + values.Encode()
}

func (c *tool) showCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show [PUBKEY]",
		Short: "Show what the signer remembers of all keys, or of one",
		Long: "Show what the signer remembers: the last block and the last attestation that it signed itself, and floors, which come from an import, " +
			"from the clock at a key's arrival, or from slashing raise. Also of keys that are not held any more, or not yet.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			pubs, err := publicKeys(args)
			if err != nil {
				return err
			}
			signer, err := c.client()
			if err != nil {
				return err
			}
			if len(pubs) == 1 {
				return c.showOne(cmd.Context(), signer, pubs[0])
			}
			return c.showAll(cmd.Context(), signer)
		},
	}
}

func (c *tool) showOne(ctx context.Context, signer *client, pub bls.PublicKey) error {
	var shown management.Shown
	if err := signer.call(ctx, answerTime, "GET", "/signer/v1/slashing/"+pub.String(), nil, &shown); err != nil {
		return err
	}
	if c.json {
		return c.printJSON(shown)
	}
	r := shown.Record
	rows := []table.Row{{"key", shown.Pubkey}, {"state", recordState(shown.KeyRecord)}}
	if b := r.LastBlock; b != nil {
		rows = append(rows, table.Row{"last block", fmt.Sprintf("slot %d, signing root %v", b.Slot, b.SigningRoot)})
	} else {
		rows = append(rows, table.Row{"last block", "none signed here"})
	}
	if a := r.LastAttestation; a != nil {
		rows = append(rows, table.Row{"last vote", fmt.Sprintf("epoch %d → %d, signing root %v", a.SourceEpoch, a.TargetEpoch, a.SigningRoot)})
	} else {
		rows = append(rows, table.Row{"last vote", "none signed here"})
	}
	rows = append(rows,
		table.Row{"floor", cmp.Or(sentence(r.Floors), "none")},
		table.Row{"high watermark", stop(shown.HighWatermark)})
	return c.printTable(nil, rows)
}

func recordState(k management.KeyRecord) string {
	switch {
	case !k.Held && k.Record.Disabled:
		return "not held: only its history is here"
	case k.Record.Disabled:
		return "disabled: its deletion was begun"
	case !k.Held:
		return "not held"
	}
	return "held"
}

// stop is where a signer stops.
func stop(mark *management.HighWatermark) string {
	if mark == nil {
		return "none"
	}
	return fmt.Sprintf("nothing is signed from slot %d or epoch %d on", mark.Slot, mark.Epoch)
}

func (c *tool) showAll(ctx context.Context, signer *client) error {
	var list management.RecordList
	if err := signer.call(ctx, answerTime, "GET", "/signer/v1/slashing/records", nil, &list); err != nil {
		return err
	}
	if c.json {
		return c.printJSON(list)
	}
	if mark := list.HighWatermark; mark != nil {
		fmt.Fprintf(c.stderr, "High watermark: %s.\n", stop(mark))
	}
	if len(list.Records) == 0 {
		fmt.Fprintln(c.stderr, "Nothing is remembered: no key was ever here, nor any history.")
		return nil
	}
	var rows []table.Row
	for _, k := range list.Records {
		rows = append(rows, append(append(table.Row{k.Pubkey}, marks(&k.Record)...), recordState(k)))
	}
	return c.printTable(append(append(table.Row{"key"}, markColumns()...), "state"), rows)
}

// sentence says what floors forbid.
func sentence(f management.Floors) string {
	var parts []string
	if f.Slot != nil {
		parts = append(parts, fmt.Sprintf("no block at or below slot %d", *f.Slot))
	}
	if f.TargetEpoch != nil {
		parts = append(parts, fmt.Sprintf("no vote to epoch %d or below", *f.TargetEpoch))
	}
	if f.SourceEpoch != nil {
		parts = append(parts, fmt.Sprintf("no vote from below epoch %d", *f.SourceEpoch))
	}
	return strings.Join(parts, ", ")
}
