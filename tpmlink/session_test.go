package tpmlink

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/secure-signer/secure-signer/tpmlink/tpmtest"
)

// TestAnIdleSessionLeavesTheTPM: and comes back when it is needed.
func TestAnIdleSessionLeavesTheTPM(t *testing.T) {
	m := tpmtest.Start(t)
	var sessions, started atomic.Int64
	link, err := Open(t.Context(), m.Interpose(t, func(command []byte, send tpmtest.Wire) ([]byte, error) {
		switch code := commandCode(command); {
		case code == tpm2.TPMCCStartAuthSession:
			sessions.Add(1)
			started.Add(1)
		case code == tpm2.TPMCCFlushContext && command[headerSize] == byte(tpm2.TPMHTHMACSession):
			sessions.Add(-1)
		}
		return send(command)
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	e, err := link.Endorse(t.Context(), Trust{Unverified: true})
	if err != nil {
		t.Fatal(err)
	}
	session := link.NewSession(e, nil)
	session.idle = 50 * time.Millisecond
	for range 2 {
		for range 3 {
			if err := session.Do(t.Context(), func(transport.TPM, tpm2.Session) error { return nil }); err != nil {
				t.Fatal(err)
			}
		}
		if n := sessions.Load(); n > 1 {
			t.Fatalf("%d sessions are in the TPM, want one", n)
		}
		for deadline := time.Now().Add(10 * time.Second); sessions.Load() != 0; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("an idle session stays in the TPM")
			}
		}
	}
	if started.Load() < 2 {
		t.Error("no session was started anew: nothing was tested")
	}
}
