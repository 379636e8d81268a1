package attest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Policy says what may be given a key. Its zero value refuses everything, and
// so does every member left out that allows something.
type Policy struct {
	Accept []Identity `json:"accept"` // any one of these programs
	Roots  []Digest   `json:"roots"`  // whose word counts: see Result.Root

	TCB        []TCBStatus `json:"tcb"`                  // statuses that are good enough; Revoked never is
	Advisories []string    `json:"advisories,omitempty"` // known holes that are tolerated

	// MaxAge bounds how old evidence may be that bears a time; of other
	// evidence the nonce in the report data is the only freshness.
	// MaxCollateralAge bounds how old the oldest collateral may be.
	MaxAge           Duration `json:"max_age,omitempty"`
	MaxCollateralAge Duration `json:"max_collateral_age,omitempty"`

	// Settings are what the program must have been told, each member of the
	// configuration's settings and its exact value: see JudgeClaims.
	Settings map[string]json.RawMessage `json:"settings,omitempty"`

	// MaxLevel is the lowest privilege (highest VMPL) that may have asked.
	MaxLevel uint32 `json:"max_level,omitempty"`

	AllowDebug               bool `json:"allow_debug,omitempty"`                // only ever for tests
	AllowMigration           bool `json:"allow_migration,omitempty"`            //
	AllowUncheckedRevocation bool `json:"allow_unchecked_revocation,omitempty"` // where the maker's revocation lists are missing
}

// An Identity is one program that may be given a key.
type Identity struct {
	Kind         Kind           `json:"kind"`
	Measurements map[string]Hex `json:"measurements"`      // exactly those of Result.Measurements
	Details      map[string]Hex `json:"details,omitempty"` // any of Result.Details
	Signer       Hex            `json:"signer,omitempty"`  // exactly; empty means that it must have none
	Product      uint64         `json:"product,omitempty"` // exactly
	MinSVN       uint64         `json:"min_svn,omitempty"`

	// MinTCB are least versions, by the names of Result.TCBVersion. Where the
	// maker does not rate a TCB each must be named.
	MinTCB map[string]uint64 `json:"min_tcb,omitempty"`
}

// ParsePolicy reads a policy from JSON, strictly: a misspelt member is an error,
// not a rule that does not hold.
func ParsePolicy(text []byte) (Policy, error) {
	var p Policy
	if err := unmarshalStrict(text, &p); err != nil {
		return Policy{}, fmt.Errorf("policy: %w", err)
	}
	for _, s := range p.TCB {
		if s == TCBRevoked || !s.Known() && s != TCBUnrated {
			return Policy{}, fmt.Errorf("policy: tcb %q cannot be accepted", s)
		}
	}
	for _, name := range names(p.Settings) {
		if _, err := exactValue(p.Settings[name]); err != nil {
			return Policy{}, fmt.Errorf("policy: setting %q: %w", name, err)
		}
	}
	return p, nil
}

// A Reason is one cause of a refusal.
type Reason struct {
	Code   string `json:"code"`   // for programs; never renamed
	Detail string `json:"detail"` // for people: what was found, what was wanted, what to do
}

// The codes of reasons.
const (
	CodeReportData = "report_data"
	CodeRoot       = "root"
	CodeKind       = "kind"
	CodeIdentity   = "measurement"
	CodeSigner     = "signer"
	CodeSVN        = "svn"
	CodeDebug      = "debug"
	CodeMigration  = "migration"
	CodeLevel      = "level"
	CodeTCB        = "tcb"
	CodeAdvisory   = "advisory"
	CodeRevocation = "revocation"
	CodeAge        = "age"
	CodeSettings   = "settings"
)

// A Refusal is the error of Judge. It holds every reason, not just the first.
type Refusal struct{ Reasons []Reason }

func (r *Refusal) Error() string {
	details := make([]string, len(r.Reasons))
	for i, reason := range r.Reasons {
		details[i] = reason.Detail
	}
	return "evidence not acceptable: " + strings.Join(details, "; ")
}

