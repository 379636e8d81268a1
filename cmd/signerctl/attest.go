package main

import (
	"crypto/sha256"
	"encoding/json"
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
	"github.com/secure-signer/secure-signer/attestapi"
	"github.com/secure-signer/secure-signer/deposit"
	"github.com/secure-signer/secure-signer/internal/cli"
)

func (c *tool) attestCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "attest",
		Short: "Ask a signer for evidence of trusted hardware, and judge it",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return fmt.Errorf("%w: attest needs verify, fetch, policy or receipts", cli.ErrUsage)
		},
	}
	cmd.AddCommand(c.attestVerifyCommand(), c.attestFetchCommand(), c.attestPolicyCommand(), c.attestReceiptsCommand())
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
	f.defineTerms(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.reportData, "report-data", "", "the 64 bytes that the evidence must be bound to, in `hex`")
	flags.StringVar(&f.nonce, "nonce", "", "the nonce of 32 bytes that the evidence was asked for with, in `hex`")
	flags.StringVar(&f.exporter, "exporter", "", "the exporter value of the TLS connection, in `hex`; with --nonce")
	flags.StringVar(&f.rawType, "type", "", "the file is no JSON but what the hardware gave, of this `type`: sgx, tdx, snp, nitro, tpm or dev")
	flags.StringArrayVar(&f.collateral, "collateral", nil, "`name=file` of what belongs to the evidence; with --type, repeatable")
	return cmd
}

// defineTerms are the flags of terms.
func (f *attestFlags) defineTerms(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.policy, "policy", "", "`file` with the policy, in JSON")
	cmd.Flags().StringVar(&f.at, "at", "", "`time` to judge for, such as 2026-11-25T12:00:00Z; now if left out")
}

// A verdict is what was proved and what the policy says of it. Its members are
// for scripts and are never renamed.
type verdict struct {
	Acceptable bool            `json:"acceptable"`
	Reasons    []attest.Reason `json:"reasons"`
	Result     *attest.Result  `json:"result,omitzero"`  // absent: nothing is proved
	Claims     *attest.Claims  `json:"claims,omitzero"`  // only if the evidence is bound to them
	Deposit    *deposit.Data   `json:"deposit,omitzero"` // that the claims state, of a key made inside

	settings map[string]json.RawMessage // that the claims state
}

// The codes of reasons that are not a policy's.
const (
	codeEvidence = "evidence" // it proves nothing
	codeDeposit  = "deposit"  // it states a deposit that is wrong
)

// verifiers know every kind of evidence. The roots are those of kinds that have none
// of their own.
func verifiers(roots []attest.Digest) attest.Set {
	return attest.Set{
		attest.TypeSGX: dcap.Verifier{}, attest.TypeTDX: dcap.Verifier{}, attest.TypeSNP: snp.Verifier{}, attest.TypeNitro: nitro.Verifier{},
		attest.TypeTPM: tpm.Verifier{Roots: roots}, attest.TypeDev: dev.Verifier{Roots: roots},
	}
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
	bound, err := f.expected(ev)
	if err != nil {
		return err
	}
	result, err := verifiers(policy.Roots).Verify(ev, at)
	if err != nil {
		err = fmt.Errorf("the evidence proves nothing: %w%s", err, rootAdvice(ev.Type, policy))
		if c.json {
			err = errors.Join(c.printJSON(verdict{Reasons: []attest.Reason{{Code: codeEvidence, Detail: err.Error()}}}), err)
		}
		return err
	}
	v := pronounce(policy, ev, result, bound)
	if c.json {
		err = c.printJSON(v)
	} else {
		err = c.printTable(nil, verdictRows(v))
	}
	switch {
	case err != nil:
		return err
	case !v.Acceptable && f.policy == "":
		return errors.New("genuine, and not acceptable: there is no --policy")
	case !v.Acceptable:
		return errors.New("genuine, and not acceptable: give it no key")
	}
	return nil
}

// rootAdvice says what is missing for kinds of evidence that have no root built in.
func rootAdvice(kind string, policy attest.Policy) string {
	if len(policy.Roots) > 0 || kind != attest.TypeTPM && kind != attest.TypeDev {
		return ""
	}
	return " (it has no root built in: name the one that you trust in the roots of a --policy)"
}

// A binding is what evidence must be bound to: a nonce and an exporter value, with
// which its claims are judged, or else the report data itself.
type binding struct {
	reportData attest.ReportData
	nonce      *attest.Nonce
	exporter   attest.Hex
}

