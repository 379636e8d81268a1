// Package statuspage serves one page for the operator: what this signer is, holds
// and does right now, as the management API tells it, and what it was asked in the
// last hour.
//
//	GET /           the page; ?key= a public key or its beginning, &show=withheld, &page=
//	GET /style.css  how it looks
//	GET /icon.svg   its icon
//
// It only shows: there is no route that changes anything, and no secret in any
// answer. It needs no JavaScript, and its Content-Security-Policy allows none: a
// name that came from outside could not run if it were not escaped.
//
// # Not guaranteed
//
//   - Authentication: whoever reaches the page reads which keys are held and when
//     they last signed. Who serves it keeps it to loopback and names
//     (httpjson.RequireHost).
//   - That a page is of one moment: each key's record is read for itself.
package statuspage

import (
	"bytes"
	"context"
	"embed"
	"html/template"
	"net/http"
	"time"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/management"
)

// A Signer is what the page shows. Source: management.Config.
type Signer interface {
	Status(now time.Time) management.Status
	Held() []bls.PublicKey // ascending
	Key(ctx context.Context, pub bls.PublicKey) (management.Key, error)
}

// A Config says what the page shows.
type Config struct {
	Signer   Signer
	Activity *Activity

	// Down names the lines of /healthcheck that are not as they should be.
	Down func() []string
}

//go:embed page.html style.css icon.svg
var files embed.FS

// policy allows the page its own style sheet, its icon and its form.
const policy = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// New returns the handler of the page.
func New(c Config) http.Handler {
	h := &handler{c, template.Must(template.New("page.html").Funcs(functions).ParseFS(files, "page.html"))}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", h.page)
	mux.Handle("GET /style.css", file("style.css", "text/css; charset=utf-8"))
	mux.Handle("GET /icon.svg", file("icon.svg", "image/svg+xml"))
	return guarded(mux)
}

// guarded tells the browser to trust nothing but what the policy names, whatever is
// answered.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// file serves one that is built in. It is small, and never stored: after an upgrade
// no page has the style of another release.
func file(name, contentType string) http.Handler {
	content, err := files.ReadFile(name)
	if err != nil {
		panic("statuspage: internal error: " + err.Error())
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(content) // the browser has gone: nobody to tell
	})
}

type handler struct {
	Config
	template *template.Template
}

func (h *handler) page(w http.ResponseWriter, r *http.Request) {
	var out bytes.Buffer // half a page would look like a whole one
	if err := h.template.Execute(&out, h.view(r, time.Now())); err != nil {
		http.Error(w, "the page could not be made: "+err.Error()+": signerctl status tells the same", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(out.Bytes()) // the browser has gone: nobody to tell
}
