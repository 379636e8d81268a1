package telemetry_test

import (
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/telemetry"
	"github.com/secure-signer/secure-signer/signer"
)

// parts is a guard and keys that answer what they are told.
type parts struct{ err error }

func (p parts) Record(context.Context, bls.PublicKey, eth2.Message, eth2.Root) error { return p.err }
func (p parts) Key(bls.PublicKey) (*bls.Key, bool)                                   { return new(bls.Key), true }
func (p parts) Sign(context.Context, *bls.Key, [32]byte) (bls.Signature, error) {
	return bls.Signature{1}, p.err
}
func (p parts) SignFirst(context.Context, *bls.Key, [32]byte) (bls.Signature, error) {
	return bls.Signature{2}, p.err
}

// idle is the state of a signer with four keys, of which one is not in service, and
// a store that has flushed three times.
func idle() telemetry.State {
	return telemetry.State{
		KeysLoaded: func() int { return 3 }, KeysHeld: func() int { return 4 },
		Ready: func() bool { return true }, StoreUp: func() bool { return true },
		Store: func() telemetry.Store {
			s := telemetry.Store{Keys: 5, FileBytes: 4096, Flushes: 3, Records: 7, Snapshots: 1, Flushing: 5 * time.Second, LongestPause: 20 * time.Millisecond}
			s.FlushTimes[10], s.FlushTimes[11], s.FlushTimes[22] = 1, 1, 1 // of some 700 µs, some 1.5 ms, and 4.998 s
			return s
		},
		Horizon: func() telemetry.Horizon { return telemetry.Horizon{Owned: true, LastEpoch: 77, Claims: 6, Failed: 2} },
		Audit:   func() telemetry.Audit { return telemetry.Audit{Entries: 9, Waiting: 4, Unlogged: 1, Failures: 2} },
	}
}

func scrape(t *testing.T, m *telemetry.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	page, err := io.ReadAll(w.Result().Body)
	if err != nil || w.Code != 200 {
		t.Fatalf("scrape: %d, %v\n%s", w.Code, err, page)
	}
	return string(page)
}

func TestWhatHappenedIsOnThePage(t *testing.T) {
	up := true
	state := idle()
	state.StoreUp = func() bool { return up }
	m := telemetry.New("1.2.3", state)
	m.Observe(eth2.KindAttestation, "", 300*time.Microsecond)
	m.Observe(eth2.KindAttestation, "", 300*time.Microsecond)
	m.Observe(eth2.KindBlock, signer.ReasonDoubleBlock, time.Millisecond)
	m.Observe(eth2.KindRandaoReveal, signer.ReasonKeyNotFound, time.Millisecond)
	m.Observe(0, signer.ReasonMalformedRequest, time.Millisecond)
	m.UnknownFork()

	page := scrape(t, m)
	for _, line := range []string{
		`secure_signer_request_duration_seconds_count{kind="ATTESTATION",outcome="signed"} 2`,
		`secure_signer_request_duration_seconds_bucket{kind="ATTESTATION",outcome="signed",le="0.0002"} 0`,
		`secure_signer_request_duration_seconds_bucket{kind="ATTESTATION",outcome="signed",le="0.00035"} 2`,
		`secure_signer_request_duration_seconds_count{kind="BLOCK_V2",outcome="refused"} 1`,
		`secure_signer_refusals_total{kind="BLOCK_V2",reason="double_block"} 1`,
		`secure_signer_refusals_total{kind="unknown",reason="malformed_request"} 1`,
		`secure_signer_keys_loaded 3`,
		`secure_signer_keys_held 4`,
		`secure_signer_ready 1`,
		`secure_signer_store_up 1`,
		`secure_signer_store_records 5`,
		`secure_signer_store_file_bytes 4096`,
		`secure_signer_store_changes_total 7`,
		`secure_signer_store_snapshots_total 1`,
		`secure_signer_store_longest_pause_seconds 0.02`,
		`secure_signer_store_flush_duration_seconds_bucket{le="0.000512"} 0`,
		`secure_signer_store_flush_duration_seconds_bucket{le="0.001024"} 1`,
		`secure_signer_store_flush_duration_seconds_bucket{le="0.002048"} 2`,
		`secure_signer_store_flush_duration_seconds_bucket{le="2.097152"} 2`,
		`secure_signer_store_flush_duration_seconds_bucket{le="+Inf"} 3`,
		`secure_signer_store_flush_duration_seconds_sum 5`,
		`secure_signer_unknown_fork_signed_total 1`,
		`secure_signer_horizon_owned 1`,
		`secure_signer_horizon_last_owned_epoch 77`,
		`secure_signer_horizon_claims_total{result="owned"} 6`,
		`secure_signer_horizon_claims_total{result="failed"} 2`,

		// Web3Signer's names, with and without the suffix that dashboards leave out.
		`process_release{version="1.2.3"} 1`,
		`signing_bls_signing_duration_count 2`,
		`signing_signers_loaded_count 3`,
		`signing_bls_missing_identifier_count 1`,
		`signing_bls_missing_identifier_count_total 1`,
		`http_bls_malformed_request_count 1`,
		`http_bls_malformed_request_count_total 1`,
		`eth2_slashingprotection_permitted_signings_total 2`,
		`eth2_slashingprotection_prevented_signings 1`,
		`eth2_slashingprotection_prevented_signings_total 1`,
	} {
		if !strings.Contains(page, line+"\n") {
			t.Errorf("the page lacks %s", line)
		}
	}
	if !strings.Contains(page, `signing_bls_signing_duration{quantile="0.5"} 0.000275`) {
		t.Errorf("the median of two samples in the bucket from 0.2 to 0.35 ms is not its middle:\n%s", page)
	}

	up = false
	if page := scrape(t, m); !strings.Contains(page, "secure_signer_store_up 0\n") {
		t.Error("a failed store is not on the page")
	}
	state.Horizon = nil
	if page := scrape(t, telemetry.New("", state)); strings.Contains(page, "horizon") {
		t.Error("a signer without a horizon shows one")
	}
}

func TestCommitsAndSignaturesAreTimedApart(t *testing.T) {
	m := telemetry.New("", idle())
	full := errors.New("disk full")
	guard, keys := m.Guard(parts{full}), m.Keys(parts{full})
	for _, message := range []eth2.Message{&eth2.Attestation{}, &eth2.Block{}, &eth2.RandaoReveal{}} {
		if err := guard.Record(t.Context(), bls.PublicKey{}, message, eth2.Root{}); !errors.Is(err, full) {
			t.Errorf("the guard's error became %v", err)
		}
	}
	if sig, err := keys.Sign(t.Context(), nil, [32]byte{}); !errors.Is(err, full) || sig != (bls.Signature{1}) {
		t.Errorf("the keys' answer became %v, %v", sig, err)
	}
	if sig, err := keys.SignFirst(t.Context(), nil, [32]byte{}); !errors.Is(err, full) || sig != (bls.Signature{2}) {
		t.Errorf("the keys' answer to what is urgent became %v, %v", sig, err)
	}
	if _, ok := keys.Key(bls.PublicKey{}); !ok {
		t.Error("the keys' look-up is lost")
	}
	page := scrape(t, m)
	for _, line := range []string{
		"secure_signer_commit_duration_seconds_count 2\n", // a randao reveal has no record
		"secure_signer_sign_duration_seconds_count 2\n",
	} {
		if !strings.Contains(page, line) {
			t.Errorf("the page lacks %s", line)
		}
	}
}
