package tpm

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/secure-signer/secure-signer/tpmlink"
)

// newSecret has no zero byte: go-tpm 0.9.8 cuts an auth value at the first one.
func newSecret() []byte {
	secret := make([]byte, SecretSize)
	rand.Read(secret)
	for i := range secret {
		for secret[i] == 0 {
			rand.Read(secret[i : i+1])
		}
	}
	return secret
}

func checkSecret(secret []byte) error {
	if len(secret) != SecretSize || slices.Contains(secret, 0) {
		return fmt.Errorf("the secret of the TPM's counters has %d bytes, or a zero among them: Create has not made it", len(secret))
	}
	return nil
}

// counterSize is that of a counter's value, in bytes.
const counterSize = 8

// area is all that is public of the index. The owner of the machine may delete
// it, which stops the signer, and nothing else: neither OWNERREAD nor OWNERWRITE is
// set. NO_DA is, or wrong guesses by the host would lock it. ORDERLY is not, or a
// power cut would move it by up to 255.
func (x Index) area(written bool) tpm2.TPMSNVPublic {
	return tpm2.TPMSNVPublic{
		NVIndex: tpm2.TPMHandle(x.Handle),
		NameAlg: tpm2.TPMAlgSHA256,
		Attributes: tpm2.TPMANV{
			NT: tpm2.TPMNTCounter, AuthRead: true, AuthWrite: true, NoDA: true, Written: written,
		},
		DataSize: counterSize,
	}
}

// nameIf is computed and never asked for: a command under a session fails unless
// the TPM has the index by that very name.
func (x Index) nameIf(written bool) tpm2.TPM2BName {
	area := x.area(written)
	name, err := tpm2.NVName(&area)
	if err != nil {
		panic("rollback/tpm: internal error: " + err.Error())
	}
	return *name
}

// create defines the index, and increments it once, as it cannot be read before.
func (x *Index) create(ctx context.Context, link *tpmlink.Link, e tpmlink.Endorsement, secret, ownerAuth []byte) (err error) {
	if err := x.define(ctx, link, e, secret, ownerAuth); err != nil {
		return err
	}
	session := link.NewSession(e, secret)
	defer func() {
		ctx := context.WithoutCancel(ctx)
		_ = session.Close(ctx)
		if err != nil {
			_ = x.remove(ctx, link, e, ownerAuth)
		}
	}()
	r := &register{index: *x, session: session}
	if err := r.increment(ctx, false); err != nil {
		return err
	}
	if x.First, err = r.count(ctx); err != nil {
		return err
	}
	name := x.nameIf(true)
	x.Name = hex.EncodeToString(name.Buffer)
	return nil
}

// define sends the secret, encrypted to the TPM.
func (x Index) define(ctx context.Context, link *tpmlink.Link, e tpmlink.Endorsement, secret, ownerAuth []byte) error {
	encrypted := tpm2.AESEncryption(128, tpm2.EncryptIn)
	err := asOwner(ctx, link, e, ownerAuth, func(t transport.TPM, owner tpm2.AuthHandle) error {
		_, err := tpm2.NVDefineSpace{
			AuthHandle: owner,
			Auth:       tpm2.TPM2BAuth{Buffer: secret},
			PublicInfo: tpm2.New2B(x.area(false)),
		}.Execute(t)
		return err
	}, encrypted)
	switch {
	case errors.Is(err, tpm2.TPMRCNVDefined):
		return fmt.Errorf("make the counter %#x: %w: if nothing needs what is there, free it with tpm2_nvundefine -C o %#[1]x, or choose another", x.Handle, ErrTaken)
	case err != nil:
		return fmt.Errorf("make the counter %#x: %w", x.Handle, err)
	}
	return nil
}

func (x Index) remove(ctx context.Context, link *tpmlink.Link, e tpmlink.Endorsement, ownerAuth []byte) error {
	return asOwner(ctx, link, e, ownerAuth, func(t transport.TPM, owner tpm2.AuthHandle) error {
		public, err := tpm2.NVReadPublic{NVIndex: tpm2.TPMHandle(x.Handle)}.Execute(t)
		if err == nil {
			_, err = tpm2.NVUndefineSpace{
				AuthHandle: owner,
				NVIndex:    tpm2.NamedHandle{Handle: tpm2.TPMHandle(x.Handle), Name: public.NVName},
			}.Execute(t)
		}
		if err != nil {
			return fmt.Errorf("delete the counter %#x: %w", x.Handle, err)
		}
		return nil
	})
}

