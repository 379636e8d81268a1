// Package record keeps durable records that change only by compare-and-swap.
//
// It knows keys, bytes and versions. It does not know what a record means:
// rules belong to the caller, so that a store stays small and the same store
// serves any watermark (epochs and slots, or height, round and step).
package record

import (
	"context"
	"errors"
	"fmt"
	"iter"
)

// A Store is a set of records that change only by compare-and-swap.
//
// Operations on one key are linearizable, across processes and restarts.
// Create and Replace return nil only once the record is durable. If they
// return any error other than ErrExists, ErrNotFound, ErrConflict or ErrInvalid
// the record may or may not have changed: Load again, and try only the
// identical record.
//
// Load and List never return a value that is not durable: they wait for a
// pending change. Nothing is ever deleted. A Store is safe for concurrent use.
type Store interface {
	// Load returns the record of key, or ErrNotFound.
	Load(ctx context.Context, key Key) (Record, error)

	// Create makes the record of key at version 1, or returns ErrExists.
	Create(ctx context.Context, key Key, value []byte) error

	// Replace swaps the value of key if its version is still old; the new
	// version is old+1. It returns ErrConflict if the version has changed and
	// ErrNotFound if there is no record.
	//
	// Replacing a value by the same bytes is how a caller asks "is what I
	// loaded durable?": it returns nil only when it is, and may leave the
	// version as it was.
	Replace(ctx context.Context, key Key, old Version, value []byte) error

	// List yields every record in ascending order of key. An error ends the
	// sequence.
	List(ctx context.Context) iter.Seq2[Entry, error]
}

// A Key names a record: at most MaxKeySize bytes, never empty.
type Key string

// A Version counts the changes of one record, from 1.
type Version uint64

// A Record is a value and the version to swap it from. The value belongs to
// the caller.
type Record struct {
	Value   []byte
	Version Version
}

// An Entry is a record and its key.
type Entry struct {
	Key Key
	Record
}

// Bounds of what a Store accepts. Both are generous for watermarks and keep a
// store's memory and file bounded by the number of keys.
const (
	MaxKeySize   = 255
	MaxValueSize = 1024
)

// The answers of a Store that say for certain that nothing has changed.
var (
	ErrNotFound = errors.New("record not found")
	ErrExists   = errors.New("record exists already")
	ErrConflict = errors.New("record has changed meanwhile")
	ErrInvalid  = errors.New("invalid record") // see Check
)

// ErrUnavailable marks a store that can make nothing durable any more: it is
// poisoned, closed, or out of space. Whether the change in hand was made is
// unknown.
var ErrUnavailable = errors.New("record store unavailable")

// Check returns nil if every Store accepts this key and value, or an error that
// wraps ErrInvalid.
func Check(key Key, value []byte) error {
	switch {
	case key == "":
		return fmt.Errorf("%w: key is empty", ErrInvalid)
	case len(key) > MaxKeySize:
		return fmt.Errorf("%w: key of %d bytes, limit %d", ErrInvalid, len(key), MaxKeySize)
	case len(value) > MaxValueSize:
		return fmt.Errorf("%w: value of %d bytes, limit %d", ErrInvalid, len(value), MaxValueSize)
	}
	return nil
}
