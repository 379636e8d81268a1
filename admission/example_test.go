package admission_test

import (
	"context"
	"fmt"
	"time"

	"github.com/secure-signer/secure-signer/admission"
	"github.com/secure-signer/secure-signer/eth2"
)

func Example() {
	gate := admission.New(admission.Config{InFlight: 64})

	arrived := time.Now()
	if err := gate.Enter(context.Background(), admission.ClassOf(eth2.KindBlock), arrived); err != nil {
		fmt.Println("come back later:", err)
		return
	}
	defer gate.Leave()
	fmt.Println("sign")
	// Output: sign
}
