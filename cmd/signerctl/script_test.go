package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/custody"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/httpjson"
	"github.com/secure-signer/secure-signer/keymanager"
	"github.com/secure-signer/secure-signer/keystore"
	"github.com/secure-signer/secure-signer/management"
	"github.com/secure-signer/secure-signer/policy"
	"github.com/secure-signer/secure-signer/record"
	"github.com/secure-signer/secure-signer/record/memory"
	"github.com/secure-signer/secure-signer/signer"
	"github.com/secure-signer/secure-signer/slashing"
	"github.com/secure-signer/secure-signer/vault"
	"github.com/secure-signer/secure-signer/web3signer"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"signerctl": main})
}

func TestScripts(t *testing.T) {
	if testing.Short() {
		t.Skip("scrypt is ten times as slow under the race detector, which would watch programs that ask one thing")
	}
	t.Cleanup(func() { goleak.VerifyNone(t) })
	testscript.Run(t, testscript.Params{
		Dir:   "testdata/script",
		Setup: setUp,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":     exits,
			"signer":    changeSigner,
			"keystores": writeKeystores,
			"folders":   writeFolders,
			"history":   writeHistory,
			"key":       setKey,
			"mode":      checkMode,
		},
	})
}

// exits runs a program and expects an exit code: exits 2 signerctl keys. An
// argument @FILE stands for the lines of a file.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	var line []string
	for _, arg := range args[1:] {
		if file, ok := strings.CutPrefix(arg, "@"); ok {
			line = append(line, strings.Fields(ts.ReadFile(file))...)
		} else {
			line = append(line, arg)
		}
	}
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(line[0], line[1:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("%v: exit code %d, want %d", args[1:], got, want)
	}
}

// A testSigner is a signer for one script, with the real parts behind its routes.
type testSigner struct {
	vault   *vault.Vault
	guard   *slashing.Guard
	network *eth2.Network
	down    atomic.Bool   // the store is
	room    atomic.Int64  // for so many records more
	answers atomic.Int64  // to so many requests that change something; then it fails as
	broken  atomic.Int32  // says: breaksOff or hangs
	hung    chan struct{} // gets a value for each request that hangs
	server  *httptest.Server

	cutBackup atomic.Bool // backups end half way
	allowed   []eth2.Kind // beside duties, from the next restart on

	// What a restart replaces.
	keyring *bls.Keyring
	custody *custody.Custodian
	signing *web3signer.Handler
	routes  atomic.Pointer[http.ServeMux]
}

// How a signer fails.
const (
	breaksOff int32 = iota + 1
	hangs
)

// fail breaks a connection off, or leaves it without an answer.
func (s *testSigner) fail(r *http.Request) {
	switch {
	case r.Method == http.MethodGet || s.broken.Load() == 0 || s.answers.Add(-1) >= 0:
	case s.broken.Load() == breaksOff:
		panic(http.ErrAbortHandler)
	default:
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server notice that the client has gone
		s.hung <- struct{}{}
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
}

var errFull = errors.New("no space left on device")

// setUp starts a signer that holds no keys, and points signerctl at it.
func setUp(env *testscript.Env) error {
	dir := filepath.Join(env.WorkDir, "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "api-token.txt"), []byte("the-token\n"), 0o600); err != nil {
		return err
	}
	s, err := startSigner(filepath.Join(dir, "vault"))
	if err != nil {
		return err
	}
	env.Defer(s.stop)
	env.Values["signer"] = s
	env.Setenv("SIGNERCTL_URL", s.server.URL)
	env.Setenv("SIGNERCTL_DATA_DIR", dir)
	repo, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	env.Setenv("REPO", repo)
	env.Setenv("PROGRAM", program)
	return nil
}

func startSigner(path string) (*testSigner, error) {
	sealer, err := vault.PassphraseWork([]byte("a passphrase"), vault.MinWork)
	if err != nil {
		return nil, err
	}
	if err := vault.Create(path, sealer); err != nil {
		return nil, err
	}
	s := &testSigner{hung: make(chan struct{}, 8)}
	s.room.Store(1 << 20)
	if s.vault, err = vault.Open(path, sealer); err != nil {
		return nil, err
	}
	s.network, _ = eth2.Builtin("hoodi")
	s.guard = slashing.New(fullStore{memory.New(), s}, slashing.Config{Network: s.network})
	if err := s.restart(); err != nil {
		return nil, err
	}
	s.server = httptest.NewServer(httpjson.RequireToken(func() string { return "the-token" },
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.fail(r)
			s.routes.Load().ServeHTTP(w, r)
		})))
	return s, s.load()
}

