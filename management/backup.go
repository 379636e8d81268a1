package management

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/secure-signer/secure-signer/internal/httpjson"
	"github.com/secure-signer/secure-signer/signer"
)

// A Backup writes a copy of the whole signer, as of one moment, that is no use to
// anybody without its passphrase.
type Backup func(ctx context.Context, w io.Writer) error

// backupTime is what a client has to read a backup: a hundred thousand keys are
// 30 MB.
const backupTime = 10 * time.Minute

// backup streams. When something fails under way the connection is cut, and the
// client finds the end missing.
func (h *handler) backup(w http.ResponseWriter, r *http.Request) {
	if err := h.StoreErr(); err != nil {
		httpjson.WriteError(w, http.StatusServiceUnavailable, string(signer.ReasonStoreUnavailable), err.Error())
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(backupTime))
	w.Header().Set("Content-Type", "application/octet-stream")
	body := &begun{Writer: w}
	err := h.Backup(r.Context(), body)
	switch {
	case err == nil:
		h.Log.Info("backup taken", "bytes", body.bytes)
	case body.bytes == 0:
		h.Log.Error("backup failed", "error", err)
		httpjson.WriteError(w, http.StatusServiceUnavailable, string(signer.ReasonStoreUnavailable), err.Error())
	default:
		h.Log.Error("backup cut off", "error", err)
		panic(http.ErrAbortHandler)
	}
}

// begun tells whether anything of an answer has been written.
type begun struct {
	io.Writer
	bytes int64
}

func (b *begun) Write(p []byte) (int, error) {
	n, err := b.Writer.Write(p)
	b.bytes += int64(n)
	return n, err
}
