package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"github.com/secure-signer/secure-signer/audit"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/internal/datadir"
)

func (c *tool) auditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Read the log of every decision, and tell whether it was changed",
		Long: "Read the log of every decision, and tell whether it was changed. It lies in the folder audit of the signer's data folder; a copy does as well, " +
			"on any machine: nothing is asked of the signer. Its key is in the banner of secure-signer serve.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return fmt.Errorf("%w: audit needs verify, show or prove", cli.ErrUsage)
		},
	}
	cmd.AddCommand(c.auditVerifyCommand(), c.auditShowCommand(), c.auditProveCommand())
	return cmd
}

// auditLog is the log that a call is about: an argument, or the one of the data folder.
func (c *tool) auditLog(args []string) (string, error) {
	switch {
	case len(args) > 0:
		return args[0], nil
	case c.dataDir == "":
		return "", fmt.Errorf("%w: name the log, or its signer's folder by --data-dir", cli.ErrUsage)
	}
	return datadir.At(c.dataDir).Audit(), nil
}

// signedBy adds the flag for the key of a log.
func signedBy(cmd *cobra.Command, key *string) {
	cmd.Flags().StringVar(key, "signed-by", "", "the log's `key`, as the signer prints it at its start: secure-signer-audit+…")
}

// parseSignedBy reads that flag, which must be given where need is set.
func parseSignedBy(text string, need bool) (note.Verifier, error) {
	if text == "" && !need {
		return nil, nil
	}
	key, err := audit.ParseKey(text)
	if err != nil {
		return nil, fmt.Errorf("%w: --signed-by: %w", cli.ErrUsage, err)
	}
	return key, nil
}

func (c *tool) auditVerifyCommand() *cobra.Command {
	var signer, kept string
	cmd := &cobra.Command{
		Use:   "verify [FOLDER|FILE] --signed-by KEY",
		Short: "Tell whether a log, one file of it, or a proof is what the signer wrote",
		Long: "Tell whether a log, one file of it, or a proof is what the signer wrote. A log that was cut back to an earlier time is one, too: " +
			"only a checkpoint kept elsewhere can tell. Verify prints the latest; give it back the next time with --checkpoint.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			key, err := parseSignedBy(signer, true)
			if err != nil {
				return err
			}
			path, err := c.auditLog(args)
			if err != nil {
				return err
			}
			proof, err := readProof(path)
			if err != nil {
				return err
			}
			if proof != nil {
				return c.checkProof(proof, key)
			}
			reading := audit.Reading{Key: key}
			if kept != "" {
				if reading.Kept, err = os.ReadFile(kept); err != nil {
					return err
				}
			}
			return c.verifyLog(path, reading)
		},
	}
	signedBy(cmd, &signer)
	cmd.Flags().StringVar(&kept, "checkpoint", "", "`file` with a checkpoint that was printed earlier, which the log has to continue")
	return cmd
}

// readProof returns nil for anything else than a proof.
func readProof(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil || info.IsDir() || info.Size() > 1<<20 {
		return nil, err
	}
	text, err := os.ReadFile(path)
	if err != nil || !audit.IsProof(text) {
		return nil, err
	}
	return text, nil
}

// checkProof prints the entry that is proved.
func (c *tool) checkProof(proof []byte, key note.Verifier) error {
	e, line, index, err := audit.CheckProof(proof, key)
	if err != nil {
		return err
	}
	return c.printEntry(index, line, e)
}

func (c *tool) verifyLog(path string, reading audit.Reading) error {
	report, err := audit.Verify(path, reading)
	if err != nil {
		return err
	}
	if c.json {
		if report.Problems == nil {
			report.Problems = []audit.Problem{}
		}
		err = c.printJSON(report)
	} else {
		for _, p := range report.Problems {
			fmt.Fprintf(c.stdout, "PROBLEM  %s\n", printable(p.String()))
		}
		err = c.printTable(nil, []table.Row{
			{"files", report.Files},
			{"entries", fmt.Sprintf("%d to %d", report.First, report.Entries-1)},
			{"gaps", report.Gaps},
		})
		fmt.Fprintf(c.stdout, "\n%s", report.Checkpoint)
	}
	return errors.Join(err, unlike(report))
}

// unlike is an error if a log is not what was signed.
func unlike(report audit.Report) error {
	if len(report.Problems) == 0 {
		return nil
	}
	return fmt.Errorf("the audit log is not what the signer wrote: %v", report.Problems[0])
}

// A question is what show looks for.
type question struct {
	keys    []string
	kinds   []string
	since   string
	refused bool

	from time.Time
}

