package httpjson

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// RequireToken lets a request through to next if it bears the token that token
// returns, which is asked each time so that it can change. Without a bearer
// token the answer is 401, with another one 403. An empty token admits nobody.
//
// The time that it takes tells neither the token nor its length.
//
// Source: RFC 6750; keymanager-APIs, "Authentication".
func RequireToken(token func() string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, ok := bearer(r)
		if !ok {
			w.Header().Set("WWW-Authenticate", "Bearer")
			WriteError(w, http.StatusUnauthorized, ReasonUnauthorized,
				"this route needs the header Authorization: Bearer, with the token of the signer's api-token.txt")
			return
		}
		want := token()
		a, b := sha256.Sum256([]byte(sent)), sha256.Sum256([]byte(want))
		if subtle.ConstantTimeCompare(a[:], b[:]) == 0 || want == "" {
			WriteError(w, http.StatusForbidden, ReasonForbidden, "not the token of this signer's api-token.txt")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// bearer returns the token of the request. The scheme's case is free.
func bearer(r *http.Request) (string, bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	return token, strings.EqualFold(scheme, "Bearer") && token != ""
}