// asOwner runs one sequence with the authority of the machine's owner.
func asOwner(ctx context.Context, link *tpmlink.Link, e tpmlink.Endorsement, ownerAuth []byte,
	sequence func(t transport.TPM, owner tpm2.AuthHandle) error, options ...tpm2.AuthOption) error {
	err := link.Do(ctx, func(t transport.TPM) error {
		var session tpm2.Session
		err := e.Salt(t, func(salted tpm2.AuthOption) (err error) {
			options := append(options, salted, tpm2.Auth(ownerAuth))
			session, _, err = tpm2.HMACSession(t, tpmlink.SessionHash, tpmlink.NonceSize, options...)
			return err
		})
		if err != nil {
			return err
		}
		defer tpmlink.Flush(t, session.Handle())
		return sequence(t, tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: session})
	})
	if errors.Is(err, tpm2.TPMRCBadAuth) || errors.Is(err, tpm2.TPMRCAuthFail) {
		return fmt.Errorf("%w: the TPM's owner hierarchy has another password: give it with --tpm-owner-password-file", err)
	}
	return err
}

// open returns the Register of an index that was made before.
func (x Index) open(session *tpmlink.Session) (*register, error) {
	if name := x.nameIf(true); x.Name != hex.EncodeToString(name.Buffer) {
		return nil, fmt.Errorf("%w: index %#x is named %s, and not as this release makes it", ErrNoCounter, x.Handle, x.Name)
	}
	return &register{index: x, session: session}, nil
}

// A register implements rollback.Register.
type register struct {
	index   Index
	session *tpmlink.Session
}

// Read implements rollback.Register. If the TPM refuses, it is asked once more,
// under a new session: one that lay idle from epoch to epoch may have been lost.
func (r *register) Read(ctx context.Context) (uint64, error) {
	count, err := r.count(ctx)
	if refused := tpm2.TPMRC(0); errors.As(err, &refused) {
		count, err = r.count(ctx)
	}
	if err != nil {
		return 0, err
	}
	if count < r.index.First {
		return 0, fmt.Errorf("%w: index %#x is at %d, and was made at %d", ErrNoCounter, r.index.Handle, count, r.index.First)
	}
	return r.index.Base + (count - r.index.First), nil
}

// Increment implements rollback.Register.
func (r *register) Increment(ctx context.Context) error { return r.increment(ctx, true) }

func (r *register) count(ctx context.Context) (count uint64, err error) {
	err = r.do(ctx, "read", true, func(t transport.TPM, auth tpm2.AuthHandle, index tpm2.NamedHandle) error {
		answer, err := tpm2.NVRead{AuthHandle: auth, NVIndex: index, Size: counterSize}.Execute(t)
		if err != nil {
			return err
		}
		if len(answer.Data.Buffer) != counterSize {
			return fmt.Errorf("it has %d bytes, want %d", len(answer.Data.Buffer), counterSize)
		}
		count = binary.BigEndian.Uint64(answer.Data.Buffer)
		return nil
	})
	return count, err
}

func (r *register) increment(ctx context.Context, written bool) error {
	return r.do(ctx, "increment", written, func(t transport.TPM, auth tpm2.AuthHandle, index tpm2.NamedHandle) error {
		_, err := tpm2.NVIncrement{AuthHandle: auth, NVIndex: index}.Execute(t)
		return err
	})
}

// do runs one command on the index. Its answer is authenticated by the session,
// whose HMAC covers the command's name of the index, and a nonce drawn for this
// command only.
func (r *register) do(ctx context.Context, what string, written bool, command func(transport.TPM, tpm2.AuthHandle, tpm2.NamedHandle) error) error {
	handle, name := tpm2.TPMHandle(r.index.Handle), r.index.nameIf(written)
	err := r.session.Do(ctx, func(t transport.TPM, session tpm2.Session) error {
		return command(t, tpm2.AuthHandle{Handle: handle, Name: name, Auth: session}, tpm2.NamedHandle{Handle: handle, Name: name})
	})
	switch {
	case errors.Is(err, tpm2.TPMRCHandle):
		return fmt.Errorf("%s index %#x: %w: %w: it was deleted, or the TPM was cleared: set the horizon up anew", what, handle, ErrNoCounter, err)
	case errors.Is(err, tpm2.TPMRCBadAuth), errors.Is(err, tpm2.TPMRCAuthFail):
		return fmt.Errorf("%s index %#x: %w: %w: somebody has deleted it and made another in its place: set the horizon up anew", what, handle, ErrNoCounter, err)
	case err != nil:
		return fmt.Errorf("%s index %#x: %w", what, handle, err)
	}
	return nil
}
