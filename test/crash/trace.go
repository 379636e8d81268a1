package crash

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// A Call is a system call of the traced program that succeeded. Its times count
// the lines of the trace, two to a line, so that there is one inside each call.
type Call struct {
	Name       string
	Begin, End int
	FD         int
	Path, To   string
	Creates    bool // O_CREAT
	Data       []byte
	Offset     int64
}

// traced are the calls that change a disk, and write, by which the workload
// speaks. A program that changes a disk by others cannot be judged: see NewHistory.
const traced = "openat,open,creat,write,pwrite64,writev,pwritev,pwritev2,fsync,fdatasync,sync_file_range," +
	"rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,rmdir,mkdir,mkdirat,truncate,ftruncate,fallocate"

// Fault returns a command that runs a program and lets every thread's nth call of
// this name fail with an error, or kills the program there. The file will say
// INJECTED if that happened.
func Fault(file, call, how string, n int, program ...string) *exec.Cmd {
	args := []string{"-f", "-o", file, "-e", "trace=" + call, "-e", fmt.Sprintf("inject=%s:%s:when=%d", call, how, n)}
	return exec.Command("strace", append(args, program...)...)
}

// Strace returns a command that runs a program and writes its calls to the file.
func Strace(file string, program ...string) *exec.Cmd {
	args := []string{
		"-f", "--seccomp-bpf", // all threads; stop at these calls only
		"-y", "-xx", "-s", "1000000", // paths of descriptors; all bytes, in hex
		"-o", file, "-e", "trace=" + traced,
	}
	return exec.Command("strace", append(args, program...)...)
}

// ReadTrace reads what strace wrote. The calls come in the order in which they
// began.
func ReadTrace(r io.Reader) ([]*Call, error) {
	var calls []*Call
	unfinished := make(map[string]*Call) // by thread
	begun := make(map[string][]byte)     // what the line of the beginning said
	lines := bufio.NewReaderSize(r, 1<<20)
	for at := 0; ; at += 2 {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		thread, text := split(line)
		if bytes.HasPrefix(text, []byte("+++ ")) || bytes.HasPrefix(text, []byte("--- ")) {
			continue
		}
		c := &Call{Begin: at}
		if rest, ok := bytes.CutPrefix(text, []byte("<... ")); ok {
			_, rest, _ = bytes.Cut(rest, []byte(" resumed>"))
			c, text = unfinished[thread], append(begun[thread], rest...)
			if c == nil {
				return nil, fmt.Errorf("line %d resumes nothing", at/2+1)
			}
			delete(unfinished, thread)
		} else {
			calls = append(calls, c)
		}
		if beginning, ok := bytes.CutSuffix(text, []byte(" <unfinished ...>")); ok {
			unfinished[thread], begun[thread] = c, beginning
			continue
		}
		c.End = at + 1
		if err := c.parse(text); err != nil {
			return nil, fmt.Errorf("line %d: %w", at/2+1, err)
		}
	}
	return slices.DeleteFunc(calls, func(c *Call) bool { return c.Name == "" }), nil
}

func split(line []byte) (thread string, text []byte) {
	number, text, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
	return string(number), bytes.TrimLeft(text, " ")
}

var errParse = errors.New("not a system call")

// parse reads name(argument, …) = result. A call that failed keeps its name
// empty. All strings are in hex, so that no comma or bracket stands in them.
func (c *Call) parse(text []byte) error {
	open, end := bytes.IndexByte(text, '('), bytes.LastIndex(text, []byte(")"))
	if open < 0 || end < open {
		return errParse
	}
	result := strings.Fields(strings.TrimLeft(string(text[end+1:]), " ="))
	if len(result) == 0 {
		return errParse
	}
	if result[0] == "-1" || result[0] == "?" {
		return nil
	}
	var paths []string
	arguments := bytes.Split(text[open+1:end], []byte(", "))
	for _, a := range arguments {
		if quoted, ok := bytes.CutPrefix(a, []byte(`"`)); ok {
			b, err := unhex(bytes.TrimSuffix(quoted, []byte(`"`)))
			if err != nil {
				return err
			}
			c.Data = b
			paths = append(paths, string(b))
		}
	}
	if number, path, ok := bytes.Cut(arguments[0], []byte("<")); ok && number[0] != 'A' { // AT_FDCWD
		b, err := unhex(bytes.TrimSuffix(path, []byte(">")))
		if err != nil {
			return err
		}
		c.Path = string(b)
		c.FD, _ = strconv.Atoi(string(number))
	}
	c.Name = string(text[:open])
	return c.interpret(arguments, paths, result[0])
}

// interpret sorts the arguments by what the call means.
func (c *Call) interpret(arguments [][]byte, paths []string, result string) (err error) {
	switch {
	case c.Name == "pwrite64" || c.Name == "write":
		written, err := strconv.Atoi(result)
		if err != nil || written > len(c.Data) {
			return errParse
		}
		c.Data = c.Data[:written]
		if c.Name == "pwrite64" {
			c.Offset, err = strconv.ParseInt(string(arguments[len(arguments)-1]), 10, 64)
		}
		return err
	case len(paths) > 0:
		c.Path, c.To, c.Data = paths[0], paths[len(paths)-1], nil
		c.Creates = bytes.Contains(bytes.Join(arguments, nil), []byte("O_CREAT"))
	}
	return nil
}

// unhex reads \x01\x02…
func unhex(b []byte) ([]byte, error) {
	if len(b)%4 != 0 {
		return nil, errParse
	}
	digits := make([]byte, 0, len(b)/2)
	for ; len(b) > 0; b = b[4:] {
		digits = append(digits, b[2], b[3])
	}
	return hex.AppendDecode(nil, digits)
}
