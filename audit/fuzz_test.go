package audit

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// sameLog writes a log that is the same in every process of a fuzzer, name of the tree
// included, in batches of so many decisions.
func sameLog(f *testing.F, sizes ...int) (dir string, c Config) {
	dir = f.TempDir()
	c = config(f, dir)
	c.defaults()
	l := &Log{cfg: c, head: Segment{Origin: originPrefix + "fuzz"}, tree: tree{peaks: []tlog.Hash{}}}
	if err := l.segment(1, "first", nil); err != nil {
		f.Fatal(err)
	}
	next := 0
	for _, n := range sizes {
		var lines [][]byte
		for range n {
			e := decided(decision(next), 40)
			lines = append(lines, e.encode())
			next++
		}
		if err := l.store(lines); err != nil {
			f.Fatal(err)
		}
	}
	if err := l.file.Close(); err != nil {
		f.Fatal(err)
	}
	return dir, c
}

// FuzzSegment: nothing that was not signed is told, and no file is a panic.
func FuzzSegment(f *testing.F) {
	dir, c := sameLog(f, 2, 1)
	whole := read(f, segmentPath(dir, 1))
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add([]byte(magic + `,"origin":"secure-signer-audit/00","number":1,"size":3,"peaks":[]},"event":"segment"}` + "\n"))
	signed := map[string]bool{}
	w := walk{text: whole, by: c.Key, entry: func(_ int64, line []byte, _ Entry) { signed[string(line)] = true }}
	if err := w.run(); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		w := walk{text: text, by: c.Key, entry: func(_ int64, line []byte, _ Entry) {
			if !signed[string(line)] {
				t.Errorf("told without a signature: %s", line)
			}
		}}
		if w.run() == nil && !bytes.HasPrefix(whole, text) {
			t.Error("what is not the log, nor the beginning of it, was found right")
		}
		w.signedBeyond(c.Key)
	})
}

// FuzzProof: only what was signed is proved.
func FuzzProof(f *testing.F) {
	dir, c := sameLog(f, 4, 1)
	proofs := map[int64][]byte{}
	for i := range int64(6) {
		proof, err := Prove(dir, c.Key, i)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(proof)
		_, proofs[i], _, err = CheckProof(proof, c.Key)
		if err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, line, index, err := CheckProof(text, c.Key); err == nil && !bytes.Equal(line, proofs[index]) {
			t.Errorf("entry %d is proved to be %s", index, line)
		}
	})
}

// BenchmarkDecided is what a decision costs the path that signs, and the writer.
func BenchmarkDecided(b *testing.B) {
	c := config(b, b.TempDir())
	c.Every = time.Second
	l := open(b, c)
	d := decision(1)
	for b.Loop() {
		for errors.Is(l.Reserve(), ErrFull) {
			time.Sleep(time.Millisecond) // as a client would: the disk sets the pace
		}
		l.Decided(d)
	}
	b.StopTimer()
	closeLog(b, l)
}
