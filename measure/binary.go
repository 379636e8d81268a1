package measure

import (
	"crypto/sha256"
	"debug/buildinfo"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Binary tells how a program was built, and whether it was built as `make release`
// builds it: static, and from any folder the same bytes. No hardware measures it by
// itself: it is part of what an enclave or image is made of.
func Binary(file io.ReaderAt, size int64) (Report, error) {
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(file, 0, size)); err != nil {
		return Report{}, err
	}
	info, err := buildinfo.Read(file)
	if err != nil {
		return Report{}, fmt.Errorf("not a program made by Go: %w", err)
	}
	program, err := elf.NewFile(file)
	if err != nil {
		return Report{}, errors.New("not a program for Linux")
	}
	r := Report{Facts: map[string]string{
		"sha256":  hex.EncodeToString(sum.Sum(nil)),
		"go":      info.GoVersion,
		"package": info.Path,
	}}
	settings := make(map[string]string)
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
		r.Facts["build "+strings.TrimPrefix(s.Key, "-")] = s.Value
	}
	r.Problems = slices.Concat(settingsProblems(settings), elfProblems(program))
	return r, nil
}

func settingsProblems(settings map[string]string) (problems []string) {
	for _, want := range []struct{ key, value, because string }{
		{"-trimpath", "true", "it names the folder that it was built in"},
		{"-tags", "netgo,osusergo", "names and users are looked up by the C library, which would load more code"},
		{"CGO_ENABLED", "1", "it has no BLS"},
	} {
		if got := settings[want.key]; got != want.value {
			problems = append(problems, fmt.Sprintf("built with %s=%s, want %s: else %s", want.key, got, want.value, want.because))
		}
	}
	if vcs, ok := settings["vcs.revision"]; ok {
		problems = append(problems, "it names the commit "+vcs+": built from an archive of the source it would differ; want -buildvcs=false")
	}
	return problems
}

// elfProblems looks for what makes a program depend on the machine that built it,
// or on the one that runs it.
func elfProblems(program *elf.File) (problems []string) {
	for _, p := range program.Progs {
		if p.Type == elf.PT_INTERP {
			problems = append(problems, "it is not static: it runs what libraries it finds, which nothing measures")
		}
	}
	if id := program.Section(".note.go.buildid"); id != nil {
		problems = append(problems, "it has a build ID, and a release has none: want -ldflags=-buildid=")
	}
	if program.Section(".symtab") != nil || program.Section(".debug_info") != nil || program.Section(".zdebug_info") != nil {
		problems = append(problems, "it has symbols, which may name folders: want -ldflags='-s -w'")
	}
	return problems
}