// Is makes a Refusal match ErrNotAcceptable.
func (r *Refusal) Is(target error) bool { return target == ErrNotAcceptable }

// ErrNotAcceptable is what every Refusal is.
var ErrNotAcceptable = errors.New("evidence not acceptable")

// Judge returns nil if what ran may be given a key, else a *Refusal. The report
// data wanted is computed by the caller: see Claims. Ages count to the time that
// the result was verified for.
//
// Judge sees no claims. A policy with settings therefore refuses here whatever it
// is shown: JudgeClaims judges them.
func (p Policy) Judge(r Result, want ReportData) error {
	return refusal(p.judge(r, want), p.judgeUnseen())
}

func (p Policy) judge(r Result, want ReportData) []Reason {
	return slices.Concat(
		p.judgeBinding(r, want),
		p.judgeIdentity(r),
		p.judgeConfidentiality(r),
		p.judgeTCB(r),
		p.judgeAge(r),
	)
}

// refusal is nil where there are no reasons.
func refusal(parts ...[]Reason) error {
	if reasons := slices.Concat(parts...); len(reasons) > 0 {
		return &Refusal{Reasons: reasons}
	}
	return nil
}

func because(code, format string, args ...any) []Reason {
	return []Reason{{Code: code, Detail: fmt.Sprintf(format, args...)}}
}

func (p Policy) judgeBinding(r Result, want ReportData) (reasons []Reason) {
	switch {
	case want == ReportData{}:
		reasons = because(CodeReportData, "no report data is expected, so this could be anyone's evidence replayed: compute it from your own nonce and connection")
	case r.ReportData != want:
		reasons = because(CodeReportData, "report data is %v, want %v: the evidence belongs to another connection, nonce, key or configuration", r.ReportData, want)
	}
	if r.Root == (Digest{}) || !slices.Contains(p.Roots, r.Root) {
		reasons = append(reasons, because(CodeRoot, "root %v is not among the policy's %d roots", r.Root, len(p.Roots))...)
	}
	return reasons
}

// judgeIdentity returns no reasons if one identity matches, else those of the
// one that comes nearest.
func (p Policy) judgeIdentity(r Result) []Reason {
	var nearest []Reason
	found := false
	for _, id := range p.Accept {
		if id.Kind != r.Kind {
			continue
		}
		reasons := id.judge(r)
		if len(reasons) == 0 {
			return nil
		}
		if !found || len(reasons) < len(nearest) {
			nearest, found = reasons, true
		}
	}
	if !found {
		return because(CodeKind, "the policy accepts no program on %q", r.Kind)
	}
	return nearest
}

func (id Identity) judge(r Result) (reasons []Reason) {
	if len(r.Measurements) == 0 {
		reasons = because(CodeIdentity, "the evidence measures nothing")
	}
	for _, name := range names(r.Measurements) {
		got := r.Measurements[name]
		want, ok := id.Measurements[name]
		switch {
		case !ok:
			reasons = append(reasons, because(CodeIdentity, "%s is %v, and the policy does not say what it must be", name, got)...)
		case !bytes.Equal(got, want):
			reasons = append(reasons, because(CodeIdentity, "%s is %v, the policy accepts %v: another program or version ran", name, got, want)...)
		}
	}
	for _, name := range names(id.Measurements) {
		if _, ok := r.Measurements[name]; !ok {
			reasons = append(reasons, because(CodeIdentity, "the policy asks for %s, which this evidence does not measure", name)...)
		}
	}
	for _, name := range names(id.Details) {
		if got, ok := r.Details[name]; !ok || !bytes.Equal(got, id.Details[name]) {
			reasons = append(reasons, because(CodeIdentity, "%s is %q, the policy accepts %v", name, got.String(), id.Details[name])...)
		}
	}
	if !bytes.Equal(r.Signer, id.Signer) {
		reasons = append(reasons, because(CodeSigner, "signer is %q, the policy accepts %q", r.Signer.String(), id.Signer.String())...)
	}
	if r.Product != id.Product {
		reasons = append(reasons, because(CodeSigner, "product is %d, the policy accepts %d", r.Product, id.Product)...)
	}
	if r.SVN < id.MinSVN {
		reasons = append(reasons, because(CodeSVN, "security version is %d, the policy wants at least %d: update the signer", r.SVN, id.MinSVN)...)
	}
	return append(reasons, id.judgeTCB(r)...)
}

