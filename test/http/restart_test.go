package http_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

func TestARestartKeepsEveryWatermark(t *testing.T) {
	t.Parallel()
	key := interop.New(0)
	f := daemon.Init(t, mainnet)
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

// TestARequestInFlightIsFinishedAfterSIGTERM stops the daemon while it reads a
// body of which it has half.
func TestARequestInFlightIsFinishedAfterSIGTERM(t *testing.T) {
	t.Parallel()
	key := interop.New(0)
	d := serveKeys(t, daemon.Init(t, mainnet), []interop.Key{key}, unbound...)
	body := attestation(1, 2, 1)
	reader, writer := io.Pipe()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.URL+"/api/v1/eth2/sign/"+key.Hex(), reader)
	if err != nil {
		t.Fatal(err)
	}
	// The transport reads the pipe when the server asks for the body, and the
	// server asks when the request is in flight there.
	request.Header.Set("Expect", "100-continue")
	client := http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Hour}}
	type outcome struct {
		status int
		err    error
	}
	answered := make(chan outcome, 1)
	go func() {
		response, err := client.Do(request)
		if err != nil {
			reader.CloseWithError(err) // lets the writer go on
			answered <- outcome{err: err}
			return
		}
		response.Body.Close()
		answered <- outcome{status: response.StatusCode}
	}()
	if _, err := io.WriteString(writer, body[:len(body)/2]); err != nil {
		t.Fatal(err)
	}
	d.Terminate()
	waitFor(t, "the daemon begins to stop", func() bool { return strings.Contains(d.Log(), "stopping") })
	select {
	case <-d.Ended():
		t.Fatalf("the daemon ended with a request in flight\n%s", ending(d))
	default:
	}
	if _, err := io.WriteString(writer, body[len(body)/2:]); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	if got := <-answered; got.err != nil || got.status != http.StatusOK {
		t.Errorf("the request in flight: %d, %v", got.status, got.err)
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
	f := daemon.Init(t, mainnet)
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

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}
