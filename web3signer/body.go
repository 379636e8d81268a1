package web3signer

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/secure-signer/secure-signer/internal/httpjson"
)

const (
	// maxBody leaves room for the largest message there is: a Gloas envelope
	// holds a payload, up to 10 MiB on the gossip network and twice that as hex,
	// and its access list. Web3Signer stops at 10 MiB, which is too little.
	maxBody = 32 << 20

	// smallBody is enough for every other message of today's networks. Buffers
	// up to this size are kept for the next request.
	smallBody = 16 << 10

	// largeBodies is how much memory all buffers above smallBody may take
	// together; two bodies of the greatest size fit.
	largeBodies = 2 * (maxBody + 1)

	// largeTurns is how many of those are decoded and answered at a time. What
	// is decoded may take sixteen times as much as what was sent, and decoding
	// more at once than there are processors ends none of them earlier.
	largeTurns = 2
)

var errOverloaded = errors.New("too many large bodies at once")

// bodies reads bodies into memory and bounds what they take of it. A sender
// pays with bytes: what it only announces reserves nothing.
type bodies struct {
	small sync.Pool     // of *[]byte, capacity at most smallBody
	free  atomic.Int64  // of largeBodies
	turns chan struct{} // a token for each of largeTurns that is taken
}

func newBodies() *bodies {
	b := &bodies{turns: make(chan struct{}, largeTurns)}
	b.free.Store(largeBodies)
	return b
}

// read returns the body of r. It is valid until release is called, which must
// be called whatever the error. The error is a httpjson.Limit, errOverloaded
// or that of the connection.
func (b *bodies) read(r *http.Request) (body []byte, release func(), err error) {
	if r.ContentLength > maxBody {
		if r.Header.Get("Expect") == "" { // who asks first has sent nothing yet
			discard(r)
		}
		return nil, func() {}, httpjson.Limit(maxBody)
	}
	small, ok := b.small.Get().(*[]byte)
	if !ok {
		buffer := make([]byte, 0, smallBody/4)
		small = &buffer
	}
	buffer, large, turn := (*small)[:0], int64(0), 0
	release = func() {
		if large == 0 {
			*small = buffer
		}
		b.small.Put(small)
		b.free.Add(large)
		for range turn {
			<-b.turns
		}
	}
	for {
		n, err := r.Body.Read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		switch {
		case len(buffer) > maxBody:
			discard(r)
			return nil, release, httpjson.Limit(maxBody)
		case err == io.EOF && large > 0: // only what has come whole gets a turn: a slow sender would keep it
			b.turns <- struct{}{}
			turn++
			return buffer, release, nil
		case err == io.EOF:
			return buffer, release, nil
		case err != nil:
			return nil, release, fmt.Errorf("read body: %w", err)
		case len(buffer) < cap(buffer):
			continue
		}
		grown := min(2*cap(buffer), maxBody+1)
		if grown > smallBody {
			if !b.take(int64(grown) - large) {
				discard(r)
				return nil, release, errOverloaded
			}
			large = int64(grown)
		}
		buffer = append(make([]byte, 0, grown), buffer...)
	}
}

// discard reads on, within reason: a client that is still sending when the
// connection closes sees it reset, and not the answer that says why.
func discard(r *http.Request) { _, _ = io.CopyN(io.Discard, r.Body, maxBody) }

// take reserves n bytes, or says that there are not enough.
func (b *bodies) take(n int64) bool {
	if b.free.Add(-n) < 0 {
		b.free.Add(n)
		return false
	}
	return true
}
