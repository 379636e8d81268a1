package cli

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestAnErrorDoesNotDriveTheTerminal: a stranger's words are part of some errors.
func TestAnErrorDoesNotDriveTheTerminal(t *testing.T) {
	root := &cobra.Command{Use: "program", RunE: func(*cobra.Command, []string) error {
		return errors.New("he says: \x1b[2J\x1b[Hacceptable\r\u009b1A\u202e\x7f ünd 鍵\n\tnext")
	}}
	var out bytes.Buffer
	if code := Run(context.Background(), root, "P", nil, strings.NewReader(""), &out, &out); code != Failed {
		t.Errorf("exit %d", code)
	}
	if got, want := out.String(), "program: he says: \ufffd[2J\ufffd[Hacceptable\ufffd\ufffd1A\ufffd\ufffd ünd 鍵\n\tnext\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
