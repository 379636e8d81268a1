package attested

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/attest/snp"
	"github.com/secure-signer/secure-signer/internal/tlsfiles/tlstest"
)

// secrets are what must never reach who was not accepted, in each form that it
// could be sent in.
func (i importer) secrets(t *testing.T) map[string]string {
	t.Helper()
	token, err := os.ReadFile(i.token)
	if err != nil {
		t.Fatal(err)
	}
	var ks struct {
		Crypto struct{ Cipher struct{ Message string } }
	}
	if err := json.Unmarshal([]byte(i.key.Keystore(password)), &ks); err != nil || ks.Crypto.Cipher.Message == "" {
		t.Fatal("no keystore", err)
	}
	secret := i.key.Secret()
	return map[string]string{
		"the token":                 strings.TrimSpace(string(token)),
		"an Authorization header":   "Authorization",
		"the password":              password,
		"the keystore":              ks.Crypto.Cipher.Message,
		"the secret":                string(secret[:]),
		"the secret in hexadecimal": hex.EncodeToString(secret[:]),
		"the secret in base64":      base64.StdEncoding.EncodeToString(secret[:])[:40],
		"the key's public key":      i.key.Hex()[2:],
		"an import":                 "POST /import",
		"the keymanager API":        "/eth/v1/keystores",
		"a generation":              "POST /attest/keys",
	}
}

