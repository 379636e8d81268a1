package telemetry_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/secure-signer/secure-signer/admission"
	"github.com/secure-signer/secure-signer/internal/telemetry"
)

func TestTheQueueIsOnThePage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := telemetry.New("", idle())
		gate := m.Gate(admission.Config{InFlight: 1})
		enter := func() {
			if err := gate.Enter(t.Context(), admission.Votes, time.Now()); err != nil {
				t.Error(err)
			}
		}
		enter()
		go enter()
		time.Sleep(30 * time.Millisecond)
		wantLines(t, scrape(t, m),
			`secure_signer_queue_length{class="vote"} 1`,
			`secure_signer_queue_length{class="proposal"} 0`,
			`secure_signer_queue_wait_seconds_count{class="vote"} 1`)

		gate.Leave()
		synctest.Wait()
		wantLines(t, scrape(t, m),
			`secure_signer_queue_length{class="vote"} 0`,
			`secure_signer_queue_wait_seconds_bucket{class="vote",le="0.02"} 1`,
			`secure_signer_queue_wait_seconds_bucket{class="vote",le="0.05"} 2`)
	})
}

func wantLines(t *testing.T, page string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(page, line+"\n") {
			t.Errorf("the page lacks %s", line)
		}
	}
}