// pronounce judges what is proved, and the claims where they can be.
func pronounce(policy attest.Policy, ev attest.Evidence, result attest.Result, bound binding) verdict {
	v := verdict{Result: &result}
	err := policy.Judge(result, bound.reportData)
	if bound.nonce != nil {
		err = policy.JudgeClaims(result, ev.Claims, *bound.nonce, bound.exporter, attestapi.StatesReceiptKey, attestapi.StatesGenerated)
		if result.ReportData == bound.reportData {
			v.Claims = &ev.Claims
		}
	}
	var refusal *attest.Refusal
	if errors.As(err, &refusal) {
		v.Reasons = refusal.Reasons
	}
	if v.Claims != nil && len(ev.Claims.Config) > 0 {
		v.state(ev.Claims.Config)
	}
	v.Acceptable = len(v.Reasons) == 0
	return v
}

// state shows what the claims say, and checks a deposit. What cannot be read is a
// policy's to refuse.
func (v *verdict) state(config []byte) {
	var text struct {
		Settings map[string]json.RawMessage `json:"settings"`
	}
	if json.Unmarshal(config, &text) == nil {
		v.settings = text.Settings
	}
	document, err := attestapi.ReadDocument(config)
	if err != nil || document.Generated == nil {
		return
	}
	v.Deposit = document.Generated
	if err := checkDeposit(document); err != nil {
		v.Reasons = append(v.Reasons, attest.Reason{Code: codeDeposit, Detail: err.Error()})
	}
}

// checkDeposit checks a deposit against the signer that states it.
func checkDeposit(d attestapi.Document) error {
	if got, want := d.Generated.ForkVersion.String(), strings.TrimPrefix(d.Settings.GenesisForkVersion.String(), "0x"); got != want {
		return fmt.Errorf("the deposit is for fork version %s, the signer is on a network with %s: do not send it", got, want)
	}
	return d.Generated.Check()
}

// terms reads what the evidence is judged by.
func (f attestFlags) terms() (time.Time, attest.Policy, error) {
	at := time.Now().UTC().Truncate(time.Second)
	if f.at != "" {
		t, err := time.Parse(time.RFC3339, f.at)
		if err != nil {
			return at, attest.Policy{}, fmt.Errorf("%w: --at %q: want a time such as 2026-11-25T12:00:00Z", cli.ErrUsage, f.at)
		}
		at = t
	}
	policy, err := readPolicy(f.policy)
	return at, policy, err
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

// expected is what the evidence must be bound to; nothing, which no policy accepts,
// if it was not said.
func (f attestFlags) expected(ev attest.Evidence) (b binding, err error) {
	switch {
	case f.reportData != "" && f.nonce != "":
		return b, fmt.Errorf("%w: --report-data and --nonce: give one of them", cli.ErrUsage)
	case f.reportData != "":
		if err := b.reportData.UnmarshalText([]byte(f.reportData)); err != nil {
			return b, fmt.Errorf("%w: --report-data: %w", cli.ErrUsage, err)
		}
		return b, nil
	case f.nonce == "" && f.exporter != "":
		return b, fmt.Errorf("%w: --exporter needs --nonce", cli.ErrUsage)
	case f.nonce == "":
		return b, nil
	}
	b.nonce = new(attest.Nonce)
	if err := b.nonce.UnmarshalText([]byte(f.nonce)); err != nil {
		return b, fmt.Errorf("%w: --nonce: %w", cli.ErrUsage, err)
	}
	if err := b.exporter.UnmarshalText([]byte(f.exporter)); err != nil {
		return b, fmt.Errorf("%w: --exporter: %w", cli.ErrUsage, err)
	}
	b.reportData = ev.Claims.ReportData(*b.nonce, b.exporter)
	return b, nil
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
	rows = append(rows, v.claimRows()...)
	if v.Acceptable {
		return append(rows, table.Row{"verdict", "acceptable"})
	}
	rows = append(rows, table.Row{"verdict", "NOT ACCEPTABLE"})
	for _, reason := range v.Reasons {
		rows = append(rows, table.Row{"  " + reason.Code, reason.Detail})
	}
	return rows
}

// claimRows are what the evidence is bound to, if it is.
func (v verdict) claimRows() (rows []table.Row) {
	if v.Claims != nil {
		rows = append(rows,
			table.Row{"hpke key", digest(v.Claims.HPKEKey)},
			table.Row{"tls key", orNone(attest.Hex(v.Claims.TLSKey).String())},
		)
	}
	for _, name := range slices.Sorted(maps.Keys(v.settings)) {
		rows = append(rows, table.Row{"setting " + name, string(v.settings[name])})
	}
	if d := v.Deposit; d != nil {
		rows = append(rows,
			table.Row{"key made inside", "0x" + d.Pubkey.String()},
			table.Row{"  pays to", "0x" + d.WithdrawalCredentials.String()},
			table.Row{"  amount", fmt.Sprintf("%d Gwei", d.Amount)},
			table.Row{"  deposit data root", d.DepositDataRoot},
			table.Row{"  signature", d.Signature},
		)
	}
	return rows
}

// digest stands for a key of a kilobyte.
func digest(key []byte) string {
	if len(key) == 0 {
		return "none"
	}
	return fmt.Sprintf("of SHA-256 %x", sha256.Sum256(key))
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
