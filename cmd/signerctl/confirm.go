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
	if f, ok := c.stdin.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
		return fmt.Errorf("%w: nothing was done: give --yes to confirm it, there is no terminal to ask on", cli.ErrUsage)
	}
	fmt.Fprint(c.stderr, `Type "yes" to go on: `)
	answer := make(chan string, 1)
	go func() { // it ends with the process: a read from a terminal cannot be broken off
		line, _ := bufio.NewReader(c.stdin).ReadString('\n')
		answer <- line
	}()
	select {
	case line := <-answer:
		if strings.TrimSpace(line) == "yes" {
			return nil
		}
	case <-ctx.Done():
		fmt.Fprintln(c.stderr)
	}
	return errors.New("nothing was done")
}
