package httpjson

import "net/http"

// SameOrigin keeps web pages out: it answers 403 to what a browser sends for a
// page of another origin, and lets everything else through to next, also
// requests that only read. A listener on loopback is within the reach of every
// page that its machine's user visits, and a page needs no answer to have a
// made-up vote recorded that silences a validator for an epoch. No client of a
// signer is a browser.
//
// A page whose own name resolves to this listener passes for the same origin.
//
// Source: net/http.CrossOriginProtection, by Sec-Fetch-Site and Origin.
func SameOrigin(next http.Handler) http.Handler {
	p := http.NewCrossOriginProtection()
	p.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		WriteError(w, http.StatusForbidden, ReasonCrossOrigin, "a web page of another origin sent this, through a browser")
	}))
	return p.Handler(next)
}
