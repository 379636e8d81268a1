package audit

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// proofMagic begins a proof. Source: C2SP tlog-proof, with the entry as its extra
// data, so that the proof stands alone.
const proofMagic = "c2sp.org/tlog-proof@v1\n"

// Prove returns a proof, in text, that the entry of this index is in the log's last
// tree. It stands alone: CheckProof needs the key and nothing else.
func Prove(path string, key note.Verifier, index int64) ([]byte, error) {
	var line []byte
	report, err := Verify(path, Reading{Key: key, Entry: func(_ string, i int64, l []byte, _ Entry) {
		if i == index {
			line = bytes.Clone(l) // of the last tree that has one
		}
	}})
	if err != nil {
		return nil, err
	}
	switch {
	case len(report.Problems) > 0:
		return nil, fmt.Errorf("nothing is proved by a log that is not right: %v", report.Problems[0])
	case line == nil || index < report.First || index >= report.Entries:
		return nil, fmt.Errorf("entry %d is not kept: the log has %d to %d", index, report.First, report.Entries-1)
	}
	_, size, _, err := parseCheckpoint([]byte(report.Checkpoint))
	if err != nil {
		return nil, err
	}
	proof, err := collect(path, report.Origin, size, index)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%sextra %s\nindex %d\n", proofMagic, base64.StdEncoding.EncodeToString(line), index)
	for _, h := range proof {
		fmt.Fprintf(&b, "%v\n", h)
	}
	fmt.Fprintf(&b, "\n%s", report.Checkpoint)
	return b.Bytes(), nil
}

// collect reads the log again for the few hashes that a proof is made of: all of
// them would be twice as many as entries.
func collect(path, origin string, size, index int64) (tlog.RecordProof, error) {
	wanted := map[int64]tlog.Hash{}
	_, _ = tlog.ProveRecord(size, index, tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		for _, i := range indexes {
			wanted[i] = tlog.Hash{}
		}
		return nil, errors.New("not read yet")
	}))
	_, err := Verify(path, Reading{keep: func(of string, stored int64, h tlog.Hash) {
		if _, ok := wanted[stored]; ok && of == origin {
			wanted[stored] = h
		}
	}})
	if err != nil {
		return nil, err
	}
	return tlog.ProveRecord(size, index, tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for n, i := range indexes {
			hashes[n] = wanted[i]
		}
		return hashes, nil
	}))
}

// CheckProof returns the entry that text proves, its line and its index.
func CheckProof(text []byte, key note.Verifier) (e Entry, line []byte, index int64, err error) {
	head, signed, ok := strings.Cut(string(text), "\n\n")
	lines := strings.Split(head, "\n")
	if !ok || !IsProof(text) || len(lines) < 3 || len(lines) > 3+63 {
		return e, nil, 0, errors.New("not a proof of an audit log: signerctl audit prove makes one")
	}
	extra, hasExtra := strings.CutPrefix(lines[1], "extra ")
	number, hasIndex := strings.CutPrefix(lines[2], "index ")
	index, err = strconv.ParseInt(number, 10, 64)
	if !hasExtra || !hasIndex || err != nil {
		return e, nil, 0, errors.New("not a proof of an audit log: it lacks the entry or its index")
	}
	if line, err = base64.StdEncoding.Strict().DecodeString(extra); err != nil {
		return e, nil, 0, fmt.Errorf("the entry of the proof: %w", err)
	}
	var proof tlog.RecordProof
	for _, l := range lines[3:] {
		h, err := tlog.ParseHash(l)
		if err != nil || h.String() != l { // a hash has other spellings in base64
			return e, nil, 0, fmt.Errorf("a hash of the proof is none: %.64q", l)
		}
		proof = append(proof, h)
	}
	_, size, root, err := parseCheckpoint([]byte(signed))
	if err != nil {
		return e, nil, 0, err
	}
	if err := openCheckpoint([]byte(signed), key); err != nil {
		return e, nil, 0, err
	}
	if index < 0 || index >= size {
		return e, nil, 0, fmt.Errorf("a proof for entry %d of %d", index, size)
	}
	if err := tlog.CheckRecord(proof, size, root, index, tlog.RecordHash(line)); err != nil {
		return e, nil, 0, fmt.Errorf("the entry is not in the log of the checkpoint: %w", err)
	}
	e, err = parseEntry(line)
	return e, line, index, err
}
