package policy_test

import (
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/policy"
	"github.com/secure-signer/secure-signer/signer"
)

func TestDepositsAndExitsNeedToBeNamed(t *testing.T) {
	tests := []struct {
		name    string
		policy  *policy.Kinds
		message eth2.Message
		refused string // what the refusal must say
	}{
		{"an attestation is a duty", policy.Duties(), &eth2.Attestation{}, ""},
		{"a registration is a duty", policy.Duties(), &eth2.ValidatorRegistration{}, ""},
		{"an exit is not", policy.Duties(), &eth2.VoluntaryExit{}, "--allow VOLUNTARY_EXIT"},
		{"a deposit is not", policy.Duties(), &eth2.Deposit{}, "--allow DEPOSIT"},
		{"a named exit", policy.Duties(eth2.KindVoluntaryExit), &eth2.VoluntaryExit{}, ""},
		{"a named exit allows no deposit", policy.Duties(eth2.KindVoluntaryExit), &eth2.Deposit{}, "--allow DEPOSIT"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := test.policy.Allow(signer.Caller{}, bls.PublicKey{}, test.message)
			switch {
			case test.refused == "" && err != nil:
				t.Errorf("refused: %v", err)
			case test.refused != "" && (err == nil || !strings.Contains(err.Error(), test.refused)):
				t.Errorf("got %v, want a refusal that says %q", err, test.refused)
			}
		})
	}
}
