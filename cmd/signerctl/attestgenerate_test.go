package main

import "testing"

func TestAmountsInEther(t *testing.T) {
	for text, want := range map[string]uint64{
		"32": 32_000_000_000, "32.0": 32_000_000_000, "1.5": 1_500_000_000, "2048": 2_048_000_000_000, "0.000000001": 1, "1.": 1_000_000_000,
	} {
		if got, err := parseEther(text); err != nil || got != want {
			t.Errorf("%s ETH: %d Gwei, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", ".5", "-1", "+1", "1e3", "32 ", "0x20", "1.0000000001", "1.2.3", "99999999999999999999"} {
		if got, err := parseEther(text); err == nil {
			t.Errorf("%q: %d Gwei", text, got)
		}
	}
}
