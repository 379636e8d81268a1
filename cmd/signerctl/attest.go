package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/attest/dcap"
	"github.com/secure-signer/secure-signer/attest/dev"
	"github.com/secure-signer/secure-signer/attest/nitro"
	"github.com/secure-signer/secure-signer/attest/snp"
	"github.com/secure-signer/secure-signer/attest/tpm"
	"github.com/secure-signer/secure-signer/internal/cli"
)

func (c *tool) attestCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "attest",
		Short: "Judge evidence of trusted hardware, offline",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return fmt.Errorf("%w: attest needs verify", cli.ErrUsage) },
	}
	cmd.AddCommand(c.attestVerifyCommand())
	return cmd
}

// rawTypes are the names under which --type knows evidence.
var rawTypes = map[string]string{
	"sgx": attest.TypeSGX, "tdx": attest.TypeTDX, "snp": attest.TypeSNP, "nitro": attest.TypeNitro, "tpm": attest.TypeTPM, "dev": attest.TypeDev,
}

type attestFlags struct {
	policy     string
	at         string
	reportData string
	nonce      string
	exporter   string
	rawType    string
	collateral []string
}

func (c *tool) attestVerifyCommand() *cobra.Command {
	var f attestFlags
	cmd := &cobra.Command{
		Use:   "verify EVIDENCE",
		Short: "Tell what ran where, and whether a policy accepts it",
		Long: "Tell what ran where, and whether a policy accepts it: offline, from a file with evidence in JSON (- for standard input), " +
			"or with --type from the bytes that the hardware gave. Fails unless the evidence is genuine and the policy accepts it; " +
			"without --policy nothing is accepted, and the reasons say what a policy must name.\n\n" +
			"Evidence that is bound to nothing can be anyone's, replayed: --report-data says what it must be bound to, or --nonce (and " +
			"--exporter, of the TLS connection), from which it is computed with the claims of the evidence.",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return c.attestVerify(f, args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.policy, "policy", "", "`file` with the policy, in JSON")
	flags.StringVar(&f.at, "at", "", "`time` to judge for, such as 2026-11-25T12:00:00Z; now if left out")
	flags.StringVar(&f.reportData, "report-data", "", "the 64 bytes that the evidence must be bound to, in `hex`")
	flags.StringVar(&f.nonce, "nonce", "", "the nonce of 32 bytes that the evidence was asked for with, in `hex`")
	flags.StringVar(&f.exporter, "exporter", "", "the exporter value of the TLS connection, in `hex`; with --nonce")
	flags.StringVar(&f.rawType, "type", "", "the file is no JSON but what the hardware gave, of this `type`: sgx, tdx, snp, nitro, tpm or dev")
	flags.StringArrayVar(&f.collateral, "collateral", nil, "`name=file` of what belongs to the evidence; with --type, repeatable")
	return cmd
}

// A verdict is what was proved and what the policy says of it. Its members are
// for scripts and are never renamed.
type verdict struct {
	Acceptable bool            `json:"acceptable"`
	Reasons    []attest.Reason `json:"reasons"`
	Result     attest.Result   `json:"result"`
	Claims     *attest.Claims  `json:"claims,omitzero"` // only if the evidence is bound to them
}

func (c *tool) attestVerify(f attestFlags, path string) error {
	at, policy, err := f.terms()
	if err != nil {
		return err
	}
	ev, err := c.readEvidence(f, path)
	if err != nil {
		return err
	}
	want, err := f.expected(ev)
	if err != nil {
		return err
	}
	verifiers := attest.Set{
		attest.TypeSGX: dcap.Verifier{}, attest.TypeTDX: dcap.Verifier{}, attest.TypeSNP: snp.Verifier{}, attest.TypeNitro: nitro.Verifier{},
		attest.TypeTPM: tpm.Verifier{Roots: policy.Roots}, attest.TypeDev: dev.Verifier{Roots: policy.Roots}, // which have no roots of their own
	}
	result, err := verifiers.Verify(ev, at)
	if err != nil {
		return fmt.Errorf("the evidence proves nothing: %w", err)
	}
	v := verdict{Acceptable: true, Result: result}
	if f.nonce != "" && result.ReportData == want {
		v.Claims = &ev.Claims
	}
	refusal := policy.Judge(result, want)
	var reasons *attest.Refusal
	if errors.As(refusal, &reasons) {
		v.Acceptable, v.Reasons = false, reasons.Reasons
	}
	if c.json {
		err = c.printJSON(v)
	} else {
		err = c.printTable(nil, verdictRows(v))
	}
	switch {
	case err != nil:
		return err
	case refusal != nil && f.policy == "":
		return errors.New("genuine, and not acceptable: there is no --policy")
	case refusal != nil:
		return errors.New("genuine, and not acceptable: give it no key")
	}
	return nil
}

// terms reads what the evidence is judged by.
func (f attestFlags) terms() (time.Time, attest.Policy, error) {
	at, policy := time.Now().UTC().Truncate(time.Second), attest.Policy{}
	if f.at != "" {
		t, err := time.Parse(time.RFC3339, f.at)
		if err != nil {
			return at, policy, fmt.Errorf("%w: --at %q: want a time such as 2026-11-25T12:00:00Z", cli.ErrUsage, f.at)
		}
		at = t
	}
	if f.policy == "" {
		return at, policy, nil
	}
	text, err := os.ReadFile(f.policy)
	if err != nil {
		return at, policy, fmt.Errorf("read policy: %w", err)
	}
	policy, err = attest.ParsePolicy(text)
	if err != nil {
		return at, policy, fmt.Errorf("%s: %w", f.policy, err)
	}
	return at, policy, nil
}

// readEvidence reads JSON, or puts it together from raw files.
func (c *tool) readEvidence(f attestFlags, path string) (attest.Evidence, error) {
	value, err := c.readSmall(path)
	if err != nil {
		return attest.Evidence{}, err
	}
	if f.rawType == "" {
		if len(f.collateral) > 0 {
			return attest.Evidence{}, fmt.Errorf("%w: --collateral belongs to --type: evidence in JSON brings its own", cli.ErrUsage)
		}
		ev, err := attest.ParseEvidence(value)
		if err != nil {
			return ev, fmt.Errorf("%w (if the file is what the hardware gave, say so with --type)", err)
		}
		return ev, nil
	}
	kind, ok := rawTypes[f.rawType]
	if !ok {
		return attest.Evidence{}, fmt.Errorf("%w: --type %q: want sgx, tdx, snp, nitro, tpm or dev", cli.ErrUsage, f.rawType)
	}
	ev := attest.Evidence{Type: kind, Value: value, Collateral: make(map[string][]byte)}
	for _, pair := range f.collateral {
		name, file, ok := strings.Cut(pair, "=")
		if !ok {
			return attest.Evidence{}, fmt.Errorf("%w: --collateral %q: want name=file", cli.ErrUsage, pair)
		}
		if ev.Collateral[name], err = c.readSmall(file); err != nil {
			return attest.Evidence{}, err
		}
	}
	return ev, nil
}

// readSmall reads a file that must not be longer than evidence.
func (c *tool) readSmall(path string) ([]byte, error) {
	in := c.stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("read evidence: %w", err)
		}
		defer file.Close()
		in = file
	}
	b, err := io.ReadAll(io.LimitReader(in, attest.MaxEvidence+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read evidence: %w", err)
	case len(b) > attest.MaxEvidence:
		return nil, fmt.Errorf("read evidence: %s is longer than any evidence, %d bytes", path, attest.MaxEvidence)
	}
	return b, nil
}

