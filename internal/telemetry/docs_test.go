package telemetry_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/admission"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/telemetry"
	"github.com/secure-signer/secure-signer/signer"
)

// TestEveryMetricIsDocumentedAndNoOther compares the page with docs/metrics.md:
// names, types and labels.
func TestEveryMetricIsDocumentedAndNoOther(t *testing.T) {
	m := telemetry.New("1.2.3", idle())
	gate := m.Gate(admission.Config{})
	if err := gate.Enter(t.Context(), admission.Votes, time.Now()); err != nil {
		t.Fatal(err)
	}
	gate.Leave()
	m.Observe(eth2.KindAttestation, "", time.Millisecond)
	m.Observe(eth2.KindAttestation, signer.ReasonDoubleVote, time.Millisecond)
	if diff := cmp.Diff(documented(t), onPage(scrape(t, m))); diff != "" {
		t.Errorf("docs/metrics.md and the page differ (-documented +served):\n%s", diff)
	}
}

// onPage returns "type labels" by name. Go's runtime and the process's own figures
// are the client library's to document.
func onPage(page string) map[string]string {
	sample := regexp.MustCompile(`(?m)^([a-z0-9_]+?)(_bucket|_sum|_count)?(?:\{([^}]*)\})? `)
	label := regexp.MustCompile(`(\w+)="`)
	found := map[string]string{}
	labels := map[string]map[string]bool{}
	for _, line := range regexp.MustCompile(`(?m)^# TYPE (\S+) (\S+)$`).FindAllStringSubmatch(page, -1) {
		name := line[1]
		if strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_") && name != "process_release" {
			continue
		}
		found[name], labels[name] = line[2], map[string]bool{}
	}
	for _, s := range sample.FindAllStringSubmatch(page, -1) {
		of := labels[s[1]+s[2]]
		if of == nil {
			of = labels[s[1]]
		}
		for _, l := range label.FindAllStringSubmatch(s[3], -1) {
			if of != nil && l[1] != "le" && l[1] != "quantile" {
				of[l[1]] = true
			}
		}
	}
	for name, kind := range found {
		found[name] = strings.TrimSpace(kind + " " + strings.Join(slices.Sorted(maps.Keys(labels[name])), ","))
	}
	return found
}

// documented reads the rows | `name` | type | `label`, `label` | … |.
func documented(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` \\| (\\w+) \\| ([^|]*) \\|").FindAllStringSubmatch(string(text), -1)
	found := map[string]string{}
	for _, row := range rows {
		labels := strings.Split(strings.NewReplacer("`", "", " ", "", "–", "").Replace(row[3]), ",")
		slices.Sort(labels)
		if _, twice := found[row[1]]; twice {
			t.Errorf("%s is documented twice", row[1])
		}
		found[row[1]] = strings.TrimSpace(row[2] + " " + strings.Join(labels, ","))
	}
	return found
}
