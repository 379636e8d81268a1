// Package keymanager serves the keystore routes of the standard keymanager API:
// GET, POST and DELETE /eth/v1/keystores.
//
// # Guaranteed
//
//   - An import is all or nothing for each key, and the statuses are in the
//     order of the request.
//   - The slashing protection data of a request is valid as a whole, and durable,
//     before any key of the request signs. Data that is not is a 400 and changes
//     nothing; a key whose data could not be made durable is not activated.
//   - The public key that a keystore names is the one that it holds.
//   - A deletion answers with the interchange of every key that it names and
//     whose history is here, taken after the last of them has stopped signing.
//
// # Not guaranteed
//
//   - Authentication: who serves this handler wraps it (httpjson.RequireToken).
//   - That passwords are wiped: they are strings of a JSON body.
//
// Source: ethereum/keymanager-APIs apis/local_keystores.yaml, flows/README.md;
// EIP-2335; EIP-3076.
package keymanager

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/custody"
	"github.com/secure-signer/secure-signer/internal/httpjson"
	"github.com/secure-signer/secure-signer/slashing"
)

// A Config says what the routes work on.
type Config struct {
	Custody *custody.Custodian
	Guard   *slashing.Guard
	Log     *slog.Logger

	// Memory bounds what all keystores that are being opened may use together,
	// in bytes; 0 is DefaultMemory. One keystore that needs more is opened
	// alone.
	Memory int64
}

const (
	// DefaultMemory opens two keystores at a time that need 256 MiB and a few
	// blocks each, as most do.
	DefaultMemory = 2 * (256<<20 + budgetUnit)

	// MaxBody bounds a request: tens of thousands of keystores of 1 KiB, or an
	// interchange with a long history.
	MaxBody = 64 << 20

	// maxBodies is how many requests with a body are worked on at a time: where
	// the API asks for no token, anybody could fill the memory with them.
	maxBodies = 4
)

// answerTime is how long a client may take to read an answer.
const answerTime = time.Minute

// The reasons for a refusal of a whole request; docs/errors.md lists them all.
const (
	reasonForeignChain     = "foreign_chain"
	reasonStoreUnavailable = "store_unavailable"
	reasonLoading          = "loading"
	reasonOverloaded       = "overloaded"
)

// New returns the handler of /eth/v1/keystores.
func New(c Config) http.Handler { return newHandler(c).routes() }

type handler struct {
	Config
	budget *budget
	bodies chan struct{} // holds those that are worked on
}

func newHandler(c Config) *handler {
	if c.Memory <= 0 {
		c.Memory = DefaultMemory
	}
	return &handler{Config: c, budget: newBudget(c.Memory), bodies: make(chan struct{}, maxBodies)}
}

const route = "/eth/v1/keystores"

func (h *handler) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+route, h.loaded(h.list))
	mux.HandleFunc("POST "+route, h.loaded(h.few(h.importKeystores)))
	mux.HandleFunc("DELETE "+route, h.loaded(h.few(h.deleteKeys)))
	mux.HandleFunc(route, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Allow", "GET, HEAD, POST, DELETE")
		httpjson.WriteError(w, http.StatusMethodNotAllowed, httpjson.ReasonMethodNotAllowed, "use GET, POST or DELETE")
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		httpjson.WriteError(w, http.StatusNotFound, httpjson.ReasonNoSuchRoute, "of the keymanager API only "+route+" is served here")
	})
	return mux
}

// An outcome is the answer for one key.
type outcome struct {
	Status  custody.Status `json:"status"`
	Message string         `json:"message,omitzero"`
}

// statusError is the outcome of what custody returns an error for.
const statusError custody.Status = "error"

func failure(err error) outcome { return outcome{statusError, err.Error()} }

// loaded answers 503 while keys are loading: a list would be short of some, and
// a client would take what is missing for deleted.
func (h *handler) loaded(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !h.Custody.Ready() {
			httpjson.WriteError(w, http.StatusServiceUnavailable, reasonLoading, custody.ErrLoading.Error())
			return
		}
		next(w, r)
	}
}

// few answers 503 while as many requests are worked on as may be.
func (h *handler) few(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case h.bodies <- struct{}{}:
			defer func() { <-h.bodies }()
			next(w, r)
		default:
			httpjson.WriteError(w, http.StatusServiceUnavailable, reasonOverloaded,
				"other imports and deletions are still being worked on: send them one after another")
		}
	}
}

type listed struct {
	Pubkey         bls.PublicKey `json:"validating_pubkey"`
	DerivationPath string        `json:"derivation_path"` // not kept: always empty
	ReadOnly       bool          `json:"readonly"`
}

func (h *handler) list(w http.ResponseWriter, _ *http.Request) {
	httpjson.WriteList(w, "data", func(yield func(listed, error) bool) {
		for _, pub := range h.Custody.List() {
			if !yield(listed{Pubkey: pub}, nil) {
				return
			}
		}
	})
}
