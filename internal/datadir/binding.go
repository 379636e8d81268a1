package datadir

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/secure-signer/secure-signer/eth2"
)

// A Binding is what a folder is tied to beyond its network. Its zero value is a
// folder on a plain host: sealed by a passphrase, with no horizon, handed over to
// nobody.
//
// Whoever owns the machine can edit config.yaml. Where trusted hardware seals the
// vault it seals it under Hash, so that an edited folder does not open.
type Binding struct {
	Platform string // the trusted hardware that seals the vault; empty is none
	Sealing  Keeper // of the sealing key, where the hardware has none of its own
	Horizon  Keeper // of what any copy of this signer may have signed
	Release  Release
}

// A Keeper is somebody outside who keeps what the folder cannot: whoever could put
// another in its place would have what it keeps. Its zero value is none.
type Keeper struct {
	Kind     string
	Identity []byte // one JSON object, public: which one it is; written and read by its package alone, kept byte by byte
}

// A Release says whose leave another version of the program needs to take the
// folder over: Threshold of the Keys. None means that it never can.
type Release struct {
	Threshold int
	Keys      []ed25519.PublicKey
}

// MaxReleaseKeys bounds Release.Keys.
const MaxReleaseKeys = 32

// IsZero reports whether the folder is tied to nothing.
func (b Binding) IsZero() bool {
	return b.Platform == "" && b.Sealing.isZero() && b.Horizon.isZero() && b.Release.isZero()
}

func (k Keeper) isZero() bool  { return k.Kind == "" && len(k.Identity) == 0 }
func (r Release) isZero() bool { return r.Threshold == 0 && len(r.Keys) == 0 }

// bindingDomain changes with the order or the meaning of what Hash hashes.
const bindingDomain = "secure-signer binding v1"

// Hash stands for the chain, the keepers and the release keys, for what seals the
// vault: SHA-256 over domain, genesis validators root, slots in an epoch, kind and
// identity of the sealing key's keeper and of the horizon, the threshold and the keys in ascending
// order, each preceded by its length as 8 bytes, big-endian. The platform is not in
// it: each seals with a key of its own.
//
// The length of an epoch is in it because a horizon owns epochs, and blocks have
// slots: who could change it could have a slot signed in two epochs.
func (b Binding) Hash(genesis eth2.Root, slotsPerEpoch uint64) [32]byte {
	parts := [][]byte{
		[]byte(bindingDomain), genesis[:], binary.BigEndian.AppendUint64(nil, slotsPerEpoch),
		[]byte(b.Sealing.Kind), b.Sealing.Identity,
		[]byte(b.Horizon.Kind), b.Horizon.Identity,
		binary.BigEndian.AppendUint64(nil, uint64(b.Release.Threshold)),
	}
	keys := slices.Clone(b.Release.Keys)
	slices.SortFunc(keys, func(a, b ed25519.PublicKey) int { return bytes.Compare(a, b) })
	for _, key := range keys {
		parts = append(parts, key)
	}
	h := sha256.New()
	for _, part := range parts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write(part)
	}
	return [32]byte(h.Sum(nil))
}

// binding is Binding in config.yaml.
type binding struct {
	Platform string   `yaml:"platform,omitempty"`
	Sealing  *keeper  `yaml:"sealing,omitempty"`
	Horizon  *keeper  `yaml:"horizon,omitempty"`
	Release  *release `yaml:"release,omitempty"`
}

type keeper struct {
	Kind     string `yaml:"kind"`
	Identity string `yaml:"identity"`
}

type release struct {
	Threshold int      `yaml:"threshold"`
	Keys      []string `yaml:"keys"`
}

// toFile returns b as it is written, or nil for the zero value.
func (b Binding) toFile() *binding {
	if b.IsZero() {
		return nil
	}
	f := &binding{Platform: b.Platform, Sealing: b.Sealing.toFile(), Horizon: b.Horizon.toFile()}
	if !b.Release.isZero() {
		f.Release = &release{Threshold: b.Release.Threshold}
		for _, key := range b.Release.Keys {
			f.Release.Keys = append(f.Release.Keys, "0x"+hex.EncodeToString(key))
		}
	}
	return f
}

// parse returns the Binding that f describes.
func (f *binding) parse() (Binding, error) {
	var b Binding
	if f == nil {
		return b, nil
	}
	var err error
	b.Platform = f.Platform
	if b.Sealing, err = f.Sealing.parse(); err != nil {
		return Binding{}, fmt.Errorf("sealing: %w", err)
	}
	if b.Horizon, err = f.Horizon.parse(); err != nil {
		return Binding{}, fmt.Errorf("horizon: %w", err)
	}
	if f.Release != nil {
		b.Release.Threshold = f.Release.Threshold
		for _, text := range f.Release.Keys {
			key, err := ParseReleaseKey(text)
			if err != nil {
				return Binding{}, fmt.Errorf("release keys: %w", err)
			}
			b.Release.Keys = append(b.Release.Keys, key)
		}
		if err := b.Release.Check(); err != nil {
			return Binding{}, err
		}
	}
	if b.IsZero() {
		return Binding{}, errors.New("it names nothing")
	}
	return b, nil
}

func (k Keeper) toFile() *keeper {
	if k.isZero() {
		return nil
	}
	return &keeper{k.Kind, string(k.Identity)}
}

func (f *keeper) parse() (Keeper, error) {
	if f == nil {
		return Keeper{}, nil
	}
	k := Keeper{f.Kind, []byte(f.Identity)}
	if k.Kind == "" || !json.Valid(k.Identity) || k.Identity[0] != '{' {
		return Keeper{}, errors.New("needs a kind, and an identity that is one JSON object")
	}
	return k, nil
}

// Check refuses a rule that nobody could meet, or that one key could meet alone by
// standing there twice.
func (r Release) Check() error {
	if len(r.Keys) > MaxReleaseKeys || r.Threshold < 1 || r.Threshold > len(r.Keys) {
		return fmt.Errorf("release keys: a threshold of %d does not fit %d keys: it is between 1 and their number, at most %d", r.Threshold, len(r.Keys), MaxReleaseKeys)
	}
	for i, key := range r.Keys {
		if slices.ContainsFunc(r.Keys[:i], func(k ed25519.PublicKey) bool { return k.Equal(key) }) {
			return fmt.Errorf("release keys: 0x%x stands there twice", []byte(key))
		}
	}
	return nil
}

// ParseReleaseKey reads an Ed25519 public key: 64 hex digits, after 0x or not.
func ParseReleaseKey(text string) (ed25519.PublicKey, error) {
	key, err := hex.DecodeString(strings.TrimPrefix(text, "0x"))
	if err != nil || len(key) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("%q is no Ed25519 public key: want 0x and 64 hex digits", text)
	}
	return key, nil
}
