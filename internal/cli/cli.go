// Package cli is what both programs do alike: where settings come from, how an
// error is printed, and the exit codes that scripts rely on.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime/debug"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/secure-signer/secure-signer/internal/config"
)

// The exit codes.
const (
	OK     = 0
	Failed = 1
	Usage  = 2
)

// ErrUsage marks an error in how the program was called.
var ErrUsage = errors.New("usage")

// Run executes the command of root that args name and returns the exit code.
// Settings that args leave out come from variables with the prefix, and from
// the file that --config names.
func Run(ctx context.Context, root *cobra.Command, prefix string, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	begun := false // anything that fails before a command has begun is usage
	root.PersistentFlags().String(config.FileFlag, "", "YAML `file` with the same names as the flags")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if err := config.Merge(cmd.Flags(), prefix, config.Commands(root)...); err != nil {
			return err
		}
		for _, warning := range config.Misspelt(prefix, os.Environ(), append(config.Commands(root), cmd.Flags())...) {
			fmt.Fprintf(stderr, "%s: warning: %s\n", root.Name(), warning)
		}
		begun = true
		return nil
	}
	refuseUnknownShells(root)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetArgs(config.JoinBooleans(args, config.Commands(root)...))
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)

	cmd, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil:
		return OK
	case !begun || errors.Is(err, ErrUsage):
		fmt.Fprintf(stderr, "%s: %s\nTry \"%s --help\".\n", root.Name(), Printable(err.Error()), cmd.CommandPath())
		return Usage
	default:
		fmt.Fprintf(stderr, "%s: %s\n", root.Name(), Printable(err.Error()))
		return Failed
	}
}

// Printable is a text without what a terminal obeys. Whoever is asked whether he is to
// be trusted must not answer by clearing the screen and writing that he is.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || !unicode.IsControl(r) && !unicode.Is(unicode.Bidi_Control, r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

// refuseUnknownShells has a completion for no shell, or an unknown one, be a wrong
// call. By itself cobra prints help and succeeds, and a script installs that.
func refuseUnknownShells(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			cmd.RunE = func(*cobra.Command, []string) error {
				return fmt.Errorf("%w: completion needs bash, fish, powershell or zsh", ErrUsage)
			}
		}
	}
}

// release is the version of a release build, set by the linker: scripts/release.sh.
var release string

// Release returns the version of this build, as far as it is known.
func Release() string {
	if release != "" {
		return release
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// IsRelease reports whether this is a release build, which people rely on: it
// refuses whatever is only for trying out. So is one that the Go command has fetched
// by a release's tag; what is built from a folder is not, whichever tag it is at.
func IsRelease() bool {
	info, ok := debug.ReadBuildInfo()
	return release != "" || ok && info.Main.Sum != "" && isTag(info.Main.Version)
}

// isTag tells a release's version from those that the Go command makes up: (devel),
// a pseudo-version, one with +dirty.
func isTag(version string) bool { return tag.MatchString(version) }

var tag = regexp.MustCompile(`^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-(rc|beta|alpha)\.?\d+)?$`)
