package web3signer

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/internal/httpjson"
	"github.com/secure-signer/secure-signer/signer"
)

// publicKeys lists every key or none: a DVT node that misses one stops, so
// until all are loaded there is no list.
func (h *Handler) publicKeys(w http.ResponseWriter, r *http.Request) {
	if !h.ready.Load() {
		httpjson.WriteError(w, statuses[signer.ReasonLoading], string(signer.ReasonLoading), "keys are still being loaded")
		return
	}
	keys := h.cfg.PublicKeys()
	header := w.Header()
	header.Set("ETag", entityTag(keys))
	header.Set("Cache-Control", "no-cache") // ask again each time, with the tag
	header.Add("Vary", "Accept-Encoding")
	if matches(r.Header["If-None-Match"], header.Get("ETag")) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set("Content-Type", "application/json")
	if !acceptsGzip(r.Header["Accept-Encoding"]) {
		_ = writeKeys(w, keys) // the client has gone: nobody to tell
		return
	}
	header.Set("Content-Encoding", "gzip")
	// Hex digits of random bytes halve at any level.
	packed, err := gzip.NewWriterLevel(w, gzip.HuffmanOnly)
	if err != nil {
		panic("web3signer: internal error: " + err.Error())
	}
	if writeKeys(packed, keys) == nil {
		_ = packed.Close()
	}
}

// writeKeys writes a JSON array piece by piece: 100,000 keys are 10 MB.
func writeKeys(w io.Writer, keys []bls.PublicKey) error {
	const piece = 64 << 10
	b := append(make([]byte, 0, piece), '[')
	for i, key := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `"0x`...)
		b = hex.AppendEncode(b, key[:])
		b = append(b, '"')
		if len(b) > piece-128 {
			if _, err := w.Write(b); err != nil {
				return err
			}
			b = b[:0]
		}
	}
	_, err := w.Write(append(b, ']'))
	return err
}

// entityTag identifies a list of keys. It is weak, because it is the same for
// the list and the compressed list.
func entityTag(keys []bls.PublicKey) string {
	hash := sha256.New()
	for i := range keys {
		hash.Write(keys[i][:])
	}
	return `W/"` + hex.EncodeToString(hash.Sum(nil)[:16]) + `"`
}

// matches tells whether a client holds the list with this tag.
func matches(ifNoneMatch []string, tag string) bool {
	for _, line := range ifNoneMatch {
		for t := range strings.SplitSeq(line, ",") {
			t = strings.TrimSpace(t)
			if t == "*" || strings.TrimPrefix(t, "W/") == strings.TrimPrefix(tag, "W/") {
				return true
			}
		}
	}
	return false
}
