package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/management"
)

func TestAHorizonIsShownForPeople(t *testing.T) {
	first, last, floor := eth2.Epoch(10), eth2.Epoch(12), eth2.Epoch(9)
	for name, test := range map[string]struct {
		horizon *management.Horizon
		says    []string
	}{
		"none":            {nil, []string{"none"}},
		"as it should be": {&management.Horizon{Kind: "tpm", Keeper: "TPM 00", Owned: true, First: &first, Last: &last, SourceFloor: &floor}, []string{"tpm, TPM 00", "owns epochs 10 to 12", "source floor 9"}},
		"behind":          {&management.Horizon{Kind: "tpm", First: &first, Last: &last, SourceFloor: &floor, Error: "no answer"}, []string{"not the present one", "no answer"}},
		"after a crash":   {&management.Horizon{Kind: "tpm", SourceFloor: &floor}, []string{"owns no epoch yet"}},
	} {
		t.Run(name, func(t *testing.T) {
			var shown []string
			for _, row := range statusRows(management.Status{Horizon: test.horizon}) {
				shown = append(shown, fmt.Sprint(row[1]))
			}
			for _, want := range test.says {
				if !strings.Contains(strings.Join(shown, "\n"), want) {
					t.Errorf("lacks %q:\n%s", want, strings.Join(shown, "\n"))
				}
			}
		})
	}
}
