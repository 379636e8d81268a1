package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/internal/testdata"
)

// A real quote of SGX from the bytes that its maker's tools wrote, under a policy
// that names what it proves.
func TestAttestVerifyOfARealQuote(t *testing.T) {
	dir := testdata.Path(t, "evidence/sgx-tdx")
	policy := filepath.Join(t.TempDir(), "policy.json")
	if err := os.WriteFile(policy, []byte(`{
		"accept": [{
			"kind": "sgx",
			"measurements": {"mrenclave": "68823bc62f409ee33a32ea270cfe45d4b19a6fb3c8570d7bc186cbe062398e8f"},
			"signer": "9affcfae47b848ec2caf1c49b4b283531e1cc425f93582b36806e52a43d78d1a"
		}],
		"roots": ["44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3"],
		"tcb": ["SWHardeningNeeded"],
		"advisories": ["INTEL-SA-00615", "INTEL-SA-00657"],
		"max_collateral_age": "720h",
		"allow_unchecked_revocation": true
	}`), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{
		"attest", "verify", "--type", "sgx", filepath.Join(dir, "quote_v3_ecdsa_p256_pck_chain.bin"), "--policy", policy,
		"--collateral", "tcb_info=" + filepath.Join(dir, "tcb_info_v3_fmspc_00606A000000.json"),
		"--collateral", "qe_identity=" + filepath.Join(dir, "qe_identity_v2.json"),
		"--collateral", "tcb_chain=" + filepath.Join(dir, "tcb_info_v3_fmspc_00606A000000_certs.pem"),
		"--report-data", "026a69ced96c3e0295d16d6b388e057a137a14319671662a5844c7472f3c62ae0e3d3f99b77dd89b0fc1436c4fe96828391a52588a0f883455a18b8f5872e3f0",
	}
	for _, tt := range []struct {
		at, stdout, stderr string
		code               int
	}{
		{"2022-12-20T00:00:00Z", "acceptable", "", 0},
		{"2026-11-25T00:00:00Z", "", "fetch it again", 1},
	} {
		var stdout, stderr bytes.Buffer
		code := run(context.Background(), append(args, "--at", tt.at), nil, &stdout, &stderr)
		if code != tt.code || !strings.Contains(stdout.String(), tt.stdout) || !strings.Contains(stderr.String(), tt.stderr) || strings.Contains(stdout.String(), "NOT") {
			t.Errorf("%s: exit code %d\n%s%s", tt.at, code, stdout.String(), stderr.String())
		}
	}
}

// TestAStrangersAnswerPassesForNothingElse: whoever asks for evidence does not know yet
// whom he asks.
func TestAStrangersAnswerPassesForNothingElse(t *testing.T) {
	stranger := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, `{"message":"\u001b[2J\u001b[H\nsignerctl: 1 key imported","reason":"loading"}`)
	}))
	defer stranger.Close()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"attest", "policy", "--url", stranger.URL}, strings.NewReader(""), &stdout, &stderr)
	if got := stderr.String(); code != 1 || strings.Count(got, "\n") != 1 || strings.Contains(got, "\x1b") || !strings.Contains(got, "1 key imported") {
		t.Errorf("exit %d: %q", code, got)
	}
}