func (s *testSigner) stop() {
	s.server.Close()
	if err := errors.Join(s.keyring.Close(), s.vault.Close()); err != nil {
		panic(err)
	}
}

// restart leaves the signer as it is before it has loaded its keys.
func (s *testSigner) restart() (err error) {
	if s.keyring != nil {
		if err := s.keyring.Close(); err != nil {
			return err
		}
	}
	if s.keyring, err = bls.OpenKeyring(bls.Config{Workers: 1}); err != nil {
		return err
	}
	s.custody = &custody.Custodian{Vault: s.vault, Keyring: s.keyring, Guard: s.guard}
	log := slog.New(slog.DiscardHandler)
	mux := http.NewServeMux()
	mux.Handle("/eth/v1/keystores", keymanager.New(keymanager.Config{Custody: s.custody, Guard: s.guard, Log: log}))
	mux.Handle("/signer/v1/", management.New(management.Config{
		Custody: s.custody, Guard: s.guard, Network: s.network, Release: "v1.2.3", Started: time.Now(), Log: log, Backup: s.backup,
		StoreErr: func() error {
			if s.down.Load() {
				return errFull
			}
			return nil
		},
	}))
	s.signing = web3signer.New(web3signer.Config{
		Signer:     &signer.Signer{Network: s.network, Keys: s.keyring, Guard: s.guard, Policy: policy.Duties(s.allowed...)},
		PublicKeys: s.custody.List, Log: log,
	})
	mux.Handle("/api/v1/eth2/", s.signing)
	s.routes.Store(mux)
	return nil
}

func (s *testSigner) load() error {
	_, err := s.custody.Load(context.Background())
	s.signing.Ready()
	return err
}

// A fullStore makes only so many records as its signer has room for.
type fullStore struct {
	record.Store
	signer *testSigner
}

func (f fullStore) Create(ctx context.Context, key record.Key, value []byte) error {
	if f.signer.room.Add(-1) < 0 {
		return errFull
	}
	return f.Store.Create(ctx, key, value)
}

// changeSigner changes the signer of a script:
//
//	signer stop      it answers no more
//	signer down      its store has failed
//	signer room N    its store takes N records more
//	signer forget    it holds a key that it knows nothing of
//	signer signs @FILE N  it has signed a block and a vote with the key in a file
//	signer restart   it has been started, and has not loaded its keys
//	signer load      now it has
//	signer allow KIND  it has been restarted with that, and has loaded its keys
//	signer chain NETWORK  the same, but on another network
//	signer cut       its backups end half way
//	signer breaks N  it changes something N times more, then it breaks connections off
//	signer hangs N   the same, but then it does not answer
//	signer hung      waits until it has not answered
//	signer mends     it answers again
func changeSigner(ts *testscript.TestScript, _ bool, args []string) {
	s := ts.Value("signer").(*testSigner)
	switch args[0] {
	case "stop":
		s.server.Close()
	case "down":
		s.down.Store(true)
	case "room":
		n, err := strconv.ParseInt(args[1], 10, 64)
		ts.Check(err)
		s.room.Store(n)
	case "forget":
		sk, err := bls.GenerateKey()
		ts.Check(err)
		ts.Check(s.vault.Add(context.Background(), sk, sk.PublicKey()))
	case "signs":
		pub, err := bls.ParsePublicKey(strings.TrimSpace(ts.ReadFile(strings.TrimPrefix(args[1], "@"))))
		ts.Check(err)
		n, err := strconv.ParseUint(args[2], 10, 8)
		ts.Check(err)
		epoch := eth2.Epoch(n)
		vote := eth2.AttestationData{Source: eth2.Checkpoint{Epoch: epoch - 1}, Target: eth2.Checkpoint{Epoch: epoch}}
		ctx := context.Background()
		ts.Check(s.guard.Record(ctx, pub, &eth2.Block{Header: &eth2.BeaconBlockHeader{Slot: eth2.Slot(n)}}, eth2.Root{byte(n)}))
		ts.Check(s.guard.Record(ctx, pub, &eth2.Attestation{Data: vote}, eth2.Root{byte(n)}))
	case "restart":
		ts.Check(s.restart())
	case "load":
		ts.Check(s.load())
	case "allow":
		kind, err := eth2.ParseKind(args[1])
		ts.Check(err)
		s.allowed = append(s.allowed, kind)
		ts.Check(s.restart())
		ts.Check(s.load())
	case "chain":
		s.network, _ = eth2.Builtin(args[1])
		ts.Check(s.restart())
		ts.Check(s.load())
	case "cut":
		s.cutBackup.Store(true)
	case "breaks", "hangs":
		n, err := strconv.ParseInt(args[1], 10, 64)
		ts.Check(err)
		s.answers.Store(n)
		s.broken.Store(map[string]int32{"breaks": breaksOff, "hangs": hangs}[args[0]])
	case "hung":
		<-s.hung
	case "mends":
		s.broken.Store(0)
	default:
		ts.Fatalf("signer %v?", args)
	}
}

