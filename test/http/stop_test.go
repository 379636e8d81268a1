package http_test

import (
	"testing"

	"github.com/secure-signer/secure-signer/test/internal/interop"
)

// TestAClientThatNeverFinishesItsRequestDoesNotMakeAStopAFailure: a supervisor
// was told of a failure whenever one client had stalled in the middle.
func TestAClientThatNeverFinishesItsRequestDoesNotMakeAStopAFailure(t *testing.T) {
	t.Parallel()
	key := interop.New(0)
	d := serveKeys(t, initMainnet(t), []interop.Key{key})
	stalled := hold(t, d, key, attestation(1, 2, 1))
	if code := d.Stop(); code != 0 {
		t.Errorf("SIGTERM: exit %d, want 0\n%s", code, ending(d))
	}
	stalled.body.Close() // the transport waits for it, although the connection has gone
	if got := <-stalled.outcome; got.err == nil {
		t.Errorf("half a request was answered: %+v", got.answer)
	}
}
