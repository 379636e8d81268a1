package statuspage

import (
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/management"
)

// A view is what the template shows.
type view struct {
	management.Status
	Now             time.Time
	Headline        string
	Good            bool
	Attention       []string
	Hour            hour
	Signed, Refused picture
	Table           table
}

func (h *handler) view(r *http.Request, now time.Time) view {
	v := view{Status: h.Signer.Status(now), Now: now.UTC(), Hour: h.Activity.hour(now)}
	v.Headline, v.Good = headline(v.Status)
	v.Attention = h.attention(v.Status)
	v.Signed, v.Refused = draw("Signed", v.Hour.Signed), draw("Refused", v.Hour.Refused)
	if !v.Keys.Loading {
		v.Table = h.table(r)
	}
	return v
}

// headline says in a sentence whether the signer signs.
func headline(s management.Status) (sentence string, good bool) {
	switch {
	case !s.Store.Up:
		return "Not signing: the store failed, and a restart is needed", false
	case s.Keys.Loading:
		return fmt.Sprintf("Loading keys: %d of %d are in service", s.Keys.InService, s.Keys.Held), false
	case s.Horizon != nil && !s.Horizon.Owned:
		return "Blocks and votes are not signed: the present epoch is not owned", false
	case s.Keys.InService == 0:
		return "Ready, without a key in service", true
	}
	return "Ready to sign", true
}

// scarce is so little room on the disk that somebody should look.
const scarce = 1 << 30

// attention lists what an operator should look at, the worst first.
func (h *handler) attention(s management.Status) []string {
	var list []string
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if !s.Store.Up {
		add("The store failed: %s. Look at the disk and the log, then restart.", s.Store.Error)
	}
	if s.Horizon != nil && s.Horizon.Error != "" {
		add("Horizon: %s.", s.Horizon.Error)
	}
	if s.Keys.Withheld > 0 {
		add("Keys that are held and do not sign: %d. The list below says why.", s.Keys.Withheld)
	}
	if size := s.Store.Size; size != nil && size.DiskFreeBytes != nil && *size.DiskFreeBytes < scarce {
		add("The disk of the store has little room left: %s.", bytesOf(*size.DiskFreeBytes))
	}
	if len(s.Hardening.Missing) > 0 {
		add("Hardening that did not take: %d.", len(s.Hardening.Missing))
	}
	if down := h.Down(); len(down) > 0 {
		add("/healthcheck shows as DOWN: %s.", strings.Join(down, ", "))
	}
	return list
}

// A picture is a chart of bars, one for each minute, in a box of its width and
// height.
type picture struct {
	Name           string
	Bars           []bar
	Total, Highest int
}

type bar struct{ X, Y, Height int }

// The box of a picture.
const (
	barStep       = 6
	pictureHeight = 60
)

func draw(name string, counts [minutes]int) picture {
	p := picture{Name: name}
	for _, n := range counts {
		p.Total += n
		p.Highest = max(p.Highest, n)
	}
	for i, n := range counts {
		if n > 0 {
			height := max(2, n*pictureHeight/p.Highest) // one request among thousands shows, too
			p.Bars = append(p.Bars, bar{X: i * barStep, Y: pictureHeight - height, Height: height})
		}
	}
	return p
}

var functions = template.FuncMap{
	"bytes": bytesOf,
	"short": func(pub bls.PublicKey) string {
		text := pub.String()
		return text[:10] + "…" + text[len(text)-8:]
	},
	"uptime": func(seconds int64) string {
		d := time.Duration(seconds) * time.Second
		if days := int(d.Hours()) / 24; days > 0 {
			return fmt.Sprintf("%d d %d h", days, int(d.Hours())%24)
		}
		return d.String()
	},
	"moment": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
	"duration": func(d time.Duration) string {
		switch {
		case d == 0:
			return "–"
		case d < time.Millisecond:
			return strconv.FormatInt(d.Microseconds(), 10) + " µs"
		case d < time.Second:
			return strconv.FormatFloat(float64(d.Microseconds())/1e3, 'f', 1, 64) + " ms"
		}
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	},
	"words": func(kind string) string { return strings.ReplaceAll(strings.ToLower(kind), "_", " ") },
}

// bytesOf writes a size as people say it.
func bytesOf(n uint64) string {
	units := []string{"bytes", "KiB", "MiB", "GiB", "TiB"}
	size, unit := float64(n), 0
	for size >= 1024 && unit < len(units)-1 {
		size, unit = size/1024, unit+1
	}
	if unit == 0 {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%.1f %s", size, units[unit])
}
