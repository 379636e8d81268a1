package handover

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/internal/httpjson"
)

// The routes of an old program.
const (
	NonceRoute = "/signer/v1/hand-over/nonce"
	GiveRoute  = "/signer/v1/hand-over"
)

// The reasons that only these routes give.
const (
	ReasonStep    = "hand_over_step"    // 403: ErrStep
	ReasonRefused = "hand_over_refused" // 403: ErrRefused
	ReasonFailed  = "hand_over_failed"  // 503: whatever else

	reasonNoPlatform = "no_platform" // 501
)

// Reasons returns the closed list of them.
func Reasons() []string { return []string{ReasonStep, ReasonRefused, ReasonFailed} }

const (
	maxOffer = 4 * attest.MaxEvidence // base64 takes a third more, twice
	maxNonce = 4 << 10
	giveTime = 2 * time.Minute // evidence of both ends, and a clean stop
)

// Handler serves a Giver, or says that there is none if it is nil: where no hardware
// seals, nothing has to be handed over. Who may ask is for the caller to see to.
func Handler(g *Giver, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	post := func(route string, serve http.HandlerFunc) {
		mux.HandleFunc(route, func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.Method != http.MethodPost:
				w.Header().Set("Allow", http.MethodPost)
				httpjson.WriteError(w, http.StatusMethodNotAllowed, httpjson.ReasonMethodNotAllowed, "use POST")
			case g == nil:
				httpjson.WriteError(w, http.StatusNotImplemented, reasonNoPlatform, "this signer is sealed by a passphrase, with which any version opens it: stop this one, and start the other")
			default:
				serve(w, r)
			}
		})
	}
	post(NonceRoute, func(w http.ResponseWriter, r *http.Request) {
		nonce, err := g.Nonce(r.Context())
		if err != nil {
			refuse(w, err)
			return
		}
		httpjson.WriteJSON(w, http.StatusOK, nonceAnswer{nonce})
	})
	post(GiveRoute, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(giveTime))
		var o Offer
		if err := read(r.Body, maxOffer, &o); err != nil {
			httpjson.WriteDecodeError(w, err)
			return
		}
		a, err := g.Give(context.WithoutCancel(r.Context()), o) // who hangs up half way must not leave it half stopped
		if err != nil {
			log.Error("hand-over refused", "error", err)
			refuse(w, err)
			return
		}
		httpjson.WriteJSON(w, http.StatusOK, a)
	})
	return mux
}

func refuse(w http.ResponseWriter, err error) {
	status, reason := http.StatusServiceUnavailable, ReasonFailed
	switch {
	case errors.Is(err, ErrStep):
		status, reason = http.StatusForbidden, ReasonStep
	case errors.Is(err, ErrRefused):
		status, reason = http.StatusForbidden, ReasonRefused
	}
	httpjson.WriteError(w, status, reason, err.Error())
}

type nonceAnswer struct {
	Nonce attest.Nonce `json:"nonce"`
}

// A Client is an old program that runs elsewhere.
type Client struct {
	URL   string // of its API
	Token string
	HTTP  *http.Client
}

// Nonce implements Old.
func (c Client) Nonce(ctx context.Context) (attest.Nonce, error) {
	var a nonceAnswer
	err := c.post(ctx, NonceRoute, struct{}{}, maxNonce, &a)
	return a.Nonce, err
}

// Give implements Old.
func (c Client) Give(ctx context.Context, o Offer) (a Answer, err error) {
	err = c.post(ctx, GiveRoute, o, maxOffer, &a)
	return a, err
}

func (c Client) post(ctx context.Context, route string, body any, limit int64, answer any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, giveTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(c.URL, "/")+route, bytes.NewReader(text))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+c.Token)
	w, err := c.HTTP.Do(r)
	if err != nil {
		return err
	}
	defer w.Body.Close()
	if w.StatusCode == http.StatusOK {
		return read(w.Body, limit, answer)
	}
	var refusal struct {
		Message string `json:"message"`
	}
	said, _ := io.ReadAll(io.LimitReader(w.Body, 4<<10))
	if json.Unmarshal(said, &refusal) != nil || refusal.Message == "" {
		return fmt.Errorf("HTTP status %d", w.StatusCode)
	}
	return fmt.Errorf("HTTP status %d: %.512q", w.StatusCode, refusal.Message)
}

// read decodes a body of limited length, strictly.
func read(body io.Reader, limit int64, v any) error {
	text, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err != nil {
		return err
	}
	if int64(len(text)) > limit {
		return httpjson.Limit(limit)
	}
	return decodeStrict(text, v)
}
