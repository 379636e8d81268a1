package http_test

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

// A folder of each released format is kept in testdata and must open for ever,
// with every key and everything that it forbids. They are never written again.
//
// For the next format, once its code is there:
//
//	SECURE_SIGNER_FORMAT=testdata/format-2.tar.gz go test ./http -run TestMakeAFolderOfThisFormat
const releasedFormats = "testdata/format-*.tar.gz"

// formatPassphrase opens all of them.
const formatPassphrase = "the passphrase of a released format"

// The keys of a released folder are the first interop keys, by what happened to
// them, and one that was generated inside.
const (
	signedHere  = iota // votes 3 to 4 and 10 to 11, block 77
	withHistory        // arrived with slot 100, source 5 and target 6, then voted 7 to 8
	taken              // voted 3 to 4, then deleted
	withoutPast        // arrived without history: it starts at the clock of that day
	backAgain          // voted 3 to 4, was deleted, arrived again
	formatKeys         // how many
)

// TestMakeAFolderOfThisFormat writes a new file, and nothing over an old one.
func TestMakeAFolderOfThisFormat(t *testing.T) {
	archive := os.Getenv("SECURE_SIGNER_FORMAT")
	if archive == "" {
		t.Skip("only for a new format: SECURE_SIGNER_FORMAT=testdata/format-N.tar.gz")
	}
	dir := t.TempDir()
	f := daemon.Folder{Path: filepath.Join(dir, "data"), Passphrase: filepath.Join(dir, "passphrase")}
	write(t, f.Passphrase, []byte(formatPassphrase))
	if code, stdout, stderr := daemon.Run(t, f.InitArgs(mainnet)...); code != 0 {
		t.Fatalf("exit %d\n%s%s", code, stdout, stderr)
	}
	keys := interop.Keys(formatKeys)

	d := daemon.Serve(t, f, "--max-future-epochs", "off", "--new-key-floor", "none")
	d.Import(t, []interop.Key{keys[signedHere], keys[taken], keys[backAgain]}, "")
	for _, key := range []interop.Key{keys[signedHere], keys[taken], keys[backAgain]} {
		mustSign(t, d, key, attestation(3, 4, 1))
	}
	if code := d.Stop(); code != 0 {
		t.Fatalf("exit %d\n%s", code, ending(d))
	}

	// What follows stands in the journal's segment, what was before in its snapshot.
	d = daemon.Serve(t, f, "--max-future-epochs", "off")
	d.Import(t, []interop.Key{keys[withHistory]}, fmt.Sprintf(`{"metadata":{"interchange_format_version":"5","genesis_validators_root":%q},`+
		`"data":[{"pubkey":%q,"signed_blocks":[{"slot":"100"}],"signed_attestations":[{"source_epoch":"5","target_epoch":"6"}]}]}`,
		mainnetRoot, keys[withHistory].Hex()))
	d.Import(t, []interop.Key{keys[withoutPast]}, "")
	if status, answer := call(t, f, d, "/signer/v1/keys", map[string]int{"count": 1}); status != http.StatusOK {
		t.Fatalf("generate: %d %s", status, answer)
	}
	mustSign(t, d, keys[withHistory], attestation(7, 8, 1))
	mustSign(t, d, keys[signedHere], block(77, 1))
	for _, key := range []interop.Key{keys[taken], keys[backAgain]} {
		if status, _ := deleted(t, d, key); status != "deleted" {
			t.Fatal(status)
		}
	}
	d.Import(t, []interop.Key{keys[backAgain]}, "")
	mustSign(t, d, keys[signedHere], attestation(10, 11, 1))
	if code := d.Stop(); code != 0 {
		t.Fatalf("exit %d\n%s", code, ending(d))
	}
	pack(t, f.Path, archive)
}

func TestAFolderOfEveryReleasedFormatOpens(t *testing.T) {
	t.Parallel()
	for _, archive := range formats(t) {
		t.Run(filepath.Base(archive), func(t *testing.T) {
			t.Parallel()
			f := unpack(t, archive)
			for _, start := range []string{"as it was released", "as this release has written it"} {
				d := daemon.Serve(t, f, "--max-future-epochs", "off")
				if strings.Contains(d.Log(), "level=WARN") || strings.Contains(d.Log(), "level=ERROR") {
					t.Errorf("%s: it complains\n%s", start, ending(d))
				}
				mustRemember(t, d)
				if code := d.Stop(); code != 0 {
					t.Errorf("%s: exit %d\n%s", start, code, ending(d))
				}
			}
		})
	}
}

