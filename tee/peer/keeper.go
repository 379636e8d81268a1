package peer

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/internal/httpjson"
	"github.com/secure-signer/secure-signer/tee"
)

// The reasons that only a keeper gives.
const (
	ReasonNonce    = "release_nonce"     // 409: not of this keeper, too old, or used
	ReasonEvidence = "evidence_refused"  // 403: it proves nothing, or not what the policy wants
	ReasonBusy     = "too_many_releases" // 503
)

// Reasons returns the closed list of them.
func Reasons() []string { return []string{ReasonNonce, ReasonEvidence, ReasonBusy} }

// A Config is what a keeper decides by.
type Config struct {
	Verifier attest.Verifier
	Policy   attest.Policy
	Log      *slog.Logger
	Now      func() time.Time // the keeper's own clock; nil is time.Now
}

// A Keeper gives keys.
type Keeper struct {
	config Config
	secret [32]byte
	key    ed25519.PrivateKey // signs answers
	nonces *nonces
	room   chan struct{} // for what is in work
}

// maxInWork bounds what is verified at a time. Each costs milliseconds.
const maxInWork = 16

// Check refuses a policy that nothing could ever satisfy, and one that every program
// on a machine satisfies: a TPM tells what was booted, and not who asks.
func (c Config) Check() error {
	switch {
	case slices.ContainsFunc(c.Policy.Accept, func(id attest.Identity) bool { return id.Kind == attest.KindTPM }):
		return errors.New("the policy accepts a plain host with a TPM, whose evidence does not tell which program asks: leave it out; such a host seals by itself")
	case len(c.Policy.Accept) == 0:
		return errors.New("the policy accepts no program: name those that get a key, in accept")
	case len(c.Policy.Settings) > 0:
		return errors.New("the policy names settings, and evidence for a sealing key shows none: leave them out; the key is bound to what its vault was sealed under anyway")
	}
	return nil
}

// NewKeeper returns a keeper with its secret.
func NewKeeper(secret [32]byte, c Config) (*Keeper, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	k := &Keeper{config: c, secret: secret, nonces: newNonces(), room: make(chan struct{}, maxInWork)}
	k.key = ed25519.NewKeyFromSeed(k.derive([]byte("secure-signer key keeper v1 signature")))
	return k, nil
}

// PublicKey is what the keeper's answers are known by. It hangs on the secret.
func (k *Keeper) PublicKey() ed25519.PublicKey { return k.key.Public().(ed25519.PublicKey) }

func (k *Keeper) derive(info []byte) []byte {
	key, err := hkdf.Key(sha256.New, k.secret[:], nil, string(info), 32)
	if err != nil {
		panic("peer: internal error: " + err.Error())
	}
	return key
}

// Handler returns the keeper's routes.
func (k *Keeper) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+pathNonce, func(w http.ResponseWriter, _ *http.Request) {
		httpjson.WriteJSON(w, http.StatusOK, nonceAnswer{k.nonces.draw(k.config.Now())})
	})
	mux.HandleFunc("POST "+pathRelease, func(w http.ResponseWriter, r *http.Request) {
		select {
		case k.room <- struct{}{}:
			defer func() { <-k.room }()
			k.serve(w, r)
		default:
			httpjson.WriteError(w, http.StatusServiceUnavailable, ReasonBusy, "too many ask for keys at a time: ask again")
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == pathNonce || r.URL.Path == pathRelease {
			w.Header().Set("Allow", http.MethodPost)
			httpjson.WriteError(w, http.StatusMethodNotAllowed, httpjson.ReasonMethodNotAllowed, "use POST")
			return
		}
		httpjson.WriteError(w, http.StatusNotFound, httpjson.ReasonNoSuchRoute, "no such route: this keeps sealing keys and does nothing else")
	})
	return mux
}

func (k *Keeper) serve(w http.ResponseWriter, r *http.Request) {
	var asked releaseRequest
	if err := httpjson.Decode(r.Body, maxBody, &asked); err != nil {
		httpjson.WriteDecodeError(w, err)
		return
	}
	log := k.config.Log.With("address", r.RemoteAddr)
	who, sealed, err := k.release(asked)
	switch {
	case errors.Is(err, errNonce):
		log.Warn("no key given", "error", err)
		httpjson.WriteError(w, http.StatusConflict, ReasonNonce, err.Error())
	case errors.Is(err, errBusy):
		log.Warn("no key given", "error", err)
		httpjson.WriteError(w, http.StatusServiceUnavailable, ReasonBusy, err.Error())
	case err != nil:
		log.Warn("no key given", "error", err)
		httpjson.WriteError(w, http.StatusForbidden, ReasonEvidence, err.Error())
	default:
		log.Info("key given", "kind", who.Kind, "measurements", shown(who.Measurements), "debug", who.Debug)
		httpjson.WriteJSON(w, http.StatusOK, releaseAnswer{sealed, ed25519.Sign(k.key, signed(asked, sealed))})
	}
}

// release decides. The nonce is looked at first, because that costs nothing, and
// used up last, so that it takes accepted evidence to fill the memory of used ones.
func (k *Keeper) release(asked releaseRequest) (attest.Result, []byte, error) {
	now := k.config.Now()
	if err := k.nonces.check(asked.Nonce, now); err != nil {
		return attest.Result{}, nil, err
	}
	if len(asked.Label) > maxLabel {
		return attest.Result{}, nil, fmt.Errorf("a label of %d bytes, at most %d are taken", len(asked.Label), maxLabel)
	}
	ev, err := attest.ParseEvidence(asked.Evidence)
	if err != nil {
		return attest.Result{}, nil, err
	}
	// Evidence that says more was made for another purpose.
	if len(ev.Claims.TLSKey) > 0 || len(ev.Claims.Config) > 0 {
		return attest.Result{}, nil, errors.New("the evidence claims more than a key to seal to: it was made for another purpose")
	}
	who, err := k.config.Verifier.Verify(ev, now)
	if err != nil {
		return attest.Result{}, nil, fmt.Errorf("the evidence proves nothing: %w", err)
	}
	if err := k.config.Policy.JudgeClaims(who, ev.Claims, asked.Nonce, nil); err != nil {
		return attest.Result{}, nil, err
	}
	key := k.derive(keyInfo(who, asked.Label))
	defer clear(key)
	sealed, err := attest.SealTo(ev.Claims.HPKEKey, tee.ReleaseInfo(asked.Nonce, asked.Label), key)
	if err != nil {
		return attest.Result{}, nil, err
	}
	return who, sealed, k.nonces.use(asked.Nonce, now)
}

// keyInfo says whose key it is. Two programs that differ in any part of it have
// different keys, and the debug mode of one program another than its real one.
func keyInfo(who attest.Result, label string) []byte {
	parts := [][]byte{[]byte("secure-signer key keeper v1 sealing key"), []byte(who.Kind)}
	parts = append(parts, binary.BigEndian.AppendUint64(nil, uint64(len(who.Measurements))))
	for _, name := range slices.Sorted(maps.Keys(who.Measurements)) {
		parts = append(parts, []byte(name), who.Measurements[name])
	}
	debug := []byte{0}
	if who.Debug {
		debug[0] = 1
	}
	return lengthPrefixed(append(parts, who.Signer, binary.BigEndian.AppendUint64(nil, who.Product), debug, []byte(label))...)
}

func shown(measurements map[string]attest.Hex) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(measurements)) {
		all = append(all, name+" "+measurements[name].String())
	}
	return strings.Join(all, ", ")
}
