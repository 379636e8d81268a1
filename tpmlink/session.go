package tpmlink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// ErrOtherTPM means that the TPM is not the one that was pinned.
var ErrOtherTPM = errors.New("this is another TPM")

// SessionHash and NonceSize are those of every session here.
const (
	SessionHash = tpm2.TPMAlgSHA256
	NonceSize   = 16
)

// Salt makes the endorsement key in the TPM for as long as start runs, which
// starts sessions with the option that it is given: their secret is then encrypted
// to that key. They may outlive the call.
func (e Endorsement) Salt(t transport.TPM, start func(salted tpm2.AuthOption) error) error {
	for _, template := range templates() {
		if template.name != e.Template {
			continue
		}
		_, err := template.make(t, func(handle tpm2.TPMHandle, public *tpm2.TPMTPublic) error {
			name, err := tpm2.ObjectName(public)
			if err != nil {
				return err
			}
			if fmt.Sprintf("%x", name.Buffer) != e.Name {
				return fmt.Errorf("%w: its endorsement key is %x, and the one that this was set up with is %s: put that TPM back, or set up anew", ErrOtherTPM, name.Buffer, e.Name)
			}
			return start(tpm2.Salted(handle, *public))
		})
		return err
	}
	return fmt.Errorf("endorsement key of template %q: this release does not know it", e.Template)
}

// A Session authorises commands by one secret, proved and never sent, to the TPM
// that was endorsed. It is started when it is needed, and anew after every error.
type Session struct {
	link *Link
	e    Endorsement
	auth []byte
	idle time.Duration

	// Owned by whoever has the link's turn.
	live   tpm2.Session
	number int         // of the connection
	ending *time.Timer // nil before the first use
}

// idleTime is how long a session that nobody uses stays in the TPM. An old one is
// in the way of other programs: a TPM puts no session aside any more when its
// oldest was put aside too many of them ago (TPM_RC_CONTEXT_GAP).
const idleTime = 10 * time.Second

// NewSession returns a Session for what is protected by that secret. The secret
// must have no zero byte: go-tpm 0.9.8 cuts it there. The Session keeps a copy.
func (l *Link) NewSession(e Endorsement, auth []byte) *Session {
	return &Session{link: l, e: e, auth: bytes.Clone(auth), idle: idleTime}
}

// Do runs one sequence of commands, alone on the link, which may use the session.
// The session encrypts nothing.
func (s *Session) Do(ctx context.Context, sequence func(t transport.TPM, session tpm2.Session) error) error {
	return s.link.Do(ctx, func(t transport.TPM) error {
		if s.live == nil || s.number != s.link.number {
			s.live, s.number = nil, s.link.number
			err := s.e.Salt(t, func(salted tpm2.AuthOption) (err error) {
				s.live, _, err = tpm2.HMACSession(t, SessionHash, NonceSize, salted, tpm2.Auth(s.auth))
				return err
			})
			if err != nil {
				return fmt.Errorf("start a session with the TPM: %w", err)
			}
		}
		if err := sequence(t, s.live); err != nil {
			s.drop(t)
			return err
		}
		s.endLater()
		return nil
	})
}

// endLater closes the session unless it is used again in time.
func (s *Session) endLater() {
	if s.ending != nil {
		s.ending.Reset(s.idle)
		return
	}
	s.ending = time.AfterFunc(s.idle, func() {
		ctx, cancel := context.WithTimeout(context.Background(), commandTime)
		defer cancel()
		_ = s.Close(ctx)
	})
}

// Close frees the session's place in the TPM. The next use starts it anew.
func (s *Session) Close(ctx context.Context) error {
	return s.link.Do(ctx, func(t transport.TPM) error {
		if s.ending != nil {
			s.ending.Stop()
		}
		s.drop(t)
		return nil
	})
}

func (s *Session) drop(t transport.TPM) {
	if s.live != nil && s.number == s.link.number {
		Flush(t, s.live.Handle())
	}
	s.live = nil
}