// mustRemember checks the keys of a released folder and all that it forbids.
// Nothing of that changes what it holds.
func mustRemember(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	keys := interop.Keys(formatKeys)
	const refused = http.StatusPreconditionFailed

	held := listed(t, d)
	if len(held) != formatKeys { // one was deleted, one generated
		t.Errorf("%d keys: %v", len(held), held)
	}
	for i, key := range keys {
		if slices.Contains(held, key.Hex()) != (i != taken) {
			t.Errorf("key %d is listed: %v", i, i == taken)
		}
		if i != taken {
			mustSign(t, d, key, randao(1))
		}
	}
	for _, pub := range held {
		if !slices.ContainsFunc(keys, func(k interop.Key) bool { return k.Hex() == pub }) {
			answer, err := daemon.Post(d.URL+"/api/v1/eth2/sign/"+pub, []byte(randao(1)))
			if err != nil || answer.Status != http.StatusOK {
				t.Errorf("the generated key: %+v, %v", answer, err)
			}
		}
	}

	mustSign(t, d, keys[signedHere], attestation(10, 11, 1))
	mustSign(t, d, keys[signedHere], block(77, 1))
	mustRefuse(t, d, keys[signedHere], attestation(10, 11, 2), refused, "double_vote")
	mustRefuse(t, d, keys[signedHere], attestation(9, 12, 1), refused, "surround_vote")
	mustRefuse(t, d, keys[signedHere], attestation(3, 4, 1), refused, "below_watermark")
	mustRefuse(t, d, keys[signedHere], block(77, 2), refused, "double_block")
	mustRefuse(t, d, keys[signedHere], block(76, 1), refused, "below_watermark")

	mustSign(t, d, keys[withHistory], attestation(7, 8, 1))
	mustRefuse(t, d, keys[withHistory], attestation(7, 8, 2), refused, "double_vote")
	mustRefuse(t, d, keys[withHistory], block(100, 1), refused, "below_floor")

	mustRefuse(t, d, keys[taken], attestation(3, 4, 1), http.StatusNotFound, "key_not_found")

	mustRefuse(t, d, keys[withoutPast], attestation(100, 101, 1), refused, "below_floor")
	mustRefuse(t, d, keys[withoutPast], block(3200, 1), refused, "below_floor")

	mustRefuse(t, d, keys[backAgain], attestation(3, 4, 1), refused, "below_floor")
}

// TestAReleasedFolderWithATornEndHoldsEveryKeyBack: the rule for a power cut
// holds for old folders, too.
func TestAReleasedFolderWithATornEndHoldsEveryKeyBack(t *testing.T) {
	t.Parallel()
	for _, archive := range formats(t) {
		f := unpack(t, archive)
		flip(t, usedSegment(t, f.Path), 0.999)
		d := daemon.Serve(t, f)
		key := interop.New(signedHere)
		if !strings.Contains(d.Log(), "torn") {
			t.Errorf("%s: no warning of a torn record\n%s", archive, ending(d))
		}
		mustRefuse(t, d, key, attestation(10, 11, 1), http.StatusPreconditionFailed, "below_floor")
		mustRefuse(t, d, key, attestation(clockEpoch()-2, clockEpoch()-1, 1), http.StatusPreconditionFailed, "below_floor")
		mustSign(t, d, key, randao(1))
	}
}

// TestAFileOfALaterReleaseNamesTheReleaseThatItNeeds gives each file of a folder
// the version after this one, as a later release will.
func TestAFileOfALaterReleaseNamesTheReleaseThatItNeeds(t *testing.T) {
	t.Parallel()
	archive := formats(t)[0]
	// journalFile has its version at 16, the release at 60, a hash at 4064.
	journalFile := func(b []byte) []byte {
		binary.BigEndian.PutUint32(b[16:], 99)
		copy(b[60:76], "7.7.7")
		sum := sha256.Sum256(b[:4064])
		copy(b[4064:], sum[:])
		return b
	}
	for name, raise := range map[string]struct {
		path func(folder string) string
		edit func([]byte) []byte
	}{
		"config.yaml": {func(d string) string { return filepath.Join(d, "config.yaml") }, func(b []byte) []byte {
			return []byte(strings.NewReplacer("format_version: 1", "format_version: 99", "0.1.0", "7.7.7").Replace(string(b)))
		}},
		"vault": {func(d string) string { return filepath.Join(d, "vault") }, func(b []byte) []byte {
			binary.BigEndian.PutUint32(b[8:], 99)
			copy(b[12:28], "7.7.7")
			return b
		}},
		"snapshot": {func(d string) string { return filepath.Join(d, "journal", "snapshot") }, journalFile},
		"segment":  {func(d string) string { return usedSegment(t, d) }, journalFile},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := unpack(t, archive)
			path := raise.path(f.Path)
			write(t, path, raise.edit(read(t, path)))
			mustFailToServe(t, f, `use release "7.7.7" or newer`)
		})
	}
}

func formats(t *testing.T) []string {
	t.Helper()
	archives, err := filepath.Glob(releasedFormats)
	if err != nil || len(archives) == 0 {
		t.Fatalf("no released formats: %v, %v", archives, err)
	}
	return archives
}

// pack writes the files of a folder to a new archive. Nothing of who made it, or
// when, goes with them.
func pack(t *testing.T, folder, archive string) {
	t.Helper()
	out, err := os.OpenFile(archive, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, fs.ErrExist) {
		t.Fatalf("%s is there: a released format is never written again", archive)
	}
	if err != nil {
		t.Fatal(err)
	}
	packed := gzip.NewWriter(out)
	w := tar.NewWriter(packed)
	files := contents(t, folder)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		h := &tar.Header{Name: strings.TrimPrefix(name, "/"), Mode: 0o600, Size: int64(len(files[name]))}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, files[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), packed.Close(), out.Close()); err != nil {
		t.Fatal(err)
	}
}

// unpack makes a data folder of an archive.
func unpack(t *testing.T, archive string) daemon.Folder {
	t.Helper()
	in, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	packed, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	f := daemon.Folder{Path: filepath.Join(dir, "data"), Passphrase: filepath.Join(dir, "passphrase")}
	write(t, f.Passphrase, []byte(formatPassphrase))
	for r := tar.NewReader(packed); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return f
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(f.Path, filepath.FromSlash(h.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, path, text)
	}
}
