package http_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

func TestARestartKeepsEveryWatermark(t *testing.T) {
	t.Parallel()
	key := interop.New(0)
	f := initMainnet(t)
	d := serveKeys(t, f, []interop.Key{key}, unbound...)
	vote := mustSign(t, d, key, attestation(10, 20, 1))
	proposal := mustSign(t, d, key, block(640, 1))
	if code := d.Stop(); code != 0 {
		t.Fatalf("SIGTERM: exit %d\n%s", code, ending(d))
	}

	d = daemon.Serve(t, f, unbound...)
	mustRefuse(t, d, key, attestation(10, 20, 2), http.StatusPreconditionFailed, "double_vote")
	mustRefuse(t, d, key, attestation(9, 21, 2), http.StatusPreconditionFailed, "surround_vote")
	mustRefuse(t, d, key, attestation(11, 19, 2), http.StatusPreconditionFailed, "below_watermark")
	mustRefuse(t, d, key, block(640, 2), http.StatusPreconditionFailed, "double_block")
	mustRefuse(t, d, key, block(639, 2), http.StatusPreconditionFailed, "below_watermark")
	if got := mustSign(t, d, key, attestation(10, 20, 1)); got != vote {
		t.Errorf("the same vote again: %s, want %s", got, vote)
	}
	if got := mustSign(t, d, key, block(640, 1)); got != proposal {
		t.Errorf("the same block again: %s, want %s", got, proposal)
	}
	mustSign(t, d, key, attestation(20, 21, 2))
	mustSign(t, d, key, block(641, 2))
}

func TestARequestInFlightIsFinishedAfterSIGTERM(t *testing.T) {
	t.Parallel()
	key := interop.New(0)
	d := serveKeys(t, initMainnet(t), []interop.Key{key}, unbound...)
	request := hold(t, d, key, attestation(1, 2, 1))
	d.Terminate()
	waitFor(t, "the daemon begins to stop", func() bool { return strings.Contains(d.Log(), "stopping") })
	if answer := request.finish(t); answer.Status != http.StatusOK {
		t.Errorf("the request in flight: %+v", answer)
	}
	if code := d.Wait(); code != 0 {
		t.Errorf("exit %d\n%s", code, ending(d))
	}
}

// TestWhatWasRecordedBeforeSIGTERMWasAnswered stops the daemon under load. A
// message that was not answered was not recorded either: after a restart one
// that conflicts with it is signed.
func TestWhatWasRecordedBeforeSIGTERMWasAnswered(t *testing.T) {
	t.Parallel()
	const clients, enough = 8, 200
	keys := interop.Keys(clients)
	f := initMainnet(t)
	d := serveKeys(t, f, keys, unbound...)

	var signed atomic.Int64
	var running sync.WaitGroup
	unanswered := make([]uint64, clients) // the first epoch of each key that was not signed
	for i, key := range keys {
		running.Go(func() {
			for epoch := uint64(1); ; epoch++ {
				answer, err := d.Sign(key.Public, []byte(attestation(epoch-1, epoch, 1)))
				if err != nil || answer.Status != http.StatusOK {
					if err == nil && answer.Reason() != "shutting_down" {
						t.Errorf("refused while stopping: %+v", answer)
					}
					unanswered[i] = epoch
					return
				}
				if signed.Add(1) == enough {
					d.Terminate()
				}
			}
		})
	}
	running.Wait()
	if code := d.Wait(); code != 0 {
		t.Fatalf("exit %d\n%s", code, ending(d))
	}

	d = daemon.Serve(t, f, unbound...)
	held := 0
	for i, key := range keys {
		last := unanswered[i] - 1
		if last > 0 {
			held++
			mustRefuse(t, d, key, attestation(last-1, last, 2), http.StatusPreconditionFailed, "double_vote")
		}
		mustSign(t, d, key, attestation(last, last+1, 2))
	}
	if held == 0 {
		t.Error("no client had anything signed")
	}
	t.Logf("%d signatures before the stop; %d of %d clients had some", signed.Load(), held, clients)
}