func (c *tool) auditShowCommand() *cobra.Command {
	var signer string
	var q question
	cmd := &cobra.Command{
		Use:   "show [FOLDER|FILE]",
		Short: "Print the entries of a log",
		Long: "Print the entries of a log: with --json each in a line, as it was written. Without --signed-by it tells only damage, " +
			"and not whether whoever can write the disk has made it up.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			key, err := parseSignedBy(signer, false)
			if err != nil {
				return err
			}
			path, err := c.auditLog(args)
			if err != nil {
				return err
			}
			if err := q.parse(time.Now()); err != nil {
				return err
			}
			return c.showLog(path, key, q)
		},
	}
	signedBy(cmd, &signer)
	flags := cmd.Flags()
	flags.StringSliceVar(&q.keys, "key", nil, "only of this public `key`; may be repeated")
	flags.StringSliceVar(&q.kinds, "kind", nil, "only of this `type`, as ATTESTATION; may be repeated")
	flags.StringVar(&q.since, "since", "", "only from this `time` on: 2026-01-31T15:04:05Z, or 24h for the last day")
	flags.BoolVar(&q.refused, "refused", false, "only refusals")
	return cmd
}

// parse reads the flags.
func (q *question) parse(now time.Time) error {
	keys, err := publicKeys(q.keys)
	if err != nil {
		return err
	}
	q.keys = q.keys[:0]
	for _, k := range keys {
		q.keys = append(q.keys, k.String())
	}
	for i, name := range q.kinds {
		kind, err := eth2.ParseKind(name)
		if err != nil {
			return fmt.Errorf("%w: --kind: %w", cli.ErrUsage, err)
		}
		q.kinds[i] = kind.String()
	}
	if q.since == "" {
		return nil
	}
	if ago, err := time.ParseDuration(q.since); err == nil {
		q.from = now.Add(-ago)
		return nil
	}
	if q.from, err = time.Parse(time.RFC3339, q.since); err != nil {
		return fmt.Errorf("%w: --since %q: use a time like 2026-01-31T15:04:05Z, or how long ago, like 24h", cli.ErrUsage, q.since)
	}
	return nil
}

// asks tells whether e is looked for.
func (q *question) asks(e audit.Entry) bool {
	switch {
	case e.Time.Before(q.from),
		q.refused && e.Event != audit.EventRefused,
		len(q.keys) > 0 && !slices.Contains(q.keys, e.Key),
		len(q.kinds) > 0 && !slices.Contains(q.kinds, e.Kind):
		return false
	}
	return true
}

func (c *tool) showLog(path string, key note.Verifier, q question) error {
	var failed error
	report, err := audit.Verify(path, audit.Reading{Key: key, Entry: func(_ string, index int64, line []byte, e audit.Entry) {
		if failed == nil && q.asks(e) {
			failed = c.printEntry(index, line, e)
		}
	}})
	return errors.Join(err, failed, unlike(report))
}

// printEntry prints one, in a line.
func (c *tool) printEntry(index int64, line []byte, e audit.Entry) error {
	if c.json {
		_, err := fmt.Fprintf(c.stdout, "{\"index\":%d,\"entry\":%s}\n", index, line)
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s %s", index, e.Time.Format(time.RFC3339), printable(e.Event))
	say := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, " %s %s", name, printable(value))
		}
	}
	say("kind", e.Kind)
	say("key", e.Key)
	if e.Slot != nil {
		fmt.Fprintf(&b, " slot %d", *e.Slot)
	}
	if e.Epoch != nil {
		fmt.Fprintf(&b, " epoch %d", *e.Epoch)
	}
	if e.Source != nil && e.Target != nil {
		fmt.Fprintf(&b, " source %d target %d", e.Source.Epoch, e.Target.Epoch)
	}
	if e.SigningRoot != nil {
		fmt.Fprintf(&b, " root %v", *e.SigningRoot)
	}
	say("caller", e.Caller)
	say("reason", string(e.Reason))
	if e.Detail != "" {
		fmt.Fprintf(&b, ": %s", printable(e.Detail))
	}
	if e.Gap != nil {
		fmt.Fprintf(&b, " between %d and %d of the slashing journal, %d bytes cut", e.Gap.Before, e.Gap.After, e.Gap.Cut)
	}
	if e.Count > 0 {
		fmt.Fprintf(&b, " %d", e.Count)
	}
	if e.Segment != nil {
		fmt.Fprintf(&b, " file %d: %s", e.Segment.Number, printable(e.Segment.Why))
	}
	_, err := fmt.Fprintln(c.stdout, b.String())
	return err
}

func (c *tool) auditProveCommand() *cobra.Command {
	var signer string
	cmd := &cobra.Command{
		Use:   "prove INDEX [FOLDER] --signed-by KEY",
		Short: "Print a proof that an entry is in the log, for somebody who has nothing else",
		Long:  "Print a proof that an entry is in the log (C2SP tlog-proof). signerctl audit verify FILE --signed-by KEY checks it.",
		Args:  cobra.RangeArgs(1, 2),
		RunE: func(_ *cobra.Command, args []string) error {
			key, err := parseSignedBy(signer, true)
			if err != nil {
				return err
			}
			index, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil {
				return fmt.Errorf("%w: %q is no index: signerctl audit show prints them", cli.ErrUsage, args[0])
			}
			path, err := c.auditLog(args[1:])
			if err != nil {
				return err
			}
			proof, err := audit.Prove(path, key, index)
			if err != nil {
				return err
			}
			_, err = c.stdout.Write(proof)
			return err
		},
	}
	signedBy(cmd, &signer)
	return cmd
}
