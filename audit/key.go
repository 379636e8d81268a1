package audit

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// keyName is the name of every log's key in its checkpoints.
const keyName = "secure-signer-audit"

// originPrefix begins the first line of a checkpoint. What follows is drawn for
// each tree: two trees of one key never seem to be one.
const originPrefix = keyName + "/"

// A Key signs checkpoints. It is a note.Signer.
type Key struct {
	note.Verifier
	private ed25519.PrivateKey
	public  string
}

// NewKey makes the key of a seed, which has to be secret and of no other use.
func NewKey(seed [32]byte) (*Key, error) {
	private := ed25519.NewKeyFromSeed(seed[:])
	public, err := note.NewEd25519VerifierKey(keyName, private.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, fmt.Errorf("key of the audit log: %w", err)
	}
	verifier, err := note.NewVerifier(public)
	if err != nil {
		return nil, fmt.Errorf("key of the audit log: %w", err)
	}
	return &Key{verifier, private, public}, nil
}

// Sign is for note.Sign.
func (k *Key) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(k.private, msg), nil }

// Public is what others verify with, in the form of x/mod/sumdb/note.
func (k *Key) Public() string { return k.public }

// ParseKey reads what Public returns.
func ParseKey(public string) (note.Verifier, error) {
	v, err := note.NewVerifier(strings.TrimSpace(public))
	if err != nil || v.Name() != keyName {
		return nil, fmt.Errorf("%.80q is no key of an audit log: it begins with %s+, and the signer prints it when it starts", public, keyName)
	}
	return v, nil
}

// checkpointBody is what is signed. Source: C2SP tlog-checkpoint, whose form it has.
func checkpointBody(origin string, size int64, root tlog.Hash) string {
	return origin + "\n" + strconv.FormatInt(size, 10) + "\n" + root.String() + "\n"
}

// signCheckpoint returns a whole checkpoint.
func (k *Key) signCheckpoint(body string) ([]byte, error) {
	return note.Sign(&note.Note{Text: body}, k)
}

// errSignature is a checkpoint that the key has not signed.
var errSignature = errors.New("the signature of a checkpoint is not this key's")

// openCheckpoint verifies a whole checkpoint in its one form: a signature has
// other spellings in base64, which say the same.
func openCheckpoint(text []byte, by note.Verifier) error {
	n, err := note.Open(text, note.VerifierList(by))
	if err != nil {
		return fmt.Errorf("%w: %w", errSignature, err)
	}
	if len(n.Sigs) != 1 || len(n.UnverifiedSigs) != 0 {
		return fmt.Errorf("%w: it has several", errSignature)
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(n.Sigs[0].Base64)
	if err != nil || n.Text+"\n— "+keyName+" "+base64.StdEncoding.EncodeToString(raw)+"\n" != string(text) {
		return fmt.Errorf("%w: it is not spelled as it was written", errSignature)
	}
	return nil
}

// checkpointLines is how many lines a checkpoint has: origin, size, root, an empty
// one, the signature.
const checkpointLines = 5

// maxCheckpoint is more than any checkpoint has, in bytes.
const maxCheckpoint = 1 << 10

// parseCheckpoint reads the three lines that were signed. It verifies nothing.
func parseCheckpoint(text []byte) (origin string, size int64, root tlog.Hash, err error) {
	lines := strings.Split(string(text), "\n")
	if len(lines) != checkpointLines+1 || !strings.HasPrefix(lines[0], originPrefix) {
		return "", 0, root, errors.New("not a checkpoint of an audit log")
	}
	size, err = strconv.ParseInt(lines[1], 10, 64)
	if err == nil {
		root, err = tlog.ParseHash(lines[2])
	}
	if err != nil || size < 1 || !strings.HasPrefix(string(text), checkpointBody(lines[0], size, root)) {
		return "", 0, root, errors.New("not a checkpoint of an audit log")
	}
	return lines[0], size, root, nil
}
