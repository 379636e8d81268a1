package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/jedib0t/go-pretty/v6/table"
	"golang.org/x/term"

	"github.com/secure-signer/secure-signer/internal/cli"
)

// printJSON prints a result for scripts.
func (c *tool) printJSON(v any) error { return writeJSON(c.stdout, v) }

// writeJSON writes a result.
func writeJSON(w io.Writer, v any) error {
	text, err := json.Marshal(v, jsontext.WithIndent("  "), json.Deterministic(true))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", text)
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
	_, err := fmt.Fprintln(c.stdout, cli.Printable(t.Render()))
	return err
}

// A progress tells on stderr how far long work is: on a terminal in one line
// that is written over, elsewhere now and then.
type progress struct {
	w     io.Writer
	what  string
	live  bool
	drawn bool
	began time.Time
	last  time.Time
}

const (
	frameTime = 100 * time.Millisecond // between two drawings of a line
	quietTime = 30 * time.Second       // between two lines where nobody may be watching
)

func (c *tool) progress(what string) *progress {
	f, ok := c.stderr.(*os.File)
	now := time.Now()
	return &progress{w: c.stderr, what: what, live: ok && term.IsTerminal(int(f.Fd())), began: now, last: now}
}

// report says how much is done, of a total that is 0 where it is not known.
func (p *progress) report(done, total int) {
	now := time.Now()
	switch {
	case p.live && (now.Sub(p.last) > frameTime || done == total):
		p.drawn = true
		fmt.Fprintf(p.w, "\r%s\x1b[K", p.line(done, total, now.Sub(p.began)))
	case !p.live && now.Sub(p.last) > quietTime:
		fmt.Fprintln(p.w, p.line(done, total, now.Sub(p.began)))
	default:
		return
	}
	p.last = now
}

// barWidth is that of the bar, in characters.
const barWidth = 30

// line is "imported 20 of 100 [======                        ] 5/s, 16s left".
func (p *progress) line(done, total int, took time.Duration) string {
	line := fmt.Sprintf("%s %d", p.what, done)
	if total > 0 {
		full := min(barWidth, done*barWidth/total)
		line += fmt.Sprintf(" of %d [%s%s]", total, strings.Repeat("=", full), strings.Repeat(" ", barWidth-full))
	}
	if done == 0 || took < time.Second {
		return line
	}
	rate := float64(done) / took.Seconds()
	line += fmt.Sprintf(" %.3g/s", rate)
	if total > done {
		line += fmt.Sprintf(", %v left", time.Duration(float64(total-done)/rate*float64(time.Second)).Round(time.Second))
	}
	return line
}

// end leaves the line.
func (p *progress) end() {
	if p.drawn {
		fmt.Fprintln(p.w)
	}
}

// count is "1 key", "2 keys".
func count(n int) string { return plural(n, "key") }

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
