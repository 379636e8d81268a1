package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/jedib0t/go-pretty/v6/table"
	"golang.org/x/term"
)

// printJSON prints a result for scripts.
func (c *tool) printJSON(v any) error {
	text, err := json.Marshal(v, jsontext.WithIndent("  "))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.stdout, "%s\n", text)
	return err
}

// printTable prints a result for people.
func (c *tool) printTable(header table.Row, rows []table.Row) error {
	t := table.NewWriter()
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	t.SetStyle(style)
	if header != nil {
		t.AppendHeader(header)
	}
	t.AppendRows(rows)
	t.SuppressTrailingSpaces()
	_, err := fmt.Fprintln(c.stdout, t.Render())
	return err
}

// A progress tells on stderr how far long work is: on a terminal in one line
// that is written over, elsewhere now and then.
type progress struct {
	w    io.Writer
	what string
	live bool
	last time.Time
}

// quietTime is between two lines where nobody may be watching.
const quietTime = 30 * time.Second

func (c *tool) progress(what string) *progress {
	f, ok := c.stderr.(*os.File)
	return &progress{w: c.stderr, what: what, live: ok && term.IsTerminal(int(f.Fd())), last: time.Now()}
}

func (p *progress) report(done, total int) {
	switch {
	case p.live:
		fmt.Fprintf(p.w, "\r%s %d of %d", p.what, done, total)
	case time.Since(p.last) > quietTime:
		p.last = time.Now()
		fmt.Fprintf(p.w, "%s %d of %d\n", p.what, done, total)
	}
}

// end leaves the line.
func (p *progress) end() {
	if p.live {
		fmt.Fprintln(p.w)
	}
}

// count is "1 key", "2 keys".
func count(n int) string {
	if n == 1 {
		return "1 key"
	}
	return fmt.Sprintf("%d keys", n)
}
