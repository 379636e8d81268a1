package audit

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// maxSegment is more than any file that a log has: a full one, and a batch of every
// place at its largest.
const maxSegment = 1 << 30

// A segmentFile is a file by its name.
type segmentFile struct {
	path, name string
	number     int
	size       int64
}

func segmentPath(dir string, number int) string {
	return filepath.Join(dir, fmt.Sprintf("%08d.log", number))
}

// segments lists a folder's, in order. Other files are nobody's.
func segments(dir string) ([]segmentFile, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []segmentFile
	for _, entry := range entries {
		digits, ok := strings.CutSuffix(entry.Name(), ".log")
		number, err := strconv.Atoi(digits)
		if !ok || err != nil || number < 1 || segmentPath(dir, number) != filepath.Join(dir, entry.Name()) {
			continue
		}
		info, err := entry.Info()
		if err != nil {
			return nil, err
		}
		files = append(files, segmentFile{filepath.Join(dir, entry.Name()), entry.Name(), number, info.Size()})
	}
	slices.SortFunc(files, func(a, b segmentFile) int { return cmp.Compare(a.number, b.number) })
	return files, nil
}

// readSegment reads a whole file.
func readSegment(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSegment+1))
	if err == nil && len(text) > maxSegment {
		err = fmt.Errorf("%s is too large to be a file of an audit log", path)
	}
	return text, err
}
