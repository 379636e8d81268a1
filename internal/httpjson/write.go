package httpjson

import (
	"errors"
	"net/http"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// The reasons for errors that are about HTTP and not about a message to sign,
// whose reasons package signer lists.
const (
	ReasonUnauthorized     = "unauthorized"       // 401: no token
	ReasonForbidden        = "forbidden"          // 403: the wrong token
	ReasonCrossOrigin      = "cross_origin"       // 403: from a web page
	ReasonHostNotAllowed   = "host_not_allowed"   // 403: asked under another name
	ReasonClientNotAllowed = "client_not_allowed" // 403: its certificate is let in no more
	ReasonNoSuchRoute      = "no_such_route"      // 404
	ReasonMethodNotAllowed = "method_not_allowed" // 405
	ReasonReloading        = "reloading"          // 409: one reload at a time
	ReasonMalformedRequest = "malformed_request"  // 400, the same as signer's
	ReasonBodyTooLarge     = "body_too_large"     // 413, the same as signer's
)

// Reasons returns the closed list of the reasons above.
func Reasons() []string {
	return []string{
		ReasonUnauthorized, ReasonForbidden, ReasonCrossOrigin, ReasonHostNotAllowed, ReasonClientNotAllowed,
		ReasonNoSuchRoute, ReasonMethodNotAllowed, ReasonReloading, ReasonMalformedRequest, ReasonBodyTooLarge,
	}
}

// retryAfter is the hint in every 503, in seconds: an attestation that comes
// back within a slot still counts in full.
const retryAfter = "1"

// maxMessage bounds what an error may repeat of what was sent.
const maxMessage = 1024

// An errorBody is read by clients of different ages: Web3Signer 26.9 and
// ssv-signer read message, Nimbus error, scripts reason.
type errorBody struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Error   string `json:"error"`
	Reason  string `json:"reason"`
}

// WriteError answers with status and the JSON error body. A 503 asks the
// client to come back.
func WriteError(w http.ResponseWriter, status int, reason, message string) {
	message = truncate(message)
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", retryAfter)
	}
	WriteJSON(w, status, errorBody{Code: status, Message: message, Error: message, Reason: reason})
}

// WriteDecodeError answers for an error of Decode: 413 if the body was too
// large, else 400.
func WriteDecodeError(w http.ResponseWriter, err error) {
	if limit := Limit(0); errors.As(err, &limit) {
		WriteError(w, http.StatusRequestEntityTooLarge, ReasonBodyTooLarge, err.Error())
		return
	}
	WriteError(w, http.StatusBadRequest, ReasonMalformedRequest, err.Error())
}

// WriteJSON answers with status and v as JSON. It panics if v has none.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	// Text that a client chose may end up in v. It becomes valid, not a panic.
	body, err := json.Marshal(v, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		panic("httpjson: internal error: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client has gone: nobody to tell
}

func truncate(message string) string {
	if len(message) <= maxMessage {
		return message
	}
	n := maxMessage
	for !utf8.RuneStart(message[n]) {
		n--
	}
	return message[:n] + "…"
}
