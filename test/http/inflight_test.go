package http_test

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

// A held request is in flight: the daemon waits for the rest of its body.
type held struct {
	body    *io.PipeWriter
	rest    string
	outcome chan outcome
}

type outcome struct {
	answer daemon.Answer
	err    error
}

// hold sends the first half of a request. It returns when the daemon reads it:
// the transport begins to read the pipe when the server has asked for the body.
func hold(t *testing.T, d *daemon.Daemon, key interop.Key, body string) held {
	t.Helper()
	reader, writer := io.Pipe()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.URL+"/api/v1/eth2/sign/"+key.Hex(), reader)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Expect", "100-continue")
	h := held{body: writer, rest: body[len(body)/2:], outcome: make(chan outcome, 1)}
	go func() {
		answer, err := do(&http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Hour}}, request)
		reader.CloseWithError(io.ErrClosedPipe) // lets the writer go on, whatever became of the request
		h.outcome <- outcome{answer, err}
	}()
	if _, err := io.WriteString(writer, body[:len(body)/2]); err != nil {
		t.Fatalf("the first half: %v, %+v", err, <-h.outcome)
	}
	return h
}

// finish sends the rest and returns the answer.
func (h held) finish(t *testing.T) daemon.Answer {
	t.Helper()
	if _, err := io.WriteString(h.body, h.rest); err != nil {
		t.Fatalf("the second half: %v, %+v", err, <-h.outcome)
	}
	h.body.Close()
	got := <-h.outcome
	if got.err != nil {
		t.Fatalf("a request in flight was not answered: %v", got.err)
	}
	return got.answer
}

func do(client *http.Client, request *http.Request) (daemon.Answer, error) {
	response, err := client.Do(request)
	if err != nil {
		return daemon.Answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return daemon.Answer{Status: response.StatusCode, ContentType: response.Header.Get("Content-Type"), Body: string(text)}, err
}

// waitTime is far beyond what anything here needs on a machine and a disk that are
// busy with something else.
const waitTime = 3 * time.Minute

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(waitTime); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}
