package telemetry_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/telemetry"
	"github.com/secure-signer/secure-signer/signer"
)

// TestEveryMetricOfTheAlarmsAndTheDashboardExists: one that does not is an alarm that
// never sounds.
func TestEveryMetricOfTheAlarmsAndTheDashboardExists(t *testing.T) {
	// Of what serves the page, of Prometheus itself, and of its node exporter.
	others := []string{"process_start_time_seconds", "up", "node_timex_offset_seconds", "node_timex_sync_status",
		"node_filesystem_avail_bytes", "node_filesystem_size_bytes"}
	served := documented(t)
	for file, expressions := range map[string][]string{
		"prometheus/alerts.yaml":     alarms(t),
		"grafana/secure-signer.json": panels(t),
	} {
		if len(expressions) < 10 {
			t.Errorf("%s: only %d expressions", file, len(expressions))
		}
		for _, e := range expressions {
			for _, name := range metricsOf(e) {
				known := served[name] != "" || served[histogramOf(name)] != "" || slices.Contains(others, name)
				if !known {
					t.Errorf("%s asks for %s, which the signer does not serve: %s", file, name, e)
				}
			}
			for _, reasons := range regexp.MustCompile(`reason[=!]~?"([^"]+)"`).FindAllStringSubmatch(e, -1) {
				for reason := range strings.SplitSeq(reasons[1], "|") {
					if !slices.Contains(signer.Reasons(), signer.Reason(reason)) {
						t.Errorf("%s asks for the reason %s, which nothing is refused by: %s", file, reason, e)
					}
				}
			}
		}
	}
}

// TestDashboard13687FindsItsNames: those that the public dashboard for Web3Signer
// asks for, but for the JVM's.
func TestDashboard13687FindsItsNames(t *testing.T) {
	m := telemetry.New("1.2.3", idle())
	m.Observe(eth2.KindAttestation, "", time.Millisecond)
	page := scrape(t, m)
	for _, sample := range []string{
		`signing_bls_signing_duration{quantile="0.5"} `, `signing_bls_signing_duration_count `,
		`signing_bls_missing_identifier_count `, `signing_bls_missing_identifier_count_total `,
		`signing_signers_loaded_count `,
		`http_bls_malformed_request_count `, `http_bls_malformed_request_count_total `,
		`eth2_slashingprotection_prevented_signings `, `eth2_slashingprotection_prevented_signings_total `,
		`process_release{`,
	} {
		if !strings.Contains(page, "\n"+sample) {
			t.Errorf("no sample %s", sample)
		}
	}
}

// TestTheFirstConflictIsAnIncrease of a counter that was there before.
func TestTheFirstConflictIsAnIncrease(t *testing.T) {
	page := scrape(t, telemetry.New("1.2.3", idle()))
	for _, sample := range []string{
		`secure_signer_refusals_total{kind="BLOCK_V2",reason="double_block"} 0`,
		`secure_signer_refusals_total{kind="ATTESTATION",reason="double_vote"} 0`,
		`secure_signer_refusals_total{kind="ATTESTATION",reason="surround_vote"} 0`,
	} {
		if !strings.Contains(page, "\n"+sample+"\n") {
			t.Errorf("before any refusal there is no sample %s", sample)
		}
	}
}

func alarms(t *testing.T) (expressions []string) {
	t.Helper()
	for _, e := range regexp.MustCompile(`(?m)^ +expr: (.*)$`).FindAllStringSubmatch(shipped(t, "prometheus", "alerts.yaml"), -1) {
		expressions = append(expressions, e[1])
	}
	return expressions
}

func panels(t *testing.T) (expressions []string) {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
	}
	if err := json.Unmarshal([]byte(shipped(t, "grafana", "secure-signer.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			expressions = append(expressions, target.Expr)
		}
	}
	return expressions
}

func shipped(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{"..", "..", "packaging"}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// metricsOf returns the names of metrics in an expression: what has an underscore and
// is neither a function, nor a label, nor a text; and up.
func metricsOf(expression string) (names []string) {
	bare := regexp.MustCompile(`\{[^}]*\}|\[[^]]*\]|\bby \([^)]*\)`).ReplaceAllString(expression, " ")
	for _, name := range regexp.MustCompile(`\b[a-z0-9_]+\b *\(?`).FindAllString(bare, -1) {
		if name = strings.TrimSpace(name); !strings.HasSuffix(name, "(") && (strings.Contains(name, "_") || name == "up") {
			names = append(names, name)
		}
	}
	return names
}

// histogramOf is the metric that a sample of a histogram belongs to.
func histogramOf(sample string) string {
	return regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(sample, "")
}
