package attested

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attestantio/go-eth2-client/spec/phase0"

	"github.com/secure-signer/secure-signer/deposit"
)

// A pool draws a nonce, an operator has keys made inside, and the pool checks each
// before it pays: offline, with its own nonce and policy.
func TestAPoolChecksKeysThatWereMadeInside(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "hoodi")
	p := policyOf(t, s.URL)
	nonce := strings.Repeat("5a", 32)
	out := filepath.Join(t.TempDir(), "out")
	r := must(t, "--url", s.URL, "--token-file", s.tokenFile(), "keys", "generate", "--attest", p.file(t), "--count", "2", "--nonce", nonce,
		"--withdrawal-address", "0x00000000000000000000000000000000000000aa", "--compounding", "--amount", "2048", "--out", out)
	made := strings.Fields(r.stdout)
	if len(made) != 2 {
		t.Fatalf("%s%s", r.stdout, r.stderr)
	}
	files, err := filepath.Glob(filepath.Join(out, "deposit_data-*.json"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	var deposits []deposit.Data
	if err := json.Unmarshal(text, &deposits); err != nil || len(deposits) != 2 {
		t.Fatalf("%v in %s", err, text)
	}
	for n, d := range deposits {
		if "0x"+d.Pubkey.String() != made[n] {
			t.Errorf("deposit %d is of %v, want %s", n, d.Pubkey, made[n])
		}
		agreesWithTheOracle(t, d)
		evidence := filepath.Join(out, "evidence-"+made[n]+".json")
		v := must(t, "attest", "verify", evidence, "--policy", p.file(t), "--nonce", nonce)
		for _, want := range []string{made[n], "0x02" + strings.Repeat("00", 30) + "aa", "2048000000000 Gwei", d.DepositDataRoot.String(), "acceptable"} {
			if !strings.Contains(v.stdout, want) {
				t.Errorf("%s is not in\n%s", want, v.stdout)
			}
		}
		for name, r := range map[string]result{
			"of another pool":       signerctl(t, "attest", "verify", evidence, "--policy", p.file(t), "--nonce", strings.Repeat("5b", 32)),
			"under another network": signerctl(t, "attest", "verify", evidence, "--policy", p.setting(t, "network", `"mainnet"`).file(t), "--nonce", nonce),
		} {
			if r.code != 1 || !strings.Contains(r.stdout, "NOT ACCEPTABLE") {
				t.Errorf("%s: exit %d\n%s", name, r.code, r.stdout)
			}
		}
	}
	if keys := string(s.get(t, "/api/v1/eth2/publicKeys")); !strings.Contains(keys, made[0]) || !strings.Contains(keys, made[1]) {
		t.Errorf("in service: %s", keys)
	}
}

// agreesWithTheOracle compares the roots with those of another implementation.
func agreesWithTheOracle(t *testing.T, d deposit.Data) {
	t.Helper()
	message := phase0.DepositMessage{PublicKey: phase0.BLSPubKey(d.Pubkey), WithdrawalCredentials: d.WithdrawalCredentials, Amount: phase0.Gwei(d.Amount)}
	data := phase0.DepositData{PublicKey: message.PublicKey, WithdrawalCredentials: d.WithdrawalCredentials, Amount: message.Amount, Signature: phase0.BLSSignature(d.Signature)}
	messageRoot, err := message.HashTreeRoot()
	if err != nil {
		t.Fatal(err)
	}
	dataRoot, err := data.HashTreeRoot()
	if err != nil {
		t.Fatal(err)
	}
	if string(d.DepositMessageRoot) != string(messageRoot[:]) || string(d.DepositDataRoot) != string(dataRoot[:]) {
		t.Errorf("roots %v and %v, the oracle's %x and %x", d.DepositMessageRoot, d.DepositDataRoot, messageRoot, dataRoot)
	}
}