// writeKeystores writes N keystores under a password: keystores DIR N PASSWORD.
func writeKeystores(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o700))
	for i := range n {
		sk, err := bls.GenerateKey()
		ts.Check(err)
		text, err := cheapKeystore(sk, args[2])
		ts.Check(err)
		ts.Check(os.WriteFile(filepath.Join(dir, fmt.Sprintf("keystore-m_12381_3600_%d_0_0-1700000000.json", i)), []byte(text), 0o600))
	}
}

// writeFolders writes N keys as a client keeps them, each under a password of its own:
// folders DIR N CLIENT.
func writeFolders(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	for i := range n {
		sk, err := bls.GenerateKey()
		ts.Check(err)
		password := fmt.Sprintf("password %d", i)
		text, err := cheapKeystore(sk, password)
		ts.Check(err)
		pub := sk.PublicKey().String()
		names := map[string][2]string{
			"lighthouse": {"validators/" + pub + "/voting-keystore.json", "secrets/" + pub},
			"deposited":  {"validators/" + pub + "/keystore-m_12381_3600_0_0_0-1595959302.json", "secrets/" + pub},
			"nimbus":     {"validators/" + pub + "/keystore.json", "secrets/" + pub},
			"lodestar":   {"keystores/" + pub + "/voting-keystore.json", "secrets/" + pub},
			"teku":       {"keys/" + pub[2:10] + ".json", "passwords/" + pub[2:10] + ".txt"},
			"twins":      {pub[2:10] + ".json", pub[2:10] + ".txt"},
		}[args[2]]
		for k, content := range []string{text, password + "\n"} {
			file := filepath.Join(ts.MkAbs(args[0]), names[k])
			ts.Check(os.MkdirAll(filepath.Dir(file), 0o700))
			ts.Check(os.WriteFile(file, []byte(content), 0o600))
		}
	}
}

// writeHistory writes an interchange that gives each key of some keystores one
// block and one attestation: history FILE DIR SLOT SOURCE TARGET.
func writeHistory(ts *testscript.TestScript, _ bool, args []string) {
	files, err := filepath.Glob(filepath.Join(ts.MkAbs(args[1]), "*.json"))
	ts.Check(err)
	var data []string
	for _, file := range files {
		ks, err := keystore.Parse([]byte(ts.ReadFile(file)))
		ts.Check(err)
		pub, _ := ks.PublicKey()
		data = append(data, fmt.Sprintf(`{"pubkey":%q,"signed_blocks":[{"slot":%q}],"signed_attestations":[{"source_epoch":%q,"target_epoch":%q}]}`, pub, args[2], args[3], args[4]))
	}
	s := ts.Value("signer").(*testSigner)
	text := fmt.Sprintf(`{"metadata":{"interchange_format_version":"5","genesis_validators_root":%q},"data":[%s]}`, s.network.GenesisValidatorsRoot, strings.Join(data, ","))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

// setKey sets KEY<N> to the key of the first keystore of a folder that has not been
// taken: key 0 DIR.
func setKey(ts *testscript.TestScript, _ bool, args []string) {
	files, err := filepath.Glob(filepath.Join(ts.MkAbs(args[1]), "*.json"))
	ts.Check(err)
	for _, file := range files {
		ks, err := keystore.Parse([]byte(ts.ReadFile(file)))
		ts.Check(err)
		pub, _ := ks.PublicKey()
		taken := false
		for n := range 10 {
			taken = taken || ts.Getenv(fmt.Sprintf("KEY%d", n)) == pub.String()
		}
		if !taken {
			ts.Setenv("KEY"+args[0], pub.String())
			return
		}
	}
	ts.Fatalf("every key of %s is taken", args[1])
}

// checkMode checks a file's permissions: mode 0600 FILE.
func checkMode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[0] {
		ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
	}
}
