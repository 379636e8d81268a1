package http_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

func TestAWrongCallExitsTwoAndNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "data")
	serve := []string{"serve", "--data-dir", folder}
	tests := []struct {
		name string
		args []string
		says string
	}{
		{"an unknown command", []string{"sign"}, "sign"},
		{"an unknown flag of init", []string{"init", "--data-dir", folder, "--colour", "blue"}, "--colour"},
		{"an unknown flag of serve", append(serve, "--slashing-protection", "off"), "--slashing-protection"},
		{"a flag without its value", append(serve, "--passphrase-file"), "--passphrase-file"},
		{"a port that is none", append(serve, "--http-listen-port", "99999"), "http-listen-port"},
		{"a metrics port that is a word", append(serve, "--metrics-listen-port", "http"), "metrics-listen-port"},
		{"an allowed type that needs no allowing", append(serve, "--allow", "BLOCK_V2"), "--allow"},
		{"an allowed type beside one that is none", append(serve, "--allow", "DEPOSIT,EXIT"), "--allow"},
		{"a floor that is none", append(serve, "--new-key-floor", "0"), "--new-key-floor"},
		{"a number of epochs below zero", append(serve, "--max-future-epochs", "-1"), "--max-future-epochs"},
		{"a number of epochs past all bounds", append(serve, "--max-future-epochs", "18446744073709551616"), "--max-future-epochs"},
		{"no folder", []string{"serve"}, "--data-dir"},
		{"no network", []string{"init", "--data-dir", folder}, "--network"},
		{"an unknown network", []string{"init", "--data-dir", folder, "--network", "houdini"}, "houdini"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			code, stdout, stderr := daemon.Run(t, test.args...)
			if code != 2 || !strings.Contains(stderr, test.says) || stdout != "" {
				t.Errorf("exit %d, want 2 and %q\n%s%s", code, test.says, stdout, stderr)
			}
		})
	}
}

// TestAFlagWinsOverTheEnvironmentAndThatOverTheFile sets each of three settings
// in one place more than the last. It cannot run beside others: the environment
// is theirs, too.
func TestAFlagWinsOverTheEnvironmentAndThatOverTheFile(t *testing.T) {
	f, key := initMainnet(t), interop.New(0)
	settings := filepath.Join(t.TempDir(), "settings.yaml")
	write(t, settings, []byte("new-key-floor: none\nallow: [DEPOSIT]\nmax-future-epochs: 1\n"))
	t.Setenv("SECURE_SIGNER_CONFIG", settings)
	t.Setenv("SECURE_SIGNER_ALLOW", "VOLUNTARY_EXIT")
	t.Setenv("SECURE_SIGNER_MAX_FUTURE_EPOCHS", "5")

	d := serveKeys(t, f, []interop.Key{key})
	mustSign(t, d, key, attestation(1, 2, 1)) // new-key-floor: the file's
	mustSign(t, d, key, exit(3))              // allow: the environment's
	mustRefuse(t, d, key, deposit(key.Hex()), http.StatusForbidden, "kind_not_allowed")
	mustSign(t, d, key, attestation(3, clockEpoch()+4, 1)) // max-future-epochs: the environment's
	mustRefuse(t, d, key, attestation(4, clockEpoch()+8, 1), http.StatusPreconditionFailed, "too_far_future")
	if code := d.Stop(); code != 0 {
		t.Fatalf("exit %d\n%s", code, ending(d))
	}

	d = daemon.Serve(t, f, "--max-future-epochs", "off", "--allow", "DEPOSIT")
	mustSign(t, d, key, attestation(4, clockEpoch()+8, 1))
	mustSign(t, d, key, deposit(key.Hex()))
	mustRefuse(t, d, key, exit(3), http.StatusForbidden, "kind_not_allowed")
}

// TestTheDefaultsAreSafe: what moves stake, what lies in the past of a key that
// arrived, and what lies in the future are refused, and nothing else.
func TestTheDefaultsAreSafe(t *testing.T) {
	t.Parallel()
	key := interop.New(0)
	d := serveKeys(t, initMainnet(t), []interop.Key{key})
	for kind, body := range map[string]string{"DEPOSIT": deposit(key.Hex()), "VOLUNTARY_EXIT": exit(3)} {
		flag := "--allow " + kind
		for _, spelling := range []string{body, strings.Replace(body, kind, strings.ToLower(kind), 1)} {
			answer := mustRefuse(t, d, key, spelling, http.StatusForbidden, "kind_not_allowed")
			if !strings.Contains(answer.Body, flag) {
				t.Errorf("the refusal does not name %q: %s", flag, answer.Body)
			}
		}
	}
	now := clockEpoch()
	mustRefuse(t, d, key, attestation(now-2, now-1, 1), http.StatusPreconditionFailed, "below_floor")
	mustRefuse(t, d, key, block((now-1)*32, 1), http.StatusPreconditionFailed, "below_floor")
	mustRefuse(t, d, key, attestation(now, now+9, 1), http.StatusPreconditionFailed, "too_far_future")
	mustRefuse(t, d, key, block((now+9)*32, 1), http.StatusPreconditionFailed, "too_far_future")
	mustSign(t, d, key, randao(now))
	mustSign(t, d, key, attestation(now, now+1, 1))
}