// refused runs the import, which must be refused for a reason that matches, and
// looks through what the witness was sent.
func (i importer) refused(t *testing.T, w witness, p policy, reason string) {
	t.Helper()
	r := i.imports(t, w.url, p)
	if r.code != 1 || !regexp.MustCompile(reason).MatchString(r.stderr) {
		t.Errorf("exit %d, want a refusal that says %q\n%s%s", r.code, reason, r.stdout, r.stderr)
	}
	learnt := w.learnt(t)
	if !strings.Contains(learnt, "POST /attest ") {
		t.Errorf("the witness was asked nothing, so it proves nothing: %q", learnt)
	}
	for what, text := range i.secrets(t) {
		if strings.Contains(learnt, text) {
			t.Errorf("%s reached who was not accepted:\n%q", what, learnt)
		}
	}
	r = signerctl(t, "--url", w.url, "--token-file", i.token, "keys", "generate", "--attest", p.file(t),
		"--withdrawal-address", "0x00000000000000000000000000000000000000aa", "--out", filepath.Join(t.TempDir(), "out"))
	if r.code != 1 || !strings.Contains(r.stderr, "no key was made") || strings.Contains(w.learnt(t), "Authorization") {
		t.Errorf("generate: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// The witness sees what is sent to a signer that was accepted: if it did not, the
// tests below could not fail.
func TestTheWitnessSeesWhatASignerIsSent(t *testing.T) {
	t.Parallel()
	w := startFake(t, honest, filepath.Join(t.TempDir(), "root"))
	i := newImporter(t, 0, put(t, "token", []byte("the-token-of-the-signer")))
	if r := i.imports(t, w.url, policyOf(t, w.url)); r.code != 0 {
		t.Fatalf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	learnt := w.learnt(t)
	for what, text := range i.secrets(t) {
		secret := what == "the password" || what == "the keystore" || strings.HasPrefix(what, "the secret")
		if what == "a generation" {
			continue
		}
		if strings.Contains(learnt, text) == secret {
			t.Errorf("%s: seen %t", what, !secret)
		}
	}
}

func TestWhoIsNotWhatThePolicyAcceptsLearnsNothing(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "root")
	i := newImporter(t, 0, put(t, "token", []byte("the-token-of-the-signer")))
	good := policyOf(t, startFake(t, honest, root).url)
	for _, tt := range []struct {
		name   string
		mode   string
		policy policy
		reason string
	}{
		{"a debug enclave", debug, good, `debug mode is on: the host can read every key`},
		{"another program", honest, good.with("accept", `[{"kind":"dev","measurements":{"measurement":"aabb"}}]`), `measurement is [0-9a-f]+, the policy accepts aabb`},
		{"another kind of hardware", honest, good.with("accept", `[{"kind":"sgx","measurements":{"mrenclave":"aabb"}}]`), `accepts no program on "dev"`},
		{"another root", honest, good.with("roots", `["`+strings.Repeat("00", 32)+`"]`), `root [0-9a-f]+ is not trusted`},
		{"a TCB that nobody rates", honest, good.with("tcb", `["UpToDate"]`), `TCB status is "Unrated", the policy accepts \["UpToDate"\]`},
		{"genuine hardware with old firmware, whose evidence is replayed", snpOld, oldFirmware(t), `TCB version microcode is \d+, the policy wants at least 255: update firmware`},
		{"genuine hardware with old collateral", sgxOld, good, `collateral: .*fetch it again`},
		{"another network", honest, good.setting(t, "network", `"mainnet"`), `setting "network" is "hoodi", the policy wants "mainnet"`},
		{"another chain", honest, good.setting(t, "genesis_validators_root", `"0x00"`), `setting "genesis_validators_root"`},
		{"another horizon", honest, good.setting(t, "horizon", `{"kind":"tpm","identity":{}}`), `setting "horizon" is {"kind":"none"}`},
		{"another floor for new keys", honest, good.setting(t, "new_key_floor", `"none"`), `setting "new_key_floor" is "clock", the policy wants "none": the signer was started with other flags`},
		{"another bound on the future", honest, good.setting(t, "max_future_epochs", `"2"`), `setting "max_future_epochs"`},
		{"other kinds of message", honest, good.setting(t, "allow", `["VOLUNTARY_EXIT"]`), `setting "allow"`},
		{"a setting that the policy does not name", honest, good.with("settings", `{"network":"hoodi"}`), `setting "allow" is \[\], and the policy does not say what it must be`},
		{"no settings in the policy", honest, good.with("settings", `{}`), `setting "network"`},
		{"the policy that is empty", honest, policy{}, `root [0-9a-f]+ is not trusted`},
	} {
		t.Run(tt.name, func(t *testing.T) { i.refused(t, startFake(t, tt.mode, root), tt.policy, tt.reason) })
	}
}

// oldFirmware accepts the machine of AMD's sample, but for the age of its firmware.
func oldFirmware(t *testing.T) policy {
	t.Helper()
	result, err := snp.Verifier{}.Verify(amdSample(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	id := attest.Identity{Kind: result.Kind, Measurements: result.Measurements, Signer: result.Signer, MinTCB: map[string]uint64{}}
	for name := range result.TCBVersion {
		id.MinTCB[name] = 255
	}
	text, err := json.Marshal(attest.Policy{
		Accept: []attest.Identity{id}, Roots: []attest.Digest{result.Root}, TCB: []attest.TCBStatus{attest.TCBUnrated}, AllowUncheckedRevocation: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	var p policy
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// A relay ends TLS in front of the genuine signer, with a certificate of its own or
// with the signer's, whose private key lies in a file of the host's.
func TestARelayInFrontOfTheGenuineSignerIsFoundOut(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "hoodi")
	p := policyOf(t, s.URL)
	own, err := tls.LoadX509KeyPair(s.tls[1], s.tls[3])
	if err != nil {
		t.Fatal(err)
	}
	for name, certificate := range map[string]tls.Certificate{
		"with a certificate of its own":    tlstest.Issue(nil, "relay").Shown(),
		"with the certificate and its key": own,
	} {
		t.Run(name, func(t *testing.T) {
			i := newImporter(t, 0, s.tokenFile())
			w := startRelay(t, s, certificate)
			i.refused(t, w, p, `report data is [0-9a-f]+, want [0-9a-f]+: the evidence belongs to another connection`)
			if r := signerctl(t, "--url", w.url, "attest", "policy", "--root", strings.Trim(string(p["roots"]), "[]\"\n ")); r.code != 1 || !strings.Contains(r.stderr, "there is nothing here to trust") {
				t.Errorf("a draft of a policy: exit %d\n%s%s", r.code, r.stdout, r.stderr)
			}
			if keys := strings.TrimSpace(string(s.get(t, "/api/v1/eth2/publicKeys"))); keys != "[]" {
				t.Errorf("in service: %s", keys)
			}
		})
	}
}

// The right program, started otherwise than the policy says.
func TestTheRightDaemonWithTheWrongFlagsIsRefused(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "hoodi")
	p, i := policyOf(t, s.URL), newImporter(t, 0, s.tokenFile())
	for _, tt := range []struct {
		name, reason string
		flags        []string
	}{
		{"in debug mode", `debug mode is on`, []string{"--dev-debug"}},
		{"without a floor for new keys", `setting "new_key_floor" is "none", the policy wants "clock"`, []string{"--new-key-floor", "none"}},
		{"without a bound on the future", `setting "max_future_epochs" is "off"`, []string{"--max-future-epochs", "off"}},
		{"signing exits", `setting "allow" is \["VOLUNTARY_EXIT"\], the policy wants \[\]`, []string{"--allow", "VOLUNTARY_EXIT"}},
		{"stopping early", `setting "high_watermark"`, []string{"--high-watermark-epoch", "7"}},
	} {
		s.Kill()
		s.serve(tt.flags...)
		r := i.imports(t, s.URL, p)
		if r.code != 1 || !regexp.MustCompile(tt.reason).MatchString(r.stderr) {
			t.Errorf("%s: exit %d\n%s%s", tt.name, r.code, r.stdout, r.stderr)
		}
		if log := s.Log(); strings.Contains(log, "key imported") {
			t.Errorf("%s: %s", tt.name, log)
		}
	}
	other := newSigner(t, "sepolia")
	wanting := policyOf(t, other.URL)
	wanting["settings"] = p["settings"] // all is the same, but the chain
	if r := i.imports(t, other.URL, wanting); r.code != 1 || !strings.Contains(r.stderr, `setting "genesis_validators_root"`) {
		t.Errorf("another network: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

func TestASignerWithoutTrustedHardwareOrTLSSaysSo(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "hoodi")
	i := newImporter(t, 0, s.tokenFile())
	p := policyOf(t, s.URL)
	if r := i.imports(t, strings.Replace(s.URL, "https:", "http:", 1), p); r.code != 2 || !strings.Contains(r.stderr, "--tls-cert-file") {
		t.Errorf("http: exit %d\n%s", r.code, r.stderr)
	}
	s.Kill()
	s.tls = nil
	s.serve()
	if r := i.imports(t, s.URL, p); r.code != 1 || !strings.Contains(r.stderr, "does not speak TLS") {
		t.Errorf("no TLS at the other end: exit %d\n%s", r.code, r.stderr)
	}
}

// Collateral that a signer does not bring is the operator's to add.
func TestCollateralOfTheOperatorsOwn(t *testing.T) {
	t.Parallel()
	i := newImporter(t, 0, put(t, "token", []byte("the-token-of-the-signer")))
	w := startFake(t, snpBare, filepath.Join(t.TempDir(), "root"))
	if r := i.imports(t, w.url, oldFirmware(t)); r.code != 1 || !strings.Contains(r.stderr, " did not come with the evidence: add it to the collateral") {
		t.Errorf("without: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	dir := t.TempDir()
	for name, text := range amdSample().Collateral {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if r := i.imports(t, w.url, oldFirmware(t), "--collateral-dir", dir); r.code != 1 || !strings.Contains(r.stderr, "evidence not acceptable") || strings.Contains(r.stderr, "collateral") {
		t.Errorf("with: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// A CA is not needed, and counts where one is given.
func TestACertificateThatACAHasIssuedMayBeAskedForAsWell(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "hoodi")
	p, i := policyOf(t, s.URL), newImporter(t, 0, s.tokenFile())
	stranger := put(t, "ca.pem", tlstest.Issue(nil, "another CA", tlstest.Authority).CertPEM())
	if r := i.imports(t, s.URL, p, "--tls-ca-file", stranger); r.code != 1 || !strings.Contains(r.stderr, "is not trusted") {
		t.Errorf("another CA: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r := i.imports(t, s.URL, p, "--tls-ca-file", s.tls[1]); r.code != 0 {
		t.Errorf("its own certificate: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// Whoever answers the next connection has proved nothing: there is none.
func TestNothingIsSentOverAnotherConnectionThanTheOneThatWasProved(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "root")
	p := policyOf(t, startFake(t, honest, root).url)
	i := newImporter(t, 0, put(t, "token", []byte("the-token-of-the-signer")))
	w := startFake(t, hangup, root)
	r := i.imports(t, w.url, p)
	if r.code != 1 || !strings.Contains(r.stderr, "the connection that the evidence was bound to has ended") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	for what, text := range i.secrets(t) {
		if strings.Contains(w.learnt(t), text) {
			t.Errorf("%s reached another connection:\n%q", what, w.learnt(t))
		}
	}
}

// A signer that was accepted, and answers otherwise than one that took the key over.
func TestAReceiptThatIsNotTheSignersIsNotTakenForOne(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "root")
	p := policyOf(t, startFake(t, honest, root).url)
	i := newImporter(t, 0, put(t, "token", []byte("the-token-of-the-signer")))
	for _, mode := range []string{stranger, silent} {
		w := startFake(t, mode, root)
		r := i.imports(t, w.url, p, "--slashing-protection", put(t, "interchange.json", []byte(interchange(t, i.key))))
		if r.code != 1 || !strings.Contains(r.stderr, "the receipt is not signed by the key that the evidence names") || !strings.Contains(r.stdout, "unknown") {
			t.Errorf("%s: exit %d\n%s%s", mode, r.code, r.stdout, r.stderr)
		}
	}
}
