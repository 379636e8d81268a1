package dcap_test

import (
	"fmt"
	"os"
	"time"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/attest/dcap"
)

// A client that is about to hand over a key asks what runs at the other end.
// nonce and exporter are its own: drawn by it, taken from its end of the
// connection.
func ExampleVerifier() {
	judge := func(evidence, policy []byte, nonce attest.Nonce, exporter []byte) error {
		ev, err := attest.ParseEvidence(evidence)
		if err != nil {
			return err
		}
		wanted, err := attest.ParsePolicy(policy)
		if err != nil {
			return err
		}
		result, err := dcap.Verifier{}.Verify(ev, time.Now())
		if err != nil {
			return err // forged, or stale collateral
		}
		return wanted.Judge(result, ev.Claims.ReportData(nonce, exporter))
	}
	evidence, err := os.ReadFile("evidence.json")
	if err == nil {
		fmt.Println(judge(evidence, []byte(`{}`), attest.Nonce{}, nil))
	}
}