// expected is the report data that the evidence must have; zero, which no policy
// accepts, if it was not said.
func (f attestFlags) expected(ev attest.Evidence) (want attest.ReportData, err error) {
	if f.reportData != "" && f.nonce != "" {
		return want, fmt.Errorf("%w: --report-data and --nonce: give one of them", cli.ErrUsage)
	}
	if f.reportData != "" {
		if err := want.UnmarshalText([]byte(f.reportData)); err != nil {
			return want, fmt.Errorf("%w: --report-data: %w", cli.ErrUsage, err)
		}
		return want, nil
	}
	if f.nonce == "" {
		if f.exporter != "" {
			return want, fmt.Errorf("%w: --exporter needs --nonce", cli.ErrUsage)
		}
		return want, nil
	}
	var nonce attest.Nonce
	if err := nonce.UnmarshalText([]byte(f.nonce)); err != nil {
		return want, fmt.Errorf("%w: --nonce: %w", cli.ErrUsage, err)
	}
	var exporter attest.Hex
	if err := exporter.UnmarshalText([]byte(f.exporter)); err != nil {
		return want, fmt.Errorf("%w: --exporter: %w", cli.ErrUsage, err)
	}
	return ev.Claims.ReportData(nonce, exporter), nil
}

func verdictRows(v verdict) []table.Row {
	r := v.Result
	rows := []table.Row{{"kind", r.Kind}}
	if r.Kind == attest.KindDev {
		rows[0] = table.Row{"kind", "dev: NO HARDWARE, a test root's word"}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Measurements)) {
		rows = append(rows, table.Row{name, r.Measurements[name]})
	}
	for _, name := range slices.Sorted(maps.Keys(r.Details)) {
		rows = append(rows, table.Row{"  " + name, r.Details[name]})
	}
	rows = append(rows,
		table.Row{"signer", orNone(r.Signer.String())},
		table.Row{"product", fmt.Sprintf("%d, security version %d", r.Product, r.SVN)},
		table.Row{"debug", yes(r.Debug)},
		table.Row{"migratable", yes(r.Migratable)},
		table.Row{"level", r.Level},
		table.Row{"tcb", r.TCB},
	)
	for _, name := range slices.Sorted(maps.Keys(r.TCBVersion)) {
		rows = append(rows, table.Row{"  " + name, r.TCBVersion[name]})
	}
	rows = append(rows,
		table.Row{"advisories", orNone(strings.Join(r.Advisories, " "))},
		table.Row{"revocation", r.Revocation},
		table.Row{"hardware", orNone(r.HardwareID.String())},
		table.Row{"root", r.Root},
		table.Row{"report data", r.ReportData},
	)
	for _, date := range []struct {
		name string
		at   time.Time
	}{
		{"issued", r.IssuedAt}, {"collateral of", r.Collateral}, {"tcb of", r.TCBDate}, {"valid until", r.ValidUntil}, {"judged for", r.VerifiedAt},
	} {
		if !date.at.IsZero() {
			rows = append(rows, table.Row{date.name, date.at.UTC().Format(time.RFC3339)})
		}
	}
	if v.Claims != nil {
		rows = append(rows,
			table.Row{"hpke key", orNone(attest.Hex(v.Claims.HPKEKey).String())},
			table.Row{"tls key", orNone(attest.Hex(v.Claims.TLSKey).String())},
			table.Row{"config", fmt.Sprintf("%q", v.Claims.Config)},
		)
	}
	if v.Acceptable {
		return append(rows, table.Row{"verdict", "acceptable"})
	}
	rows = append(rows, table.Row{"verdict", "NOT ACCEPTABLE"})
	for _, reason := range v.Reasons {
		rows = append(rows, table.Row{"  " + reason.Code, reason.Detail})
	}
	return rows
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

func yes(b bool) string {
	if b {
		return "YES"
	}
	return "no"
}
