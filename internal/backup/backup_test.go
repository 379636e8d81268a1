package backup

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"testing"
	"time"
)

var (
	testKey = [32]byte{1, 2, 3}
	taken   = time.Unix(1_764_000_000, 0)
)

// testParts are those of a folder, with a horizon if it has a secret.
func testParts(horizon string) Parts {
	return Parts{Config: []byte("network: hoodi\n"), Vault: []byte("the vault"), Horizon: []byte(horizon)}
}

func write(t testing.TB, key [32]byte, journal string) []byte {
	t.Helper()
	return writeParts(t, key, testParts(""), journal)
}

func writeParts(t testing.TB, key [32]byte, parts Parts, journal string) []byte {
	t.Helper()
	var b bytes.Buffer
	err := Write(&b, key, taken, parts, func(w io.Writer) error {
		for _, c := range []byte(journal) { // as it comes
			if _, err := w.Write([]byte{c}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestABackupComesBackAsItWas(t *testing.T) {
	for _, want := range []struct{ horizon, journal string }{{"", ""}, {"", "the journal"}, {"the secret", ""}, {"the secret", "the journal"}} {
		b, err := Parse(writeParts(t, testKey, testParts(want.horizon), want.journal))
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Authenticate(testKey); err != nil {
			t.Error(err)
		}
		if string(b.Config) != "network: hoodi\n" || string(b.Vault) != "the vault" || string(b.Horizon) != want.horizon || string(b.Journal) != want.journal || !b.Taken.Equal(taken) {
			t.Errorf("got %q, %q, %q, %q of %v", b.Config, b.Vault, b.Horizon, b.Journal, b.Taken)
		}
		if err := b.Authenticate([32]byte{9}); !errors.Is(err, ErrForged) {
			t.Errorf("under another key: %v, want %v", err, ErrForged)
		}
	}
}

// TestAFolderWithoutAHorizonIsReadByEveryRelease: an operator who goes back to an
// older one finds it.
func TestAFolderWithoutAHorizonIsReadByEveryRelease(t *testing.T) {
	for horizon, want := range map[string]uint32{"": 1, "the secret": 2} {
		b := writeParts(t, testKey, testParts(horizon), "")
		if got := binary.BigEndian.Uint32(b[len(magic):]); got != want {
			t.Errorf("with horizon %q: format %d, want %d", horizon, got, want)
		}
	}
}

// TestNoBitOfABackupCanChange flips every bit as a disk does, and then as one
// does who can make the sum right again.
func TestNoBitOfABackupCanChange(t *testing.T) {
	for _, horizon := range []string{"", "the secret"} {
		noBitCanChange(t, writeParts(t, testKey, testParts(horizon), "the journal"))
	}
}

func noBitCanChange(t *testing.T, whole []byte) {
	t.Helper()
	forged := 0
	for bit := range len(whole) * 8 {
		b := bytes.Clone(whole)
		b[bit/8] ^= 1 << (bit % 8)
		if _, err := Parse(b); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrVersion) && bit/8 < len(b)-sha256.Size {
			t.Errorf("bit %d: %v, want %v", bit, err, ErrDamaged)
		}
		if bit/8 < len(b)-trailerSize {
			resum(b)
		}
		parsed, err := Parse(b)
		if err != nil {
			continue
		}
		forged++
		if err := parsed.Authenticate(testKey); !errors.Is(err, ErrForged) {
			t.Errorf("bit %d, with its sum: %v, want %v", bit, err, ErrForged)
		}
	}
	if forged < len(whole)*4 {
		t.Errorf("only %d of %d forgeries reached the key: the test misses what it aims at", forged, len(whole)*8)
	}
}

func resum(b []byte) {
	sum := sha256.Sum256(b[:len(b)-trailerSize])
	copy(b[len(b)-trailerSize:], sum[:])
}

func TestABackupThatWasCutOrGrewIsDamaged(t *testing.T) {
	whole := writeParts(t, testKey, testParts("the secret"), "the journal")
	for n := range whole {
		if _, err := Parse(whole[:n]); !errors.Is(err, ErrDamaged) {
			t.Errorf("%d of %d bytes: %v, want %v", n, len(whole), err, ErrDamaged)
		}
	}
	if _, err := Parse(append(bytes.Clone(whole), 0)); !errors.Is(err, ErrDamaged) {
		t.Errorf("with a byte more: %v, want %v", err, ErrDamaged)
	}
}

// TestPartsOfTwoBackupsDoNotMix joins the journal of one backup to the vault of
// another of the same signer, as would bring deleted records back.
func TestPartsOfTwoBackupsDoNotMix(t *testing.T) {
	a, b := write(t, testKey, "journal 1"), write(t, testKey, "journal 2")
	copy(a[len(a)-trailerSize-1:], b[len(b)-trailerSize-1:len(b)-trailerSize])
	resum(a)
	mixed, err := Parse(a)
	if err != nil || string(mixed.Journal) != "journal 2" {
		t.Fatalf("got %v", err)
	}
	if err := mixed.Authenticate(testKey); !errors.Is(err, ErrForged) {
		t.Errorf("got %v, want %v", err, ErrForged)
	}
}

func TestAnotherReleasesBackupSaysWhichOneReadsIt(t *testing.T) {
	b := write(t, testKey, "")
	binary.BigEndian.PutUint32(b[len(magic):], bound+1)
	copy(b[releaseAt:], "1.2.3\x00")
	resum(b)
	if _, err := Parse(b); !errors.Is(err, ErrVersion) || !bytes.Contains([]byte(err.Error()), []byte(`"1.2.3"`)) {
		t.Errorf("got %v, want %v and the release", err, ErrVersion)
	}
}

var errFault = errors.New("no space left on device")

// failAfter is a writer with room for so many bytes.
type failAfter int

func (f *failAfter) Write(b []byte) (int, error) {
	if len(b) > int(*f) {
		n := int(*f)
		*f = 0
		return n, errFault
	}
	*f -= failAfter(len(b))
	return len(b), nil
}

func TestAWriteThatFailsIsAnError(t *testing.T) {
	size := len(write(t, testKey, "j"))
	for room := range size {
		f := failAfter(room)
		err := Write(&f, testKey, taken, testParts(""), func(w io.Writer) error {
			_, err := w.Write([]byte("j"))
			return err
		})
		if !errors.Is(err, errFault) {
			t.Errorf("with room for %d bytes: %v, want %v", room, err, errFault)
		}
	}
	err := Write(io.Discard, testKey, taken, Parts{}, func(io.Writer) error { return errFault })
	if !errors.Is(err, errFault) {
		t.Errorf("a journal that fails: %v, want %v", err, errFault)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte{})
	f.Add(write(f, testKey, "the journal"))
	f.Add(writeParts(f, testKey, testParts("the secret"), "the journal"))
	f.Add(writeParts(f, testKey, testParts("the secret"), "")[:headerSize+2+trailerSize])
	huge := write(f, testKey, "the journal")
	for i := takenAt + 8; i < headerSize; i++ {
		huge[i] = 0xff
	}
	resum(huge)
	f.Add(huge)
	f.Fuzz(func(t *testing.T, b []byte) {
		parsed, err := Parse(b)
		if err != nil {
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrVersion) {
				t.Errorf("an error of another kind: %v", err)
			}
			return
		}
		mac := hmac.New(sha256.New, testKey[:])
		mac.Write(b[:len(b)-sha256.Size])
		if authentic := hmac.Equal(mac.Sum(nil), b[len(b)-sha256.Size:]); (parsed.Authenticate(testKey) == nil) != authentic {
			t.Error("authentic or not: Authenticate says the other")
		}
	})
}

// TestReleasedFormatsAreRead: the files were written by the releases that brought
// them, and are never made anew.
func TestReleasedFormatsAreRead(t *testing.T) {
	for name, horizon := range map[string]string{"testdata/backup-1": "", "testdata/backup-2": "the secret"} {
		file, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		b, err := Parse(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Authenticate(testKey); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if string(b.Config) != "network: hoodi\n" || string(b.Vault) != "the vault" || string(b.Horizon) != horizon || string(b.Journal) != "the journal" || !b.Taken.Equal(taken) {
			t.Errorf("%s: got %q, %q, %q, %q of %v", name, b.Config, b.Vault, b.Horizon, b.Journal, b.Taken)
		}
	}
}
