package management

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/httpjson"
	"github.com/secure-signer/secure-signer/signer"
)

// patience is how long a client may take for one piece of a file, which may be of
// any length as a whole.
const patience = time.Minute

// exportHistory answers with an interchange. Once its first piece is on its way
// an error can only break the connection off: the client must not take half a
// history for a whole one.
func (h *handler) exportHistory(w http.ResponseWriter, r *http.Request) {
	only, err := h.wanted(r)
	if err != nil {
		var malformed *malformedKey
		if errors.As(err, &malformed) {
			httpjson.WriteError(w, http.StatusBadRequest, httpjson.ReasonMalformedRequest, err.Error())
		} else {
			writeStateError(w, err)
		}
		return
	}
	out := &outgoing{ResponseWriter: w}
	w.Header().Set("Content-Type", "application/json")
	pieces := bufio.NewWriterSize(out, 64<<10)
	err = h.Guard.Export(r.Context(), pieces, only)
	if err == nil {
		err = pieces.Flush()
	}
	switch {
	case err == nil:
	case !out.begun:
		h.Log.Error("history not exported", "error", err)
		writeStateError(w, err)
	default:
		h.Log.Error("export of history broken off", "error", err)
		panic(http.ErrAbortHandler)
	}
}

// A malformedKey is a ?pubkey= that is none.
type malformedKey struct{ err error }

func (m *malformedKey) Error() string { return "pubkey: " + m.err.Error() }

// wanted returns which keys a request names, or nil for all. One of which nothing
// is known is an error: an interchange without it would pass for an answer.
func (h *handler) wanted(r *http.Request) (func(bls.PublicKey) bool, error) {
	names, given := r.URL.Query()["pubkey"]
	if !given {
		return nil, nil
	}
	only := make(map[bls.PublicKey]bool, len(names))
	for _, name := range names {
		var pub bls.PublicKey
		if err := pub.UnmarshalText([]byte(name)); err != nil {
			return nil, &malformedKey{err}
		}
		if _, err := h.Guard.State(r.Context(), pub); err != nil {
			return nil, err
		}
		only[pub] = true
	}
	return func(pub bls.PublicKey) bool { return only[pub] }, nil
}

// An outgoing gives its reader time for each piece, and knows of the first. The
// server's own limit began with the request: it is meant for slow clients, not for
// slow work.
type outgoing struct {
	http.ResponseWriter
	begun bool
}

func (o *outgoing) Write(p []byte) (int, error) {
	o.begun = true
	_ = http.NewResponseController(o.ResponseWriter).SetWriteDeadline(time.Now().Add(patience))
	return o.ResponseWriter.Write(p)
}

// A HistoryImported is the answer of POST /signer/v1/slashing, ascending.
type HistoryImported struct {
	Keys []HistoryOf `json:"keys"`
}

// A HistoryOf is what became of the history of one key.
type HistoryOf struct {
	Pubkey  bls.PublicKey `json:"pubkey"`
	Status  HistoryStatus `json:"status"`
	Message string        `json:"message,omitzero"`
}

// A HistoryStatus is the outcome for one key of an imported interchange.
type HistoryStatus string

// The statuses.
const (
	HistoryRaised  HistoryStatus = "raised"  // the key is held, and its floors are durable
	HistoryWaiting HistoryStatus = "waiting" // the same for a key that is not held: they wait for it
	HistoryError   HistoryStatus = "error"   // the floors may not be durable
)

// notImported is the body of an error after which some history may be durable.
type notImported struct {
	failure
	Keys []HistoryOf `json:"keys"`
}

// importHistory reads an interchange of any length as a stream. It makes nothing
// signable: floors rise, and history of keys that are not held waits for them.
func (h *handler) importHistory(w http.ResponseWriter, r *http.Request) {
	// A client that hangs up while the file is read has changed nothing; one that
	// does so later does not stop half way.
	ctx := context.WithoutCancel(r.Context())
	imported, err := h.Guard.Import(ctx, &incoming{r.Body, http.NewResponseController(w)}, nil)
	w = &outgoing{ResponseWriter: w}
	if imported == nil {
		h.Log.Warn("history not imported", "error", err)
		writeNotRead(w, err)
		return
	}
	held := h.held()
	keys := make([]HistoryOf, 0, len(imported))
	for pub, err := range imported {
		k := HistoryOf{Pubkey: pub, Status: HistoryWaiting}
		switch {
		case err != nil:
			k.Status, k.Message = HistoryError, err.Error()
		case held[pub]:
			k.Status = HistoryRaised
		}
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b HistoryOf) int { return slices.Compare(a.Pubkey[:], b.Pubkey[:]) })
	if err != nil {
		h.Log.Error("history imported in part", "error", err)
		message := fmt.Sprintf("%v: import it again, which changes nothing for the keys that have it", err)
		writeFailure(w, notImported{storeFailure(message), keys})
		return
	}
	h.Log.Info("history imported", "keys", len(keys))
	httpjson.WriteJSON(w, http.StatusOK, HistoryImported{keys})
}

// writeNotRead answers for a file of which nothing was applied.
func writeNotRead(w http.ResponseWriter, err error) {
	reason := httpjson.ReasonMalformedRequest
	if errors.Is(err, eth2.ErrForeignChain) {
		reason = string(signer.ReasonForeignChain)
	}
	httpjson.WriteError(w, http.StatusBadRequest, reason, "nothing was imported: "+err.Error())
}

// An incoming gives its writer time for each piece.
type incoming struct {
	body    io.Reader
	control *http.ResponseController
}

func (in *incoming) Read(p []byte) (int, error) {
	_ = in.control.SetReadDeadline(time.Now().Add(patience))
	n, err := in.body.Read(p)
	if err != nil {
		_ = in.control.SetReadDeadline(time.Time{}) // what follows is our own time
	}
	return n, err
}
