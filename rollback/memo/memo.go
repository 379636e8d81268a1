// Package memo keeps the memo of package rollback in one sealed file.
//
// It guarantees that a memo which Load returns was saved with the same key, and
// that Save returns nil only once the memo is durable. It does not tell an old
// memo from the last one: package rollback needs no such promise.
package memo

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"log/slog"

	"github.com/secure-signer/secure-signer/internal/sealed"
	"github.com/secure-signer/secure-signer/rollback"
)

// A File implements rollback.Memos.
type File struct {
	sealed.File // Magic and Version are set by New
	log         *slog.Logger
}

// New returns the memo at path, sealed by key.
func New(path string, key [32]byte, log *slog.Logger) *File {
	return &File{sealed.File{Path: path, Magic: "SSMEMO\n", Version: 1, Key: key}, log}
}

// Load returns the memo, or nil if there is none that can be read: what is lost
// then is the rest of an epoch, as by a crash, and the log says so.
func (f *File) Load(context.Context) (*rollback.Memo, error) {
	plain, err := f.Read()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var l layout
	if err == nil {
		err = binary.Read(bytes.NewReader(plain), binary.BigEndian, &l)
	}
	if err == nil && len(plain) != binary.Size(l) {
		err = sealed.ErrDamaged
	}
	if err != nil {
		f.log.Warn("the horizon's memo cannot be read: this start is as after a crash", "error", err)
		return nil, nil
	}
	return l.memo(), nil
}

// Save replaces the memo.
func (f *File) Save(_ context.Context, m rollback.Memo) error {
	var b bytes.Buffer
	if err := binary.Write(&b, binary.BigEndian, layoutOf(m)); err != nil {
		return err
	}
	return f.Write(b.Bytes())
}

// A layout is a memo of format 1, big endian.
type layout struct {
	First, Last, SourceFloor, Ceiling uint64
	Sealed, Stopped                   bool
	Generation                        uint64
	Head                              [32]byte
}

func layoutOf(m rollback.Memo) layout {
	t := m.Tenure
	l := layout{First: t.First, Last: t.Last, SourceFloor: t.SourceFloor, Ceiling: t.Ceiling, Sealed: t.Sealed}
	if m.Stop != nil {
		l.Stopped, l.Generation, l.Head = true, m.Stop.Generation, m.Stop.Head
	}
	return l
}

func (l layout) memo() *rollback.Memo {
	m := &rollback.Memo{Tenure: rollback.Tenure{First: l.First, Last: l.Last, SourceFloor: l.SourceFloor, Ceiling: l.Ceiling, Sealed: l.Sealed}}
	if l.Stopped {
		m.Stop = &rollback.Stop{Generation: l.Generation, Head: l.Head}
	}
	return m
}