// judgeTCB compares versions. What a maker does not rate must all be named.
func (id Identity) judgeTCB(r Result) (reasons []Reason) {
	for _, name := range names(id.MinTCB) {
		if got, ok := r.TCBVersion[name]; !ok || got < id.MinTCB[name] {
			reasons = append(reasons, because(CodeTCB, "TCB version %s is %d, the policy wants at least %d: update firmware and microcode", name, got, id.MinTCB[name])...)
		}
	}
	if r.TCB != TCBUnrated {
		return reasons
	}
	for _, name := range names(r.TCBVersion) {
		if _, ok := id.MinTCB[name]; !ok {
			reasons = append(reasons, because(CodeTCB, "TCB version %s is %d, its maker does not rate it, and the policy does not say what is enough", name, r.TCBVersion[name])...)
		}
	}
	return reasons
}

// judgeConfidentiality refuses whatever lets somebody outside look in.
func (p Policy) judgeConfidentiality(r Result) (reasons []Reason) {
	if r.Debug && !p.AllowDebug {
		reasons = because(CodeDebug, "debug mode is on: the host can read every key inside; start it without debug")
	}
	if r.Migratable && !p.AllowMigration {
		reasons = append(reasons, because(CodeMigration, "it may be migrated: a migration agent can take its state; start it without")...)
	}
	if r.Level > p.MaxLevel {
		reasons = append(reasons, because(CodeLevel, "privilege level %d asked for the evidence, the policy accepts at most %d", r.Level, p.MaxLevel)...)
	}
	return reasons
}

func (p Policy) judgeTCB(r Result) (reasons []Reason) {
	switch {
	case len(p.TCB) == 0:
		reasons = because(CodeTCB, "TCB status is %q, and the policy names none that is good enough", r.TCB)
	case r.TCB == TCBRevoked || !slices.Contains(p.TCB, r.TCB):
		reasons = because(CodeTCB, "TCB status is %q, the policy accepts %q: update firmware and microcode, or settle what the advisories ask", r.TCB, p.TCB)
	}
	for _, advisory := range r.Advisories {
		if !slices.Contains(p.Advisories, advisory) {
			reasons = append(reasons, because(CodeAdvisory, "%s applies, and the policy does not tolerate it", advisory)...)
		}
	}
	switch {
	case r.Revocation == RevocationChecked || r.Revocation == RevocationNone:
	case r.Revocation == RevocationUnchecked && p.AllowUncheckedRevocation:
	default:
		reasons = append(reasons, because(CodeRevocation, "no revocation lists came with the evidence: add them to the collateral")...)
	}
	return reasons
}

// clockSkew is how far apart two honest clocks may be.
const clockSkew = time.Minute

func (p Policy) judgeAge(r Result) (reasons []Reason) {
	if r.VerifiedAt.IsZero() {
		reasons = because(CodeAge, "it does not say for which time it was verified")
	}
	age := func(what string, since time.Time, limit Duration) {
		if since.IsZero() {
			return
		}
		switch age := r.VerifiedAt.Sub(since); {
		case age < -clockSkew:
			reasons = append(reasons, because(CodeAge, "%s is dated %v, after the time it is judged for: check the clocks", what, since)...)
		case age > time.Duration(limit):
			reasons = append(reasons, because(CodeAge, "%s is %v old, the policy accepts at most %v: fetch it again", what, age.Round(time.Second), limit)...)
		}
	}
	age("the evidence", r.IssuedAt, p.MaxAge)
	age("the oldest collateral", r.Collateral, p.MaxCollateralAge)
	if !r.ValidUntil.IsZero() && r.VerifiedAt.After(r.ValidUntil) {
		reasons = append(reasons, because(CodeAge, "something it rests on ended at %v", r.ValidUntil)...)
	}
	return reasons
}
