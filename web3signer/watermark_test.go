package web3signer

import (
	"math"
	"strings"
	"testing"
)

func TestHighWatermark(t *testing.T) {
	r := newRig(t, mainnet(t), 0)
	r.ready.Store(false) // it does not depend on the keys
	for _, tt := range []struct {
		name string
		mark *HighWatermark
		want string
	}{
		{"there is none", nil, `{}`},
		{"it is at genesis", &HighWatermark{}, `{"epoch":"0","slot":"0"}`},
		{"its numbers need 64 bits", &HighWatermark{Epoch: 1<<53 + 1, Slot: math.MaxUint64}, `{"epoch":"9007199254740993","slot":"18446744073709551615"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r.cfg.HighWatermark = tt.mark
			w := r.get("/api/v1/eth2/highWatermark")
			if got := strings.TrimSpace(w.Body.String()); w.Code != 200 || got != tt.want || w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("%d %s %s, want %s", w.Code, w.Header().Get("Content-Type"), got, tt.want)
			}
		})
	}
	wantRefused(t, r.do(call{method: "POST", path: "/api/v1/eth2/highWatermark"}), 405, "method_not_allowed")
}
