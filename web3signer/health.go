package web3signer

import (
	"net/http"

	"github.com/secure-signer/secure-signer/internal/httpjson"
)

// upcheck tells that the process is alive, whatever it can do.
func (h *Handler) upcheck(w http.ResponseWriter, r *http.Request) {
	w.Header().Add("Vary", "Accept") // beside what CORS has put there
	if prefersJSON(r.Header["Accept"]) {
		httpjson.WriteJSON(w, http.StatusOK, struct {
			Status string `json:"status"`
		}{"OK"})
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("OK")) // the client has gone: nobody to tell
}

// A Check is one line of /healthcheck.
type Check struct {
	ID   string         `json:"id"`
	Up   Up             `json:"status"`
	Data map[string]any `json:"data,omitzero"`
}

// Up is written as UP or DOWN.
type Up bool

// MarshalText writes UP or DOWN.
func (u Up) MarshalText() ([]byte, error) {
	if u {
		return []byte("UP"), nil
	}
	return []byte("DOWN"), nil
}

// healthcheck tells whether the signer is ready for every duty: its keys are
// loaded, their records can be made durable, and whatever else is needed for a
// signature is there. One bad key file shows, and
// does not take the others' signer down. Vero asks every second, so it costs
// nothing. The ids are Web3Signer's.
func (h *Handler) healthcheck(w http.ResponseWriter, _ *http.Request) {
	store := h.cfg.StoreErr()
	checks := []Check{
		{ID: "default-check", Up: Up(!h.shutdown.Load())},
		{ID: "slashing-protection-db-health-check", Up: store == nil},
		{ID: "keys-check", Up: Up(h.ready.Load())},
	}
	checks = append(checks, h.cfg.Needed()...)
	up := Up(true)
	for _, c := range checks {
		up = up && c.Up
	}
	status := http.StatusOK
	if !up {
		status = http.StatusServiceUnavailable
	}
	httpjson.WriteJSON(w, status, struct {
		Status  Up      `json:"status"`
		Outcome Up      `json:"outcome"`
		Checks  []Check `json:"checks"`
	}{up, up, append(checks, h.cfg.Further()...)})
}
