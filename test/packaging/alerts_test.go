package packaging_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestTheAlarmsSound has Prometheus' own tool read the rules and play the cases of
// alerts_test.yaml.
func TestTheAlarmsSound(t *testing.T) {
	promtool := filepath.Join(root(t), ".cache", "prometheus", "usr", "bin", "promtool") // of scripts/setup-test.sh
	if _, err := os.Stat(promtool); err != nil {
		promtool = "promtool"
		need(t, promtool)
	}
	for _, args := range [][]string{
		{"check", "rules", "--lint-fatal", "alerts.yaml"},
		{"check", "config", "scrape.yaml"},
		{"test", "rules", "alerts_test.yaml"},
	} {
		cmd := exec.Command(promtool, args...)
		cmd.Dir = filepath.Join(root(t), "packaging", "prometheus")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}
