package deposit

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/eth2"
)

// official are entries as tools of the launchpad wrote them: of the first validator
// of a mnemonic that package mnemonic is tested with, and two payments for one key,
// under versions of their own.
func official() []string {
	return []string{
		`{"pubkey":"8666389c3fe6ff0bca9adba81504f380b9e2c719419760d561836472fafe295cb50696524e19cba084e1d788d66c80d6","withdrawal_credentials":"0100000000000000000000000000000000000000000000000000000000000001","amount":32000000000,"signature":"a1f3ece1cb871e1af29fdaf94cab58d48d128d0ed2342a1f042f49344943c25ec6eab4f2219301e421a88453c6aa29e90b78373a8341c17738bc0ff4d0a724494535b494cd21fd2633a7a12353a5232c9806e1576f1e2447631ec3310db4008b","deposit_message_root":"dc224ac1c94d70906d643644f20398bdea5dabea123116a9d6135b8f5f4906bd","deposit_data_root":"f5c6b52d2ba608f0df4123e5ed051b5765a636e09d1372668e1ec074430f2279","fork_version":"00000000","network_name":"mainnet","deposit_cli_version":"2.3.0"}`,
		`{"pubkey":"ad85894db60881bcee956116beae6bc6934d7eca8317dc3084adf665be426a21a1855b5196a7515fd791bf0b6e3727c5","withdrawal_credentials":"010000000000000000000000b2de3e0380d7229dc9e717342ed042e54eaaa620","amount":1000000000,"signature":"848169dd090590d31b4eee23f031b3f0df4bbe097e1ea3f65e4c40b5da412f326adfed4b1c45b83831eb692e906ba1ec0f0cacfc714f1c89ad74eca71be43247965e71ead2dc7625410d69c434fa88895ef2c9e135bb187b04eb62bc87539dcf","deposit_message_root":"12f106b1c020239e8c2857c5bd355ca4c9fec33b2140367064a7df5a11861f44","deposit_data_root":"aa08a4fe6761812fb0ae067b98e30239a2aefb609c271edf4efe84f7a5742ff3","fork_version":"01017000","network_name":"holesky","deposit_cli_version":"2.7.0"}`,
		`{"pubkey":"ad85894db60881bcee956116beae6bc6934d7eca8317dc3084adf665be426a21a1855b5196a7515fd791bf0b6e3727c5","withdrawal_credentials":"010000000000000000000000b2de3e0380d7229dc9e717342ed042e54eaaa620","amount":31000000000,"signature":"accff50c4fde87119058770c8fff833b6e052e6a689bc639e3a20f57ebff15315ff7cb15e7c0de2856794e459023862d0539bb1b22d3938730f7ec0e0504dcf12b63ba9f9ca2cceef4914f997d90df3f604c0c3a99706a038ef35ed9b3d166d2","deposit_message_root":"81566688bde7909767507f4daa38f48aba6858d0f786fa4fb4082129ec86fbe0","deposit_data_root":"262b9668947937a8135e8f6bd9cf27b07891a4c5d5d2dd9d01ada07eff77ccf1","fork_version":"01017000","network_name":"holesky","deposit_cli_version":"2.7.0"}`,
	}
}

func read(t *testing.T, text string) (d Data) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// recompute writes an entry anew, as somebody would who knows the form.
func recompute(d *Data) {
	*d = *New(&eth2.Deposit{
		Pubkey: eth2.PublicKey(d.Pubkey), WithdrawalCredentials: eth2.Root(d.WithdrawalCredentials),
		Amount: eth2.Gwei(d.Amount), GenesisForkVersion: eth2.Version(d.ForkVersion),
	}, eth2.Signature(d.Signature), d.NetworkName)
}

// TestItIsTheOfficialToolsForm member by member and byte by byte, but for the version
// of the tool.
func TestItIsTheOfficialToolsForm(t *testing.T) {
	for _, text := range official() {
		d := read(t, text)
		if err := d.Check(); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		version := d.DepositCLIVersion
		recompute(&d)
		got, err := json.Marshal(&d)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(text, strings.Replace(string(got), format, version, 1)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestADepositThatWasChangedIsFoundOut(t *testing.T) {
	for name, change := range map[string]func(*Data){
		"other credentials":                       func(d *Data) { d.WithdrawalCredentials[31]++ },
		"other credentials, the roots recomputed": func(d *Data) { d.WithdrawalCredentials[31]++; recompute(d) },
		"another amount, the roots recomputed":    func(d *Data) { d.Amount++; recompute(d) },
		"another network, the roots recomputed":   func(d *Data) { d.ForkVersion[0]++; recompute(d) },
		"another signature, the roots recomputed": func(d *Data) { d.Signature[95] ^= 1; recompute(d) },
		"another data root":                       func(d *Data) { d.DepositDataRoot[0]++ },
		"another message root":                    func(d *Data) { d.DepositMessageRoot[0]++ },
		"half a key":                              func(d *Data) { d.Pubkey = d.Pubkey[:24] },
		"no signature":                            func(d *Data) { d.Signature = nil },
	} {
		d := read(t, official()[0])
		change(&d)
		if d.Check() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestTermsThatWouldLockEtherUpAreRefused(t *testing.T) {
	kind := func(b byte) eth2.Root { return eth2.Root{0: b, 31: 1} }
	for _, tt := range []struct {
		name        string
		credentials eth2.Root
		amount      uint64
		good        bool
	}{
		{"the least", kind(1), gwei, true},
		{"a whole validator", kind(1), 32 * gwei, true},
		{"the most", kind(2), 2048 * gwei, true},
		{"credentials of a BLS key", kind(0), 32 * gwei, false},
		{"credentials of a type that does not exist", kind(3), 32 * gwei, false},
		{"no address", eth2.Root{0: 1}, 32 * gwei, false},
		{"something between type and address", eth2.Root{0: 1, 11: 1, 31: 1}, 32 * gwei, false},
		{"too little", kind(2), gwei - 1, false},
		{"more than earns", kind(1), 32*gwei + 1, false},
		{"more than earns by compounding", kind(2), 2048*gwei + 1, false},
		{"Wei for Gwei", kind(2), 32 * gwei * gwei / 100, false},
	} {
		if err := CheckTerms(tt.credentials, tt.amount); (err == nil) != tt.good {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
