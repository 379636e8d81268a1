// Package journal is the embedded record.Store: an encrypted, chained journal in
// one folder, for one process at a time.
//
// # What it guarantees
//
// A change is acknowledged, and seen by Load and List, only after the fsync of
// the frame that holds it. After a crash at any point the journal opens with
// every acknowledged record, and with none that was not asked for.
//
// Whatever is not a prefix of the history this key wrote is refused with
// ErrDamaged: flipped bits, cut, swapped, duplicated, emptied or missing files.
// The one exception cannot be told from a crash: when the last frame is bad, with
// nothing whole behind it, the journal opens without it and Unsettled reports
// true, at every later open too, until Settle. Until then the caller must take
// everything for signed.
//
// Whoever reads the disk learns sizes and times, not keys or values. AES-256-GCM
// seals each file under a key of its own, derived by HKDF (RFC 5869) from the
// journal's key and 32 random bytes, with a counter as nonce, so that a disk
// put back to an older state never makes a nonce repeat.
//
// # What it does not guarantee
//
// A clean prefix of the true history, and an older copy of the whole folder,
// are valid histories and open. Only a memory that the owner of the disk cannot
// turn back can tell: Head gives it what to remember.
//
// The lock keeps out other processes of this machine, not a copy of the folder
// on another one. A folder that is moved or removed while it is open makes its
// Store fail before anything is written where it was.
//
// A copy of the folder that was made while it was open may be torn, and then does
// not open: Backup makes one that is of one moment.
//
// # How it is stored
//
// The folder holds a snapshot of all records, one or two segments that continue
// it and an empty segment in reserve; the lock is on the folder itself, where no
// file can be removed to undo it. A segment is written front to back
// in frames, one frame for each flush, each bound to the hash of all frames
// before it. When a segment is full, its last frame names the reserve, writing
// goes on there, and a new snapshot replaces the old one and the full segment.
// Disk use is a constant factor of the number of keys, whatever is written.
package journal

import (
	"errors"
	"fmt"
)

// The errors of Open that callers tell apart. Each comes wrapped with the file
// it is about and what to do.
var (
	ErrMissing = errors.New("journal missing")
	ErrDamaged = errors.New("journal damaged")
	ErrVersion = errors.New("journal written by a newer release")
	ErrLocked  = errors.New("journal in use by another process")
)

const remedy = "keep this folder as it is; an older copy has forgotten what was signed since and must not sign: \"secure-signer restore --data-dir D --journal-lost\" starts a new journal, in which every key begins at a floor"

func damaged(path, format string, args ...any) error {
	return fmt.Errorf("%w: %s: %s (%s)", ErrDamaged, path, fmt.Sprintf(format, args...), remedy)
}

func missing(path string) error {
	return fmt.Errorf("%w: %s does not exist (%s; a journal never starts empty by itself)", ErrMissing, path, remedy)
}
