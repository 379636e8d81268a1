package attested

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-sev-guest/verify/trust"

	sevdata "github.com/google/go-sev-guest/verify/testdata"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/attest/dcap"
	"github.com/secure-signer/secure-signer/attest/snp"
	"github.com/secure-signer/secure-signer/attestapi"
	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/custody"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/testdata"
	"github.com/secure-signer/secure-signer/internal/tlsfiles/tlstest"
	"github.com/secure-signer/secure-signer/record/memory"
	"github.com/secure-signer/secure-signer/slashing"
	"github.com/secure-signer/secure-signer/tee/dev"
)

// This test binary is also the second process: a program that passes for a signer,
// and writes down every byte that it is sent.
const (
	fakeMode   = "ATTESTED_FAKE"        // what it does
	fakeRoot   = "ATTESTED_FAKE_ROOT"   // file of a test root
	fakeRecord = "ATTESTED_FAKE_RECORD" // file for what it is sent
	fakeData   = "ATTESTED_FAKE_DATA"   // folder with recorded SGX evidence
)

// The modes. Honest is a signer as it should be, but that it keeps no key and writes
// down what it is sent.
const (
	honest   = "honest"
	debug    = "debug"    // its evidence says that the host looks in
	stranger = "stranger" // its receipts are signed by somebody else
	silent   = "silent"   // its receipts say that it forgot the history
	snpOld   = "snp"      // genuine evidence of a real machine: not of this connection, and of old firmware
	hangup   = "hangup"   // it ends the connection that its evidence is bound to
	snpBare  = "snp-bare" // the same, and no collateral comes with it
	sgxOld   = "sgx"      // the same with collateral of 2022
)

func fake() int {
	record, err := os.OpenFile(os.Getenv(fakeRecord), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	certificate := tlstest.Issue(nil, "fake")
	api, err := fakeAPI(os.Getenv(fakeMode), certificate.Cert.RawSubjectPublicKeyInfo)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate.Shown()}})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Printf("https://%s\n", l.Addr())
	if err := http.Serve(l, recorded(record, api)); err != nil {
		fmt.Println(err)
	}
	return 1
}

// recorded writes down each request before it is worked on.
func recorded(w io.Writer, next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %v %s %v\n", r.Method, r.URL, r.Header, body, err)
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(rw, r)
	})
}

