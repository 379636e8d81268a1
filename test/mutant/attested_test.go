package mutant

import (
	"os"
	"testing"
)

var (
	settings = harness{"", "./attest", "TestOneSettingWrongRefuses", "nil"}
	binding  = harness{"", "./attestapi", "TestEvidenceIsBoundToTheNonceAndToThisVeryConnection", "another (connection|certificate): <nil>|a statement not asked of: <nil>"}
	replays  = harness{"", "./attestapi", "TestAnImportThatIsReplayedIsRefused", "(again|expired): 200"}
	bundles  = harness{"", "./attestapi", "TestABundleThatIsNotWhatItWasSentForIsRefused", "200 .*imported"}
	receipts = harness{"", "./attestapi", "TestAReceiptOfAStrangerOrChangedIsNone", "a stranger: accepted"}
	deposits = harness{"", "./deposit", "TestADepositThatWasChangedIsFoundOut", "accepted"}

	impostors = harness{"test", "./attested", "TestWhoIsNotWhatThePolicyAcceptsLearnsNothing", "reached who was not accepted|exit 0"}
	relays    = harness{"test", "./attested", "TestARelayInFrontOfTheGenuineSignerIsFoundOut", "reached who was not accepted|exit 0"}
	endings   = harness{"test", "./attested", "TestNothingIsSentOverAnotherConnectionThanTheOneThatWasProved", "reached another connection"}
	strangers = harness{"test", "./attested", "TestAReceiptThatIsNotTheSignersIsNotTakenForOne", "stranger: exit 0"}
)

// attestedMistakes are those of giving a key to attested hardware.
var attestedMistakes = []mistake{
	{"settings are not compared", settings, []Edit{{File: "attest/settings.go", Old: "\t\tcase !same:\n", New: "\t\tcase !same && false:\n"}}},
	{"settings that the policy does not name are accepted", settings, []Edit{{
		File: "attest/settings.go", Old: "\t\tcase !named:\n", New: "\t\tcase !named && false:\n"}, {
		File: "attest/settings.go", Old: "\t\tcase err != nil:\n", New: "\t\tcase err != nil && named:\n"}, {
		File: "attest/settings.go", Old: "\t\tcase !same:\n", New: "\t\tcase !same && named:\n"}}},
	{"statements that nobody reads are accepted", binding, []Edit{{
		File: "attest/settings.go", Old: "name != settingsMember && !slices.Contains(reads, name)", New: "name != settingsMember && slices.Contains(reads, \"\")"}}},
	{"a setting may come twice", settings, []Edit{{
		File: "attest/attest.go", Old: "\t\t\tif seen[key] {\n", New: "\t\t\tif seen[key] && false {\n"}}},
	{"evidence is bound to no connection", binding, []Edit{{
		File: "attestapi/evidence.go", Old: "return state.ExportKeyingMaterial(exporterLabel, nonce[:], sha256.Size)", New: "return make([]byte, sha256.Size), nil"}}},
	{"an import nonce is good for ever", replays, []Edit{{File: "attestapi/nonces.go", Old: "\tdelete(n.open, nonce)\n", New: ""}}},
	{"an import nonce does not expire", replays, []Edit{{
		File: "attestapi/nonces.go", Old: "ok && n.now().Before(of.expires)", New: "ok"}}},
	{"a bundle is not bound to evidence, chain, nonce and key", bundles, []Edit{{
		File: "attestapi/bundle.go", Old: "[]byte(bundleDomain), a.GenesisValidatorsRoot[:], a.Evidence[:], a.ImportNonce[:], a.Pubkey[:]", New: "[]byte(bundleDomain)"}}},
	{"a bundle that is silent on its history has none", bundles, []Edit{{
		File: "attestapi/bundle.go", Old: "h.None == (h.SlashingProtection != \"\")", New: "h.None && h.SlashingProtection != \"\""}, {
		File: "attestapi/import.go", Old: "\tif past.None {\n", New: "\tif past.SlashingProtection == \"\" {\n"}, {
		File: "attestapi/import.go", Old: "\tif b.History.None {\n", New: "\tif b.History.SlashingProtection == \"\" {\n"}}},
	{"receipts of strangers are taken", receipts, []Edit{{
		File: "attestapi/receipt.go", Old: "len(key) != ed25519.PublicKeySize || !ed25519.Verify(", New: "len(key) != ed25519.PublicKeySize || false && !ed25519.Verify("}}},
	{"a deposit's signature is not verified", deposits, []Edit{{
		File: "deposit/deposit.go", Old: "if !bls.Verify(", New: "if false && !bls.Verify("}}},
}

// attestedMistakesOutside are those that only real processes notice.
var attestedMistakesOutside = []mistake{
	{"the token goes with the question", impostors, []Edit{{
		File: "cmd/signerctl/attested.go", Old: "\tt := &trusted{channel: ch, policy: policy}\n", New: "\tt := &trusted{channel: ch, policy: policy}\n\tch.token = token\n"}}},
	{"the policy is not asked", impostors, []Edit{{
		File: "cmd/signerctl/attested.go", Old: "attestapi.StatesReceiptKey); err != nil {\n", New: "attestapi.StatesReceiptKey); err != nil && false {\n"}}},
	{"the client takes the exporter value from nowhere", relays, []Edit{{
		File: "attestapi/evidence.go", Old: "return state.ExportKeyingMaterial(exporterLabel, nonce[:], sha256.Size)", New: "return make([]byte, sha256.Size), nil"}, {
		File: "cmd/signerctl/attested.go", Old: "string(got) != string(ch.asked.Evidence.Claims.TLSKey)", New: "string(got) == \"\""}}},
	{"the client connects anew", endings, []Edit{{
		File: "cmd/signerctl/attested.go", Old: "\t\t\treturn nil, errEnded\n", New: "\t\t\treturn new(net.Dialer).DialContext(ctx, network, address)\n"}}},
	{"the client does not look who signed the receipt", strangers, []Edit{{
		File: "attestapi/receipt.go", Old: "len(key) != ed25519.PublicKeySize || !ed25519.Verify(", New: "len(key) != ed25519.PublicKeySize || false && !ed25519.Verify("}}},
}

func TestEveryRuleOfAnAttestedImportIsNeeded(t *testing.T) { catch(t, attestedMistakes) }

func TestEveryRuleOfAnAttestedImportIsNeededOutside(t *testing.T) {
	if os.Getenv("SECURE_SIGNER_LONG") == "" {
		t.Skip("builds two programs for each mistake: SECURE_SIGNER_LONG=1 runs it")
	}
	catch(t, attestedMistakesOutside)
}
