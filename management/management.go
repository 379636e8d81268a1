// Package management serves the routes that signerctl works with, beside the
// standard APIs:
//
//	GET  /signer/v1/status             what this signer is, holds and can do right now
//	GET  /signer/v1/keys               every key held, and what it has signed
//	POST /signer/v1/keys               {"count": n}: draw n keys inside the signer
//	GET  /signer/v1/slashing           the EIP-3076 interchange, of all keys or some
//	POST /signer/v1/slashing           import an interchange: floors rise
//	POST /signer/v1/slashing/raise     raise floors by hand
//	GET  /signer/v1/slashing/records   every slashing record
//	GET  /signer/v1/slashing/{pubkey}  one of them
//	GET  /signer/v1/slashing/{pubkey}/verdict  what signing would say right now
//	GET  /signer/v1/backup             a copy of the data folder, for restore
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
	"maps"
	"net/http"
	"slices"
	"strings"
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

	Platform  Platform
	Hardening Hardening
	Horizon   func() *Horizon // nil, or returns nil, where there is none

	// StoreErr returns why nothing can be made durable any more, or nil.
	StoreErr func() error

	// Head returns how many changes the store has recorded, and the hash of
	// them all; nil if it has none.
	Head func() (sequence uint64, hash [32]byte)

	// Size returns what the store takes; nil if nobody knows.
	Size func() Size

	Backup Backup
}

// New returns the handler of /signer/v1/.
func New(c Config) http.Handler {
	h := &handler{c}
	mux := http.NewServeMux()
	mux.Handle("/signer/v1/status", methods{"GET": h.status})
	mux.Handle("/signer/v1/keys", methods{"GET": h.listKeys, "POST": h.generateKeys})
	mux.Handle("/signer/v1/slashing", methods{"GET": h.exportHistory, "POST": h.importHistory})
	mux.Handle("/signer/v1/slashing/raise", methods{"POST": h.raise})
	mux.Handle("/signer/v1/slashing/records", methods{"GET": h.listRecords})
	mux.Handle("/signer/v1/slashing/{pubkey}", methods{"GET": h.showRecord})
	mux.Handle("/signer/v1/slashing/{pubkey}/verdict", methods{"GET": h.showVerdict})
	mux.Handle("/signer/v1/backup", methods{"GET": h.backup})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		httpjson.WriteError(w, http.StatusNotFound, httpjson.ReasonNoSuchRoute, "this signer has no such route: is it older than the client?")
	})
	return mux
}

type handler struct{ Config }

// methods are those of one route. GET answers HEAD, too: net/http drops the body.
type methods map[string]http.HandlerFunc

func (m methods) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if serve, ok := m[method]; ok {
		serve(w, r)
		return
	}
	allow := slices.Sorted(maps.Keys(m))
	if m[http.MethodGet] != nil {
		allow = slices.Insert(allow, slices.Index(allow, http.MethodGet)+1, http.MethodHead)
	}
	w.Header().Set("Allow", strings.Join(allow, ", "))
	httpjson.WriteError(w, http.StatusMethodNotAllowed, httpjson.ReasonMethodNotAllowed, "this route has only "+strings.Join(allow, ", "))
}
