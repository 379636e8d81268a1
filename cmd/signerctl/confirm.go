package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/secure-signer/secure-signer/internal/cli"
)

// confirm says what is about to be done and asks on the terminal for a yes. With
// yes given beforehand it only says it. Without a terminal nobody can answer.
func (c *tool) confirm(ctx context.Context, what string, yes bool) error {
	fmt.Fprintln(c.stderr, what)
	if yes {
		return nil
	}
	if !c.onTerminal() {
		return fmt.Errorf("%w: nothing was done: give --yes to confirm it, there is no terminal to ask on", cli.ErrUsage)
	}
	if line, err := c.ask(ctx, `Type "yes" to go on: `); err != nil || line != "yes" {
		return errors.New("nothing was done")
	}
	return nil
}

// onTerminal tells whether there is somebody to ask.
func (c *tool) onTerminal() bool {
	f, ok := c.stdin.(*os.File)
	return ok && isTerminal(f)
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// ask asks on the terminal for a line, until ctx ends.
func (c *tool) ask(ctx context.Context, label string) (string, error) {
	type answer struct {
		line string
		err  error
	}
	fmt.Fprint(c.stderr, label)
	typed := make(chan answer, 1)
	go func() { // it ends with the process: a read from a terminal cannot be broken off
		line, err := bufio.NewReader(c.stdin).ReadString('\n')
		typed <- answer{strings.TrimSpace(line), err}
	}()
	select {
	case a := <-typed:
		return a.line, a.err
	case <-ctx.Done():
		fmt.Fprintln(c.stderr)
		return "", errors.New("interrupted")
	}
}
