package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/internal/datadir"
	"github.com/secure-signer/secure-signer/management"
)

// A diagnosis is what doctor prints, for scripts.
type diagnosis struct {
	Findings []finding `json:"findings"`
}

// A finding is the outcome of one check.
type finding struct {
	Level   level  `json:"level"`
	Check   string `json:"check"` // the name of what was looked at, which stays
	Message string `json:"message"`
	Fix     string `json:"fix,omitzero"`
}

// A level says how much a finding matters.
type level string

// The levels.
const (
	levelOK      level = "ok"
	levelWarning level = "warning" // it signs, but for how long, or how well?
	levelError   level = "error"   // it does not sign, does not start, or is not safe
)

// An examination gathers findings.
type examination struct {
	host host
	now  time.Time

	folder *datadir.Folder    // nil: not given, or it does not open
	status *management.Status // nil: the signer does not answer

	findings []finding
}

func (e *examination) ok(check, format string, args ...any) {
	e.findings = append(e.findings, finding{levelOK, check, fmt.Sprintf(format, args...), ""})
}

func (e *examination) warn(check, fix, format string, args ...any) {
	e.findings = append(e.findings, finding{levelWarning, check, fmt.Sprintf(format, args...), fix})
}

func (e *examination) fail(check, fix, format string, args ...any) {
	e.findings = append(e.findings, finding{levelError, check, fmt.Sprintf(format, args...), fix})
}

// doctorFlags say where else to look.
type doctorFlags struct {
	passphraseFile string
	backups        string
	beacon         string
}

func (c *tool) doctorCommand() *cobra.Command {
	var f doctorFlags
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what is wrong, or soon will be, and say what to do",
		Long: "Look at the data folder, the disk, the clock, the machine and the signer, and say for each finding what to do. It changes nothing, and works while the signer is down. " +
			"Without --data-dir the folder is not looked at. Run it as the signer's user, or as root, on the signer's machine. The exit code is 0 if all is well, 1 if anything is not.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := c.address(); err != nil {
				return err
			}
			return c.doctor(cmd.Context(), thisHost(), f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.passphraseFile, "passphrase-file", "", "look at this `file` with the vault's passphrase, too")
	flags.StringVar(&f.backups, "backups", "", "a backup, or a `folder` of them: is the newest new enough?")
	flags.StringVar(&f.beacon, "beacon", "", "`address` of a beacon node, such as http://127.0.0.1:5052: is it on the same chain?")
	return cmd
}

func (c *tool) doctor(ctx context.Context, h host, f doctorFlags) error {
	e := &examination{host: h, now: time.Now()}
	if c.dataDir == "" {
		e.ok("folder", "not looked at: --data-dir names it")
	} else {
		e.examineFolder(c.dataDir)
		e.examineCopies(c.dataDir)
		e.examineBackups(c.dataDir, f.backups)
		e.examineDisk(c.dataDir)
	}
	if f.passphraseFile != "" {
		e.examinePassphrase(f.passphraseFile, c.dataDir)
	}
	e.examineClock()
	c.examineSigner(ctx, e)
	if f.beacon != "" {
		e.examineBeacon(ctx, f.beacon)
	}
	return c.printDiagnosis(e.findings)
}

// printDiagnosis prints findings, and is an error if there is anything to do.
func (c *tool) printDiagnosis(findings []finding) error {
	counts := make(map[level]int)
	for _, f := range findings {
		counts[f.Level]++
	}
	if c.json {
		if err := c.printJSON(diagnosis{findings}); err != nil {
			return err
		}
	} else {
		for _, f := range findings {
			fmt.Fprintf(c.stdout, "%-8s %-12s %s\n", f.Level, f.Check, cli.Printable(f.Message))
			if f.Fix != "" {
				fmt.Fprintf(c.stdout, "%21s → %s\n", "", cli.Printable(f.Fix))
			}
		}
	}
	if counts[levelError]+counts[levelWarning] == 0 {
		return nil
	}
	return errors.New("found: " + plural(counts[levelError], "error") + ", " + plural(counts[levelWarning], "warning"))
}
