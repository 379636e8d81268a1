// Package attestapi serves the routes by which somebody far away finds out what
// this signer runs in and on which terms, and gives it a key, or has it make one:
//
//	POST /attest       evidence that binds this very connection, and a nonce for an import
//	POST /import       a key with its history, sealed to the key that the evidence names
//	POST /attest/keys  draw a key inside: its deposit, and evidence that binds it
//
// Clients use the same types, Seal and Receipt, and package deposit.
//
// # Guaranteed
//
//   - Evidence is bound to the caller's nonce, to the TLS exporter value and the
//     certificate of his connection, to a key that opens imports and lives as long as
//     this process, and to a document of all that decides what is signed. Evidence
//     that a relay passes on from its own connection does not match the caller's.
//   - An import is opened only where its evidence was made, once, and for the key,
//     chain and nonce that it was sealed for. Its history is durable before the key
//     signs. A receipt says what was taken over, signed by a key that the evidence
//     names.
//   - A key that was drawn here has one deposit signed, while it is drawn, and none
//     later by this API.
//   - Quotes are slow: one is made at a time, and few wait for theirs.
//
// # Not guaranteed
//
//   - Authentication: who serves these handlers wraps two of them. Evidence is for
//     everybody: whoever holds a secret asks before he shows who he is.
//   - That a client judged the evidence before it sealed a key to it.
//
// Sources: RFC 8446 section 7.5 and RFC 9266 (exporter), RFC 9180 (HPKE), EIP-3076.
package attestapi

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/custody"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/httpjson"
	"github.com/secure-signer/secure-signer/slashing"
)

// The routes.
const (
	RouteAttest   = "/attest"
	RouteImport   = "/import"
	RouteGenerate = "/attest/keys"
)

// The reasons for a refusal that only these routes give; docs/errors.md lists them
// all.
const (
	ReasonNoPlatform    = "no_platform"          // 501
	ReasonNeedsTLS      = "tls_required"         // 400
	ReasonNoEvidence    = "evidence_unavailable" // 503
	ReasonImportNonce   = "import_nonce"         // 409
	ReasonBundleRefused = "bundle_refused"       // 400

	reasonForeignChain     = "foreign_chain"
	reasonStoreUnavailable = "store_unavailable"
	reasonLoading          = "loading"
	reasonOverloaded       = "overloaded"
	reasonInternal         = "internal"
)

// Reasons returns the closed list of those that only these routes give.
func Reasons() []string {
	return []string{ReasonNoPlatform, ReasonNeedsTLS, ReasonNoEvidence, ReasonImportNonce, ReasonBundleRefused}
}

// Keys signs deposits. Source: bls.Keyring.
type Keys interface {
	Key(pub bls.PublicKey) (*bls.Key, bool)
	Sign(ctx context.Context, key *bls.Key, root [32]byte) (bls.Signature, error)
}

// A Config says what the routes work on.
type Config struct {
	// Evidence asks the hardware; nil where there is none. Source: tee.Platform.
	Evidence func(ctx context.Context, rd attest.ReportData) (attest.Evidence, error)

	// TLSKey returns the public key (SubjectPublicKeyInfo) of the certificate that
	// was shown on a request's connection.
	TLSKey func(r *http.Request) []byte

	Settings Settings // without what New takes from the network
	Network  *eth2.Network
	Custody  *custody.Custodian
	Guard    *slashing.Guard
	Keys     Keys
	Log      *slog.Logger
}

// Routes are the handlers, one each.
type Routes struct {
	Attest   http.Handler // for everybody
	Import   http.Handler
	Generate http.Handler
}

// New draws the keys of this run.
func New(c Config) (Routes, error) {
	h, err := newHandler(c)
	if err != nil {
		return Routes{}, err
	}
	return h.routes(), nil
}

func (h *handler) routes() Routes {
	return Routes{Attest: h.serve(h.attest), Import: h.serve(h.importKey), Generate: h.serve(h.generate)}
}

type handler struct {
	Config
	inbox   *attest.Inbox
	receipt ed25519.PrivateKey
	channel []byte // the document that is bound to a connection
	nonces  *nonces
	quotes  *quotes
	bodies  chan struct{} // holds the imports that are worked on
}

func newHandler(c Config) (*handler, error) {
	c.Settings = c.Settings.canonical(c.Network)
	h := &handler{Config: c, nonces: newNonces(time.Now), quotes: newQuotes(maxQuotes), bodies: make(chan struct{}, maxBodies)}
	var err error
	if h.inbox, err = attest.NewInbox(); err != nil {
		return nil, err
	}
	var public ed25519.PublicKey
	if public, h.receipt, err = ed25519.GenerateKey(rand.Reader); err != nil {
		return nil, fmt.Errorf("draw the receipt key: %w", err)
	}
	h.channel, err = Document{Settings: c.Settings, ReceiptKey: attest.Hex(public)}.encode()
	return h, err
}

// A failure is an answer that is an error.
type failure struct {
	status  int
	reason  string
	message string
}

func (f *failure) Error() string { return f.message }

func fail(status int, reason, format string, args ...any) error {
	return &failure{status, reason, fmt.Sprintf(format, args...)}
}

// serve answers POST with what work returns.
func (h *handler) serve(work func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			httpjson.WriteError(w, http.StatusMethodNotAllowed, httpjson.ReasonMethodNotAllowed, "use POST")
			return
		}
		if h.Evidence == nil {
			httpjson.WriteError(w, http.StatusNotImplemented, ReasonNoPlatform,
				"this signer runs in no trusted hardware that attests, so it cannot prove what it is: make a data folder with secure-signer init --platform, or go on without --attest")
			return
		}
		answer, err := work(r)
		if err == nil {
			httpjson.WriteJSON(w, http.StatusOK, answer)
			return
		}
		var failed *failure
		if !errors.As(err, &failed) {
			failed = &failure{http.StatusInternalServerError, reasonInternal, err.Error()}
		}
		h.Log.Warn("refused", "route", r.URL.Path, "reason", failed.reason, "error", failed.message)
		httpjson.WriteError(w, failed.status, failed.reason, failed.message)
	})
}

// decode reads the body of a request.
func decode[T any](r *http.Request, limit int64, out *T) error {
	err := httpjson.Decode(r.Body, limit, out)
	if tooLarge := httpjson.Limit(0); errors.As(err, &tooLarge) {
		return fail(http.StatusRequestEntityTooLarge, httpjson.ReasonBodyTooLarge, "%v", err)
	}
	if err != nil {
		return fail(http.StatusBadRequest, httpjson.ReasonMalformedRequest, "%v", err)
	}
	return nil
}
