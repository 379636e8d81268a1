// Package tpm keeps the horizon of package rollback in the non-volatile memory of
// a TPM 2.0: two counters, which no command makes fall.
//
// Each is an NV index of type counter that only who proves a secret may read or
// increment, and not the owner of the machine. The secret is made here, goes to
// the TPM once, encrypted to its endorsement key, and is then kept sealed by the
// caller.
//
// # Guaranteed
//
//   - A Read or an Increment that returns no error was carried out, by this very
//     call, by the TPM that the Identity names, on the index that it names: whatever
//     the host does on the way. Each is proved by a salted HMAC session in both
//     directions, over the index's name, which covers its kind and attributes.
//   - Who has the machine and not the secret can delete the index, and every command
//     to it fails then. He cannot make it again so that it passes: the secret is not
//     his.
//
// # Not guaranteed
//
//   - That a command which failed was not carried out: errors of a TPM are not
//     authenticated, and an answer may be dropped.
//   - Anything where the endorsement is unverified, or where the TPM is one in
//     software whose state the host can copy. Nothing betrays that it was.
//   - Many writes for ever: every Increment writes flash. At one an epoch, as
//     rollback.Owner does it, that is 82,125 a year; TPMs bear 100,000 to 500,000
//     and more.
//
// Sources: TPM 2.0 Library Specification, part 1, 37.2.4 (counters); part 2, 13.4
// (TPMA_NV); part 3, 31 (NV commands).
package tpm

import (
	"context"
	"errors"

	"github.com/secure-signer/secure-signer/rollback"
	"github.com/secure-signer/secure-signer/tpmlink"
)

// An Identity says where the counters are and how they count. It is public, and
// must lie where the host cannot change it unnoticed: who could, could let the
// signer count elsewhere.
type Identity struct {
	TPM    tpmlink.Endorsement `json:"tpm"`
	Epochs Index               `json:"epochs"` // the last epoch that was claimed by any copy
	Stops  Index               `json:"stops"`  // how often a copy has stopped
}

// An Index is one counter in the TPM.
type Index struct {
	Handle uint32 `json:"handle"`
	Name   string `json:"name"`  // the TPM's name for it, a hash of its handle and attributes, in hexadecimal
	First  uint64 `json:"first"` // what the TPM says when it stands for Base
	Base   uint64 `json:"base"`
}

// Options say how the counters are made.
type Options struct {
	// Epoch is the last one in which something may have been signed already without
	// the horizon: the one that the counter begins at.
	Epoch uint64

	// Handle is that of the first index, DefaultHandle if it is 0. The second
	// follows it.
	Handle uint32

	// OwnerAuth is the password of the TPM's owner hierarchy, mostly empty.
	OwnerAuth []byte
}

// DefaultHandle lies in the range that the TCG's registry leaves to the owner of a
// machine, 0x01800000 to 0x01bfffff.
const DefaultHandle = 0x0180_5350

var (
	// ErrTaken means that there is an index by that handle already.
	ErrTaken = errors.New("the NV index is taken")

	// ErrNoCounter means that the TPM has no such index, or none that is ours.
	ErrNoCounter = errors.New("the counter is not in this TPM")
)

// SecretSize is the length of the secret.
const SecretSize = 32

// Create makes both counters. It returns what to keep: the identity in public, and
// the secret sealed; without the latter they cannot be used again. If it fails it
// leaves nothing behind, as far as the TPM answers.
func Create(ctx context.Context, link *tpmlink.Link, e tpmlink.Endorsement, opt Options) (Identity, []byte, error) {
	secret := newSecret()
	if opt.Handle == 0 {
		opt.Handle = DefaultHandle
	}
	id := Identity{TPM: e, Epochs: Index{Handle: opt.Handle, Base: opt.Epoch}, Stops: Index{Handle: opt.Handle + 1}}
	for i, index := range []*Index{&id.Epochs, &id.Stops} {
		if err := index.create(ctx, link, e, secret, opt.OwnerAuth); err != nil {
			if i == 1 {
				_ = id.Epochs.remove(context.WithoutCancel(ctx), link, e, opt.OwnerAuth)
			}
			return Identity{}, nil, err
		}
	}
	return id, secret, nil
}

// Counters are the two that an Identity names. Both may be used concurrently.
type Counters struct {
	Epochs, Stops rollback.Register
	session       *tpmlink.Session
}

// Open finds the counters again, and reads both. It fails unless the TPM, the
// indices and the secret are those of the Create that made them.
//
// They are not exclusive yet: see rollback.Exclusive.
func Open(ctx context.Context, link *tpmlink.Link, id Identity, secret []byte) (*Counters, error) {
	if err := checkSecret(secret); err != nil {
		return nil, err
	}
	session := link.NewSession(id.TPM, secret)
	c := &Counters{session: session}
	for _, index := range []struct {
		Index
		to *rollback.Register
	}{{id.Epochs, &c.Epochs}, {id.Stops, &c.Stops}} {
		r, err := index.open(session)
		if err != nil {
			return nil, err
		}
		if _, err := r.Read(ctx); err != nil {
			_ = c.Close(context.WithoutCancel(ctx))
			return nil, err
		}
		*index.to = r
	}
	return c, nil
}

// Close frees what they hold in the TPM. It leaves the link open.
func (c *Counters) Close(ctx context.Context) error { return c.session.Close(ctx) }

// Remove deletes both counters. Nothing that was sealed with their secret can
// sign any more.
func Remove(ctx context.Context, link *tpmlink.Link, id Identity, ownerAuth []byte) error {
	return errors.Join(
		id.Epochs.remove(ctx, link, id.TPM, ownerAuth),
		id.Stops.remove(ctx, link, id.TPM, ownerAuth),
	)
}
