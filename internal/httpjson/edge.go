package httpjson

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"runtime/debug"
	"strings"
)

// Edge is what a request passes first, whichever API it is for. It leaves
// nothing for net/http to answer in a way that no client of these APIs knows:
//
//   - A path with double slashes or dots is taken as the one that is meant. A
//     client whose base URL ends in a slash sends such paths, and does not
//     follow a redirect of a POST.
//   - What asks for no path at all (OPTIONS *, CONNECT, the preface of HTTP/2)
//     has no such route.
//   - A connection ends after a body in chunks. If its request had a
//     Content-Length as well, which net/http takes out, a proxy in between may
//     have seen another end of it, and what follows would be what the proxy's
//     client smuggled in. RFC 9112 section 6.3 asks for it, and no known client
//     sends chunks.
//   - A panic, which is a bug of ours, is logged as an error and cuts the
//     connection.
func Edge(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if bug := recover(); bug != nil {
				if err, ok := bug.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
					log.Error("a bug of the signer: please report it", "panic", bug, "stack", string(debug.Stack()))
				}
				panic(http.ErrAbortHandler)
			}
		}()
		if len(r.TransferEncoding) > 0 {
			w.Header().Set("Connection", "close")
		}
		if r.RequestURI == "*" || r.URL.Path == "" {
			WriteError(w, http.StatusNotFound, ReasonNoSuchRoute, "no such route")
			return
		}
		next.ServeHTTP(w, meant(r))
	})
}

// meant is r with the path that ServeMux would redirect it to.
func meant(r *http.Request) *http.Request {
	sent := r.URL.EscapedPath()
	clean := path.Clean("/" + sent)
	if strings.HasSuffix(sent, "/") && clean != "/" {
		clean += "/"
	}
	plain, err := url.PathUnescape(clean)
	if clean == sent || err != nil {
		return r
	}
	to, at := *r, *r.URL
	at.Path, at.RawPath = plain, clean
	to.URL = &at
	return &to
}
