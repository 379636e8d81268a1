// Package web3signer is the Web3Signer HTTP API: the server that consensus
// clients sign through, and a small client for it.
//
// It guarantees that a body is decoded strictly and once, into a message whose
// signing root is computed here and never taken from the sender; that every
// request is answered with the status of one table and, if refused, a reason
// of a closed list; that nothing is decided for which the auditor has no place,
// and each decision leaves one line in the log before it is answered. Memory that
// large bodies may hold is bounded, whoever sends them. No request makes it panic.
//
// When more is asked of it than the signer can do, requests wait for their turn
// in the order of package admission once they are decoded: before that nobody
// knows how urgent they are. Reading and decoding one costs a fraction of signing it.
//
// It does not decide what may be signed (package signer does), does not
// authenticate, and leaves time-outs and header limits to its http.Server.
//
// Sources: remote-signing-api 1.4.0; Web3Signer 26.9 where clients depend on
// what it does; RFC 9110 sections 12.5.1 (Accept) and 13.1.2 (If-None-Match).
package web3signer

import (
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/secure-signer/secure-signer/admission"
	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/httpjson"
	"github.com/secure-signer/secure-signer/signer"
)

// Config is what a Handler serves and whom it tells. Signer and PublicKeys are
// required.
type Config struct {
	Signer     *signer.Signer
	PublicKeys func() []bls.PublicKey // in service, sorted

	// Gate is where decoded requests wait for their turn; nil is one of the
	// default size.
	Gate *admission.Gate

	HighWatermark *HighWatermark // where the signer stops; nil: nowhere

	// StartReload begins a reload, unless one is running; LastReload tells of it. If
	// they are nil there is no such route.
	StartReload func() (started bool)
	LastReload  func() Reload

	StoreErr func() error   // why records cannot be made durable, for /healthcheck; nil where they can
	Needed   func() []Check // what /healthcheck shows besides, and takes the signer down unless it is up
	Further  func() []Check // what it shows besides, and none of which does

	Auditor     signer.Auditor // keeps every decision; nil: only the log does
	Log         *slog.Logger   // slog.Default if nil
	Observe     func(kind eth2.Kind, reason signer.Reason, took time.Duration)
	UnknownFork func() // a message was signed under a fork newer than the network's schedule
}

// A Handler serves the API. While keys are still being loaded it signs with
// those that it has and says "loading" of any other.
type Handler struct {
	cfg     Config
	mux     *http.ServeMux
	request *httpjson.Decoder[request]
	bodies  *bodies

	ready    atomic.Bool
	shutdown atomic.Bool
	deciding sync.RWMutex // held for reading by every request from its look at settled until it is decided
	settled  bool         // guarded by deciding
}

// New returns a handler that is not ready yet.
func New(cfg Config) *Handler {
	if cfg.Gate == nil {
		cfg.Gate = admission.New(admission.Config{})
	}
	if cfg.StoreErr == nil {
		cfg.StoreErr = func() error { return nil }
	}
	if cfg.Needed == nil {
		cfg.Needed = func() []Check { return nil }
	}
	if cfg.Further == nil {
		cfg.Further = func() []Check { return nil }
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Observe == nil {
		cfg.Observe = func(eth2.Kind, signer.Reason, time.Duration) {}
	}
	if cfg.UnknownFork == nil {
		cfg.UnknownFork = func() {}
	}
	h := &Handler{cfg: cfg, mux: http.NewServeMux(), request: httpjson.NewDecoder[request](), bodies: newBodies()}

	h.route("/api/v1/eth2/sign/{identifier}", http.MethodPost, h.sign)
	h.route("/api/v1/eth2/publicKeys", http.MethodGet, h.publicKeys)
	h.route("/api/v1/eth2/highWatermark", http.MethodGet, h.highWatermark)
	h.route("/upcheck", http.MethodGet, h.upcheck)
	h.route("/healthcheck", http.MethodGet, h.healthcheck)
	if cfg.StartReload != nil {
		h.mux.HandleFunc("POST /reload", h.startReload)
		h.mux.HandleFunc("GET /reload", h.lastReload)
		h.only("/reload", "GET, HEAD, POST")
	}
	h.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		httpjson.WriteError(w, http.StatusNotFound, httpjson.ReasonNoSuchRoute, "no such route")
	})
	return h
}

// route serves one method of a path.
func (h *Handler) route(path, method string, serve http.HandlerFunc) {
	allow := method
	if method == http.MethodGet {
		allow = "GET, HEAD" // net/http drops the body of the answer to a HEAD
	}
	h.mux.HandleFunc(method+" "+path, serve)
	h.only(path, allow)
}

// only answers the methods that a path does not have.
func (h *Handler) only(path, allow string) {
	h.mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Allow", allow)
		httpjson.WriteError(w, http.StatusMethodNotAllowed, httpjson.ReasonMethodNotAllowed,
			"this route takes "+strings.ReplaceAll(allow, ",", " and"))
	})
}

// Ready says that every key is loaded: a key that is not here is unknown.
func (h *Handler) Ready() { h.ready.Store(true) }

// ShutDown refuses requests to sign from now on. Those in flight are answered:
// http.Server.Shutdown waits for them.
func (h *Handler) ShutDown() { h.shutdown.Store(true) }

// Settle returns, after ShutDown, once every request is decided, and refuses those
// in flight that are not: their bodies have not come yet.
func (h *Handler) Settle() {
	h.deciding.Lock()
	defer h.deciding.Unlock()
	h.settled = true
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }
