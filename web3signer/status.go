package web3signer

import (
	"net/http"

	"github.com/secure-signer/secure-signer/internal/httpjson"
	"github.com/secure-signer/secure-signer/signer"
)

// statuses is the one place where a reason becomes a status. Clients branch on
// it: 400 is final (Nimbus does not retry it), 404 says that the key is not
// here, 412 that signing could be slashable, 503 that another try may succeed.
var statuses = map[signer.Reason]int{
	signer.ReasonDoubleBlock:       http.StatusPreconditionFailed,
	signer.ReasonDoubleVote:        http.StatusPreconditionFailed,
	signer.ReasonSurroundVote:      http.StatusPreconditionFailed,
	signer.ReasonBelowWatermark:    http.StatusPreconditionFailed,
	signer.ReasonBelowFloor:        http.StatusPreconditionFailed,
	signer.ReasonSourceAfterTarget: http.StatusPreconditionFailed,
	signer.ReasonTooFarFuture:      http.StatusPreconditionFailed,
	signer.ReasonHighWatermark:     http.StatusPreconditionFailed,
	signer.ReasonKeyDisabled:       http.StatusPreconditionFailed,
	signer.ReasonNoRecord:          http.StatusPreconditionFailed,
	signer.ReasonForeignChain:      http.StatusPreconditionFailed,
	signer.ReasonHorizonSource:     http.StatusPreconditionFailed,

	signer.ReasonMalformedRequest:    http.StatusBadRequest,
	signer.ReasonBodyTooLarge:        http.StatusRequestEntityTooLarge,
	signer.ReasonInvalidMessage:      http.StatusBadRequest,
	signer.ReasonUnknownFork:         http.StatusBadRequest,
	signer.ReasonSigningRootMismatch: http.StatusBadRequest,
	signer.ReasonPubkeyMismatch:      http.StatusBadRequest,

	signer.ReasonKindNotAllowed: http.StatusForbidden,
	signer.ReasonKeyNotAllowed:  http.StatusForbidden,
	signer.ReasonKeyNotFound:    http.StatusNotFound,

	signer.ReasonStoreUnavailable: http.StatusServiceUnavailable,
	signer.ReasonHorizonNotOwned:  http.StatusServiceUnavailable,
	signer.ReasonLoading:          http.StatusServiceUnavailable,
	signer.ReasonShuttingDown:     http.StatusServiceUnavailable,
	signer.ReasonOverloaded:       http.StatusServiceUnavailable,
	signer.ReasonAuditUnavailable: http.StatusServiceUnavailable,
	signer.ReasonClientGone:       http.StatusServiceUnavailable, // for the log: nobody reads it
	signer.ReasonInternal:         http.StatusInternalServerError,
}

func writeRefusal(w http.ResponseWriter, refusal *signer.Refusal) {
	status, known := statuses[refusal.Reason]
	if !known {
		status = http.StatusInternalServerError
	}
	if refusal.Reason == signer.ReasonShuttingDown {
		w.Header().Set("Connection", "close") // let the client find whoever takes over
	}
	httpjson.WriteError(w, status, string(refusal.Reason), messageOf(refusal))
}

// messageOf is what a client is told. What went wrong inside is for the log: it
// may name files.
func messageOf(refusal *signer.Refusal) string {
	switch refusal.Reason {
	case signer.ReasonStoreUnavailable:
		return "the record of this message could not be made durable, so it was not signed; the signer's log says why"
	case signer.ReasonInternal:
		return "internal error; the signer's log says more"
	}
	return refusal.Err.Error()
}
