package web3signer

import (
	"fmt"
	"net/http"
	"time"

	"github.com/secure-signer/secure-signer/internal/httpjson"
)

// A Reload is how far the signer is with reading again what may have changed
// since its start, or what came of it the last time.
type Reload struct {
	State  ReloadState
	Ended  time.Time // when the last one did; zero if none has
	Failed []string  // names of what it could not read, and so left as it was
}

// A ReloadState is one of Web3Signer's words.
type ReloadState string

// The states of a Reload.
const (
	ReloadIdle                ReloadState = "idle" // never asked for
	ReloadRunning             ReloadState = "running"
	ReloadCompleted           ReloadState = "completed"
	ReloadCompletedWithErrors ReloadState = "completed_with_errors"
	ReloadFailed              ReloadState = "failed" // nothing could be read
)

// startReload begins a reload and does not wait for it. It needs no token, as in
// Web3Signer: it reads nothing but files that the operator has put there, one
// reload at a time, and tells no more than names.
func (h *Handler) startReload(w http.ResponseWriter, _ *http.Request) {
	if !h.cfg.StartReload() {
		httpjson.WriteError(w, http.StatusConflict, httpjson.ReasonReloading, "a reload is running: ask for another when GET /reload says that it has ended")
		return
	}
	httpjson.WriteJSON(w, http.StatusAccepted, struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}{http.StatusAccepted, "the reload has begun: GET /reload tells what comes of it"})
}

// lastReload tells names, and no cause: what is in the files is not everybody's.
func (h *Handler) lastReload(w http.ResponseWriter, _ *http.Request) {
	last := h.cfg.LastReload()
	answer := struct {
		Status    ReloadState `json:"status"`
		Ended     string      `json:"lastOperationTime,omitzero"`
		LastError string      `json:"lastError,omitzero"`
		Failed    []string    `json:"failed,omitzero"`
	}{Status: last.State, Failed: last.Failed}
	if !last.Ended.IsZero() {
		answer.Ended = last.Ended.UTC().Format(time.RFC3339Nano)
	}
	if n := len(last.Failed); n > 0 {
		answer.LastError = fmt.Sprintf("%d could not be read and stay as they were: the signer's log says why", n)
	}
	httpjson.WriteJSON(w, http.StatusOK, answer)
}
