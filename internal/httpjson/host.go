package httpjson

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Hosts are the names under which a listener may be asked.
type Hosts struct {
	any   bool
	names map[string]bool
}

// NewHosts returns loopback's names, the listener's own, and those given, with
// or without a port. A name "*" or "all" that is given stands for any.
func NewHosts(own string, names ...string) Hosts {
	h := Hosts{names: map[string]bool{"localhost": true, "127.0.0.1": true, "::1": true, bareHost(own): true}}
	for _, name := range names {
		name = strings.TrimSpace(name) // "signer, other"
		if name == "*" || strings.EqualFold(name, "all") {
			h.any = true
		}
		h.names[bareHost(name)] = true
	}
	delete(h.names, "") // to listen under no name, on all addresses, is not to be called nothing
	return h
}

// Any tells whether every name will do.
func (h Hosts) Any() bool { return h.any }

// RequireHost lets a request through to next if its Host header names one of the
// hosts, or the very address that the connection was made to. It is what keeps a
// web page out whose own name an attacker has resolve to this listener (DNS
// rebinding): to the browser the listener is then of the page's origin, and only
// the Host header still tells the page's name. An address is never such a name.
//
// The flag is where an operator adds names.
func RequireHost(hosts Hosts, flag string, next http.Handler) http.Handler {
	if hosts.any {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := bareHost(r.Host)
		if !hosts.names[host] && !toItself(r, host) {
			WriteError(w, http.StatusForbidden, ReasonHostNotAllowed, strangeHost(r.Host, host, flag))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// strangeHost says what to do. No flag helps a request that names no host, as one
// of HTTP/1.0 may.
func strangeHost(sent, host, flag string) string {
	if host == "" {
		return fmt.Sprintf("the request does not say whom it asks: send a Host header, such as localhost, or a name given with %s", flag)
	}
	return fmt.Sprintf("the signer is not known as %.100q: if it should be, start it with %s=%.100s", sent, flag, host)
}

// toItself tells whether host is the address that the connection of r was made
// to: of a listener on all addresses that is any of them.
func toItself(r *http.Request, host string) bool {
	at, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ok && host == at.AddrPort().Addr().Unmap().WithZone("").String()
}

// bareHost is a host without its port, its brackets and its case. An address is
// written in its one canonical form.
func bareHost(host string) string {
	if bare, _, err := net.SplitHostPort(host); err == nil {
		host = bare
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if address, err := netip.ParseAddr(host); err == nil {
		return address.Unmap().WithZone("").String()
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