// fakeAPI is the real attestation API over parts that keep nothing.
func fakeAPI(mode string, tlsKey []byte) (http.Handler, error) {
	network, _ := eth2.Builtin("hoodi")
	guard := slashing.New(memory.New(), slashing.Config{Network: network, Now: time.Now})
	keyring, err := bls.OpenKeyring(bls.Config{})
	if err != nil {
		return nil, err
	}
	keys := &custody.Custodian{Vault: noVault{}, Keyring: keyring, Guard: guard}
	if _, err := keys.Load(context.Background()); err != nil {
		return nil, err
	}
	platform, err := dev.Open(os.Getenv(fakeRoot))
	if err != nil {
		return nil, err
	}
	platform.Debug = mode == debug
	evidence := platform.Evidence
	if mode == snpOld || mode == snpBare || mode == sgxOld {
		evidence = func(context.Context, attest.ReportData) (attest.Evidence, error) { return oldEvidence(mode) }
	}
	api, err := attestapi.New(attestapi.Config{
		Evidence: evidence,
		TLSKey:   func(*http.Request) []byte { return tlsKey },
		Settings: attestapi.Settings{
			Horizon: attestapi.Keeper{Kind: attestapi.NoKeeper}, Sealing: attestapi.Keeper{Kind: attestapi.NoKeeper},
			NewKeyFloor: "clock", MaxFutureEpochs: "1", KeyExport: attestapi.KeyExportOwner, Hardening: "best-effort",
		},
		Network: network, Custody: keys, Guard: guard, Keys: keyring, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc(attestapi.RouteAttest, func(w http.ResponseWriter, r *http.Request) {
		if mode == hangup {
			w.Header().Set("Connection", "close")
		}
		api.Attest.ServeHTTP(w, r)
	})
	mux.Handle(attestapi.RouteImport, unfaithful(mode, api.Import))
	mux.Handle(attestapi.RouteGenerate, api.Generate)
	mux.HandleFunc("/eth/v1/keystores", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"data":[]}`) })
	return mux, nil
}

// unfaithful changes the receipts.
func unfaithful(mode string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		var imported attestapi.Imported
		if err := json.Unmarshal(answer.Body.Bytes(), &imported); err == nil && answer.Code == http.StatusOK {
			switch mode {
			case stranger: // of the right form, by somebody who was never inside
				_, key, err := ed25519.GenerateKey(rand.Reader)
				if err != nil {
					panic(err)
				}
				imported.Signature = ed25519.Sign(key, []byte("secure-signer receipt v1\x00"+imported.Receipt))
			case silent:
				imported.Receipt = strings.Replace(imported.Receipt, `"history":true`, `"history":false`, 1)
			}
			text, err := json.Marshal(imported)
			if err != nil {
				panic(err)
			}
			answer.Body = bytes.NewBuffer(text)
		}
		w.WriteHeader(answer.Code)
		io.Copy(w, answer.Body) // the client may have gone
	})
}

func oldEvidence(mode string) (attest.Evidence, error) {
	switch mode {
	case snpOld:
		return amdSample(), nil
	case snpBare:
		bare := amdSample()
		bare.Collateral = nil
		return bare, nil
	}
	ev := attest.Evidence{Type: attest.TypeSGX, Collateral: map[string][]byte{}}
	var err error
	read := func(name string) []byte {
		text, e := os.ReadFile(filepath.Join(os.Getenv(fakeData), name))
		if e != nil {
			err = e
		}
		return text
	}
	ev.Value = read("quote_v3_ecdsa_p256_pck_chain.bin")
	ev.Collateral[dcap.TCBInfo] = read("tcb_info_v3_fmspc_00606A000000.json")
	ev.Collateral[dcap.QEIdentity] = read("qe_identity_v2.json")
	ev.Collateral[dcap.TCBChain] = read("tcb_info_v3_fmspc_00606A000000_certs.pem")
	return ev, err
}

// amdSample is AMD's own, of a machine with the firmware of its day.
func amdSample() attest.Evidence {
	ask, rest := pem.Decode(trust.AskArkMilanVcekBytes)
	ark, _ := pem.Decode(rest)
	return attest.Evidence{Type: attest.TypeSNP, Value: sevdata.AttestationBytes, Collateral: map[string][]byte{
		snp.VCEK: sevdata.VcekBytes, snp.ASK: ask.Bytes, snp.ARK: ark.Bytes,
	}}
}

type noVault struct{}

func (noVault) List() []bls.PublicKey                                    { return nil }
func (noVault) Keys(func(bls.PublicKey, *bls.SecretKey) bool) error      { return nil }
func (noVault) Add(context.Context, *bls.SecretKey, bls.PublicKey) error { return nil }
func (noVault) Delete(context.Context, bls.PublicKey) error              { return nil }

// A witness is somebody at the other end, and what he was sent.
type witness struct {
	url    string
	record string // file
}

// startFake starts the second process.
func startFake(t *testing.T, mode, root string) witness {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	w := witness{record: filepath.Join(t.TempDir(), "record")}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), fakeMode+"="+mode, fakeRoot+"="+root, fakeRecord+"="+w.record)
	if mode == sgxOld {
		cmd.Env = append(cmd.Env, fakeData+"="+testdata.Path(t, "evidence/sgx-tdx"))
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill() // it may have ended
		cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "https://") {
		t.Fatalf("%q, %v", line, err)
	}
	w.url = strings.TrimSpace(line)
	return w
}

// startRelay is a proxy that ends TLS with this certificate, writes down what passes,
// and hands it on to the signer.
func startRelay(t *testing.T, s *signer, certificate tls.Certificate) witness {
	t.Helper()
	w := witness{record: filepath.Join(t.TempDir(), "record")}
	record, err := os.Create(w.record)
	if err != nil {
		t.Fatal(err)
	}
	inner := insecure(t)
	relay := httptest.NewUnstartedServer(recorded(record, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		on, err := http.NewRequestWithContext(r.Context(), r.Method, s.URL+r.URL.Path, r.Body)
		if err != nil {
			panic(err)
		}
		on.Header = r.Header
		resp, err := inner.Do(on)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		defer resp.Body.Close()
		rw.WriteHeader(resp.StatusCode)
		io.Copy(rw, resp.Body) // the client may have gone
	})))
	relay.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	relay.StartTLS()
	t.Cleanup(func() {
		relay.Close()
		record.Close()
	})
	w.url = "https://" + relay.Listener.Addr().(*net.TCPAddr).String()
	return w
}

// learnt is what the witness was sent.
func (w witness) learnt(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(w.record)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
