package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/audit"
	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/signer"
)

// auditLog writes a log of three decisions, and returns its folder and key.
func auditLog(t *testing.T) (data, key string) {
	t.Helper()
	data = t.TempDir()
	k, err := audit.NewKey([32]byte{9})
	if err != nil {
		t.Fatal(err)
	}
	l, err := audit.Open(audit.Config{Dir: filepath.Join(data, "audit"), Key: k, Journal: func() uint64 { return 3 }})
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range []eth2.Message{&eth2.RandaoReveal{Epoch: 5}, &eth2.AggregationSlot{Slot: 6}, nil} {
		if err := l.Reserve(); err != nil {
			t.Fatal(err)
		}
		d := signer.Decision{Time: time.Unix(1800000000+int64(i), 0), Caller: signer.Caller{Name: "\x1b[2Jnode"}, Message: m, Key: bls.PublicKey{0xc0}}
		if i > 0 {
			d.Refusal = &signer.Refusal{Reason: signer.ReasonKeyNotFound, Err: errors.New("no key")}
		}
		l.Decided(d)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return data, k.Public()
}

func call(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(context.Background(), args, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

func TestAnAuditLogIsShownVerifiedAndProved(t *testing.T) {
	data, key := auditLog(t)
	calls := []struct {
		name string
		args []string
		code int
		want []string // in stdout, or else in stderr
		not  string
	}{
		{name: "verified", args: []string{"audit", "verify", "--signed-by", key}, want: []string{"0 to 4", "secure-signer-audit/"}},
		{name: "verified, for scripts", args: []string{"audit", "verify", "--signed-by", key, "--json"}, want: []string{`"problems": []`, `"entries": 5`}},
		{name: "without its key", args: []string{"audit", "verify"}, code: 2, want: []string{"the signer prints it"}},
		{name: "shown", args: []string{"audit", "show"}, want: []string{"1 2027-01-15T08:00:00Z signed kind RANDAO_REVEAL", "epoch 5", "4 ", "stopped"}, not: "\x1b"},
		{name: "only refusals", args: []string{"audit", "show", "--refused"}, want: []string{"slot 6", "reason key_not_found: no key"}, not: "RANDAO"},
		{name: "only a kind", args: []string{"audit", "show", "--kind", "randao_reveal"}, want: []string{"epoch 5"}, not: "slot 6"},
		{name: "only since", args: []string{"audit", "show", "--refused", "--since", "2027-01-15T08:00:02Z"}, want: []string{"3 2027"}, not: "slot 6"},
		{name: "for scripts", args: []string{"audit", "show", "--json", "--kind", "AGGREGATION_SLOT"}, want: []string{`{"index":2,"entry":{"time":`}},
		{name: "a kind that is none", args: []string{"audit", "show", "--kind", "x"}, code: 2, want: []string{"unknown type"}},
		{name: "no time", args: []string{"audit", "show", "--since", "tea"}, code: 2, want: []string{"24h"}},
		{name: "an index that is not kept", args: []string{"audit", "prove", "99", "--signed-by", key}, code: 1, want: []string{"0 to 4"}},
	}
	for _, c := range calls {
		t.Run(c.name, func(t *testing.T) {
			code, out, errs := call(append(c.args, "--data-dir", data)...)
			for _, want := range c.want {
				if !strings.Contains(out, want) && (code == 0 || !strings.Contains(errs, want)) {
					t.Errorf("%q is missing", want)
				}
			}
			if code != c.code || c.not != "" && strings.Contains(out, c.not) || t.Failed() {
				t.Errorf("got %d\n%s%s", code, out, errs)
			}
		})
	}
}

func TestAProofStandsAlone(t *testing.T) {
	data, key := auditLog(t)
	code, proof, errs := call("audit", "prove", "2", "--signed-by", key, "--data-dir", data)
	if code != 0 {
		t.Fatalf("got %d %s", code, errs)
	}
	path := filepath.Join(t.TempDir(), "proof")
	if err := os.WriteFile(path, []byte(proof), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := call("audit", "verify", path, "--signed-by", key); code != 0 || !strings.HasPrefix(out, "2 2027") {
		t.Errorf("got %d %s %s", code, out, errs)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(proof, "index 2", "index 1", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := call("audit", "verify", path, "--signed-by", key); code != 1 || out != "" {
		t.Errorf("another index: got %d %s", code, out)
	}
}

func TestAChangedAuditLogIsToldWithItsPlace(t *testing.T) {
	data, key := auditLog(t)
	path := filepath.Join(data, "audit", "00000001.log")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join(data, "kept")
	_, out, _ := call("audit", "verify", "--signed-by", key, "--data-dir", data)
	_, checkpoint, _ := strings.Cut(out, "\n\n")
	if err := os.WriteFile(kept, []byte(checkpoint), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := call("audit", "verify", "--signed-by", key, "--data-dir", data, "--checkpoint", kept); code != 0 {
		t.Errorf("it continues what was kept: got %d %s", code, errs)
	}
	for name, changed := range map[string][]byte{
		"changed":  bytes.Replace(text, []byte("RANDAO_REVEAL"), []byte("RANDAO_REVEAl"), 1),
		"cut back": text[:bytes.Index(text, []byte("\n{\"time"))+1],
	} {
		if err := os.WriteFile(path, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		code, out, errs := call("audit", "verify", "--signed-by", key, "--data-dir", data, "--checkpoint", kept)
		if code != 1 || !strings.Contains(out, "PROBLEM") || !strings.Contains(errs, "not what the signer wrote") {
			t.Errorf("%s: got %d\n%s%s", name, code, out, errs)
		}
	}
}
