package witness

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/secure-signer/secure-signer/record"
)

// path is where a witness is asked, below its address.
const path = "/witness/v1"

// A Server is one witness, an http.Handler. Two servers must never share a key.
type Server struct {
	Key   ed25519.PrivateKey
	Store record.Store // whose last change before a crash may be lost, and no earlier one
	Log   *slog.Logger
}

// maxInWork bounds the requests that are in work at a time. Each costs two
// signatures and two writes at most, and its size is fixed. One that has not come to
// its end yet is in nobody's way.
const maxInWork = 64

// writeTime bounds a write that has begun: it is finished although who asked for
// it has gone.
const writeTime = 10 * time.Second

// Handler returns the routes of the witness.
func (s *Server) Handler() http.Handler {
	room := make(chan struct{}, maxInWork)
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, requestSize))
		if err != nil {
			http.Error(w, "a request that cannot be read to its end", http.StatusBadRequest)
			return
		}
		select {
		case room <- struct{}{}:
			defer func() { <-room }()
			s.serve(r.Context(), w, body)
		default:
			http.Error(w, "this witness has too much to do: ask again", http.StatusServiceUnavailable)
		}
	})
	return mux
}

func (s *Server) serve(ctx context.Context, w http.ResponseWriter, body []byte) {
	asked, err := readRequest(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTime)
	defer cancel()
	held, err := s.offer(ctx, asked)
	switch {
	case errors.Is(err, record.ErrNotFound):
		http.Error(w, fmt.Sprintf("this witness does not know the signer: its operator lets it in by: secure-signer witness enrol --signer 0x%x", asked.signer), http.StatusForbidden)
	case err != nil:
		s.Log.Error("a request was not answered", "signer", shown(asked.signer[:]), "counter", asked.counter.String(), "error", err)
		http.Error(w, "this witness cannot write: its operator finds the reason in its log", http.StatusServiceUnavailable)
	default:
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write(asked.answer(s.Key, held)) // the signer has gone: it takes this for no answer
	}
}

// offer takes a claim that is above the one that is held, and returns the one
// that is held then.
//
// Each claim is written twice, and only the second time makes it one to answer
// with. A store that finds its last record torn after a power cut opens without
// it and cannot tell what it held (journal.Store.Unsettled): what is lost so
// was never answered with.
func (s *Server) offer(ctx context.Context, r request) (claim, error) {
	key := recordKey(r.counter, r.signer[:])
	for {
		rec, err := s.Store.Load(ctx, key)
		if err != nil {
			return claim{}, err
		}
		held, settled, err := readRecord(rec.Value)
		if err != nil {
			return claim{}, err
		}
		var next []byte
		switch {
		case r.claim.n > held.n:
			next = encodeRecord(r.claim, false)
		case !settled:
			next = encodeRecord(held, true)
		default:
			s.say(r, held)
			return held, nil
		}
		if err := s.Store.Replace(ctx, key, rec.Version, next); err != nil && !errors.Is(err, record.ErrConflict) {
			return claim{}, err
		}
	}
}

func (s *Server) say(r request, held claim) {
	signer := slog.String("signer", shown(r.signer[:]))
	switch {
	case r.claim.n == 0:
		s.Log.Debug("read", signer, "counter", r.counter.String(), "at", held.n)
	case r.claim == held:
		s.Log.Info("claimed", signer, "counter", r.counter.String(), "at", held.n)
	default:
		s.Log.Info("not claimed: another claim was earlier", signer, "counter", r.counter.String(), "asked", r.claim.n, "at", held.n)
	}
}

// shown is enough of a key to know it by.
func shown(key []byte) string { return fmt.Sprintf("%x", key[:8]) }

// Enrol makes a signer known to the witness whose store this is, with both of
// its counters at 0. It returns an error that wraps record.ErrExists if it is
// known already, and changes nothing then.
func Enrol(ctx context.Context, store record.Store, signer ed25519.PublicKey) error {
	// The epochs come last: where they are both are, and an enrolment that was cut
	// off is finished by the next.
	for _, c := range []counter{stops, epochs} {
		err := store.Create(ctx, recordKey(c, signer), encodeRecord(claim{}, true))
		if err != nil && (c == epochs || !errors.Is(err, record.ErrExists)) {
			return fmt.Errorf("enrol signer %x: %w", []byte(signer), err)
		}
	}
	return nil
}

// Signers returns those that are enrolled.
func Signers(ctx context.Context, store record.Store) ([]ed25519.PublicKey, error) {
	var signers []ed25519.PublicKey
	for entry, err := range store.List(ctx) {
		if err != nil {
			return nil, fmt.Errorf("list the signers: %w", err)
		}
		digits, ok := strings.CutPrefix(string(entry.Key), recordPrefix(epochs))
		if !ok {
			continue
		}
		signer, err := ParseKey(digits)
		if err != nil {
			return nil, fmt.Errorf("list the signers: %w", err)
		}
		signers = append(signers, signer)
	}
	return signers, nil
}

func recordPrefix(c counter) string { return c.String() + "/" }

func recordKey(c counter, signer ed25519.PublicKey) record.Key {
	return record.Key(fmt.Sprintf("%s%x", recordPrefix(c), []byte(signer)))
}
