// Package management serves the routes that signerctl works with, beside the
// standard APIs:
//
//	GET  /signer/v1/status   what this signer is, holds and can do right now
//	GET  /signer/v1/keys     every key held, and what it may still sign
//	POST /signer/v1/keys     {"count": n}: draw n keys inside the signer
//
// Numbers of slots and epochs are decimal strings, as in the beacon APIs: they
// use the whole range of a uint64. Members may be added, none is ever removed.
// Errors have the body of the Web3Signer API, with a reason of docs/errors.md.
//
// # Not guaranteed
//
//   - Authentication: who serves this handler wraps it (httpjson.RequireToken).
//   - That a list is of one moment: each key's record is read for itself.
package management

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/secure-signer/secure-signer/custody"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/httpjson"
	"github.com/secure-signer/secure-signer/slashing"
)

// A Config says what the routes tell about and work on.
type Config struct {
	Custody *custody.Custodian
	Guard   *slashing.Guard
	Network *eth2.Network
	Release string
	Started time.Time
	Log     *slog.Logger

	// StoreErr returns why nothing can be made durable any more, or nil.
	StoreErr func() error

	// Head returns how many changes the store has recorded, and the hash of
	// them all; nil if it has none.
	Head func() (sequence uint64, hash [32]byte)
}

// New returns the handler of /signer/v1/.
func New(c Config) http.Handler {
	h := &handler{c}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /signer/v1/status", h.status)
	mux.HandleFunc("/signer/v1/status", only("GET"))
	mux.HandleFunc("GET /signer/v1/keys", h.listKeys)
	mux.HandleFunc("POST /signer/v1/keys", h.generateKeys)
	mux.HandleFunc("/signer/v1/keys", only("GET, POST"))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		httpjson.WriteError(w, http.StatusNotFound, httpjson.ReasonNoSuchRoute, "this signer has no such route: is it older than the client?")
	})
	return mux
}

type handler struct{ Config }

// only answers the methods that a route does not have.
func only(methods string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Allow", methods)
		httpjson.WriteError(w, http.StatusMethodNotAllowed, httpjson.ReasonMethodNotAllowed, "this route has only "+methods)
	}
}
