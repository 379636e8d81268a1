package web3signer

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/internal/httpjson"
)

// zeros is a body of any length.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func bodyRequest(r io.Reader) *http.Request {
	return httptest.NewRequest(http.MethodPost, "/", r)
}

func TestBodiesOfEverySizeAreReadWhole(t *testing.T) {
	b := newBodies()
	for _, size := range []int{0, 1, smallBody/4 - 1, smallBody / 4, smallBody/4 + 1, smallBody, smallBody + 1, 1 << 20, maxBody - 1, maxBody} {
		sent := strings.Repeat("x", size)
		got, release, err := b.read(bodyRequest(strings.NewReader(sent)))
		if err != nil || string(got) != sent {
			t.Errorf("%d bytes: got %d, %v", size, len(got), err)
		}
		if taken := largeBodies - b.free.Load(); (taken > 0) != (size >= smallBody) || taken > 2*int64(size)+1 {
			t.Errorf("%d bytes took %d", size, taken)
		}
		release()
		if b.free.Load() != largeBodies {
			t.Fatalf("%d bytes: %d not given back", size, largeBodies-b.free.Load())
		}
	}
}

func TestBodiesThatAreTooLarge(t *testing.T) {
	b := newBodies()
	announced := bodyRequest(io.LimitReader(zeros{}, 10))
	announced.ContentLength = maxBody + 1
	for name, r := range map[string]*http.Request{
		"announced":      announced,
		"by one byte":    bodyRequest(io.LimitReader(zeros{}, maxBody+1)),
		"without an end": bodyRequest(zeros{}),
	} {
		_, release, err := b.read(r)
		if limit := httpjson.Limit(0); !errors.As(err, &limit) || limit != maxBody {
			t.Errorf("%s: %v", name, err)
		}
		if release(); b.free.Load() != largeBodies {
			t.Fatalf("%s: %d not given back", name, largeBodies-b.free.Load())
		}
	}
}

// TestLargeBodiesShareWhatThereIs: what one sender holds another cannot take,
// and small bodies pass all the same.
func TestLargeBodiesShareWhatThereIs(t *testing.T) {
	r := newRig(t, mainnet(t), 1)
	large := strings.Repeat(" ", 1<<20) + samples()["RANDAO_REVEAL"]
	r.bodies.free.Store(1 << 20)
	wantRefused(t, r.post(large), http.StatusServiceUnavailable, "overloaded")
	signatureIn(t, r.post(samples()["RANDAO_REVEAL"]))
	if got := r.bodies.free.Load(); got != 1<<20 {
		t.Fatalf("%d bytes not given back", 1<<20-got)
	}
	r.bodies.free.Store(largeBodies)
	signatureIn(t, r.post(large))
}

// TestLargeBodiesTakeTurns: many of them, decoded at once, took ten times what
// they may hold together.
func TestLargeBodiesTakeTurns(t *testing.T) {
	b := newBodies()
	read := func(size int) (release func()) {
		_, release, err := b.read(bodyRequest(strings.NewReader(strings.Repeat("x", size))))
		if err != nil {
			t.Fatal(err)
		}
		return release
	}
	var held []func()
	for range largeTurns {
		held = append(held, read(smallBody+1))
	}
	read(smallBody - 1)() // small ones need no turn

	next := make(chan func())
	go func() { next <- read(smallBody + 1) }()
	select {
	case <-next:
		t.Fatalf("%d large bodies at a time", largeTurns+1)
	case <-time.After(50 * time.Millisecond):
	}
	held[0]()
	held[0] = <-next
	for _, release := range held {
		release()
	}
	if len(b.turns) != 0 || b.free.Load() != largeBodies {
		t.Errorf("%d turns and %d bytes not given back", len(b.turns), largeBodies-b.free.Load())
	}
}

func TestABodyThatIsTooLargeIsToldSo(t *testing.T) {
	r := newRig(t, mainnet(t), 1)
	wantRefused(t, r.post(strings.Repeat(" ", maxBody+1)), http.StatusRequestEntityTooLarge, "body_too_large")
}

// TestTheAnswerReachesWhoeverIsStillSending, over a real connection.
func TestTheAnswerReachesWhoeverIsStillSending(t *testing.T) {
	r := newRig(t, mainnet(t), 1)
	s := httptest.NewServer(r)
	defer s.Close()
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// A simple client: it reads nothing before it has sent everything.
	if _, err := fmt.Fprintf(conn, "POST /api/v1/eth2/sign/%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", pubkey0, maxBody+1); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(conn, zeros{}, maxBody+1); err != nil {
		t.Fatalf("while sending: %v", err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("got %d", resp.StatusCode)
	}
}

// TestBuffersAreKeptAndDoNotMix: a buffer that comes back holds another body.
func TestBuffersAreKeptAndDoNotMix(t *testing.T) {
	b := newBodies()
	for _, sent := range []string{"first, and longer", "second"} {
		got, release, err := b.read(bodyRequest(strings.NewReader(sent)))
		if err != nil || string(got) != sent {
			t.Errorf("got %q, %v", got, err)
		}
		release()
	}
}
