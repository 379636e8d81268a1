package httpjson

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Origins are the web pages that may use a listener through a browser, by their
// scheme, host and port. The zero value is none.
type Origins struct {
	any   bool
	exact []string
}

// ParseOrigins reads origins as a browser writes them: "https://host" or
// "http://host:port". The word "all", or "*", stands for any.
func ParseOrigins(list []string) (Origins, error) {
	var o Origins
	check := http.NewCrossOriginProtection()
	for _, origin := range list {
		origin = strings.TrimSpace(origin)
		if origin == "*" || strings.EqualFold(origin, "all") {
			o.any = true
			continue
		}
		origin = strings.ToLower(origin)
		if err := check.AddTrustedOrigin(origin); err != nil {
			return Origins{}, fmt.Errorf("%q: use http://host or https://host, with the port if it is not the usual one, or all", origin)
		}
		o.exact = append(o.exact, origin)
	}
	return o, nil
}

// Any tells whether every web page may.
func (o Origins) Any() bool { return o.any }

func (o Origins) none() bool { return !o.any && len(o.exact) == 0 }

func (o Origins) allow(origin string) bool { return o.any || slices.Contains(o.exact, origin) }

// SameOrigin keeps web pages out: it answers 403 to what a browser sends for a
// page of another origin that is not among those allowed, and lets everything
// else through to next, also requests that only read. A listener on loopback is
// within the reach of every page that its machine's user visits, and a page
// needs no answer to have a made-up vote recorded that silences a validator for
// an epoch. No client of a signer is a browser.
//
// A page whose own name resolves to this listener passes for the same origin:
// RequireHost is against that.
//
// Pages of the allowed origins may read the answers, too: requests that ask for
// that (CORS) are answered here. Their browsers are never asked to send cookies
// or certificates with them.
//
// Sources: net/http.CrossOriginProtection, by Sec-Fetch-Site and Origin; Fetch
// Standard, "CORS protocol".
func SameOrigin(allowed Origins, next http.Handler) http.Handler {
	p := http.NewCrossOriginProtection()
	p.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		WriteError(w, http.StatusForbidden, ReasonCrossOrigin, "a web page of another origin sent this, through a browser")
	}))
	protected := p.Handler(next)
	if allowed.none() {
		return protected
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Origin")
		origin := r.Header.Get("Origin")
		if origin == "" || !allowed.allow(origin) {
			protected.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Access-Control-Allow-Origin", origin)
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			w.Header().Set("Access-Control-Allow-Methods", "GET, HEAD, POST, DELETE")
			w.Header().Set("Access-Control-Allow-Headers", "Accept, Authorization, Content-Type")
			w.Header().Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}
