package page_test

import (
	"context"
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// patience is how long a page may take on a crowded machine.
const patience = 30 * time.Second

// A browser is one tab of Chromium, and all that it has complained of.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu         sync.Mutex
	complaints []string
}

// open starts Chromium. It is Debian's, as scripts/setup-test.sh installs it.
func open(t *testing.T) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("chromium is missing: %v", err)
		}
		t.Skipf("install Debian's package chromium: %v", err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.NoSandbox, // which root has not, and many containers: all that it opens is our own
		chromedp.UserDataDir(t.TempDir()),
		chromedp.WSURLReadTimeout(patience),
	)
	allocator, stop := chromedp.NewExecAllocator(t.Context(), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	b := &browser{t: t, ctx: ctx}
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("chromium does not start: %v", err)
	}
	messages := chromedp.Console(ctx)
	listening := make(chan struct{})
	go func() {
		defer close(listening)
		for m, err := range messages {
			if err != nil {
				return
			}
			b.mu.Lock()
			b.complaints = append(b.complaints, m.String())
			b.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		cancel()
		stop()
		<-listening
	})
	return b
}

// do takes steps that must succeed.
func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// follow takes steps of which the last one opens another page.
func (b *browser) follow(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	answer, err := chromedp.RunResponse(ctx, steps...)
	if err != nil {
		b.t.Fatal(err)
	}
	if answer.Status != 200 {
		b.t.Fatalf("%s: status %d", answer.URL, answer.Status)
	}
}

// evaluate returns what a script of the test's own, which no policy keeps from
// running, finds in the page.
func evaluate[T any](b *browser, script string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](script))
	if err != nil {
		b.t.Fatal(err)
	}
	return value
}

// mustShow checks that a person reads each of the texts on the page.
func (b *browser) mustShow(texts ...string) {
	b.t.Helper()
	shown := evaluate[string](b, `document.body.innerText.replace(/\s+/g, " ")`)
	for _, want := range texts {
		if !strings.Contains(shown, want) {
			b.t.Errorf("the page does not show %q:\n%s", want, shown)
		}
	}
}

// scheme has the browser prefer light or dark colours.
func (b *browser) scheme(name string) {
	b.t.Helper()
	b.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
		})
		return err
	}))
}

//go:embed inspect.js
var inspect string

// mustBeSound checks what holds of the page at any width and in any colours. The
// picture is for people: go test -artifacts keeps it.
func (b *browser) mustBeSound(picture string) {
	b.t.Helper()
	for _, fault := range evaluate[[]string](b, inspect) {
		b.t.Errorf("%s: %s", picture, fault)
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.t.ArtifactDir(), picture+".png"), png, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// complained returns what the browser has complained of since it was last asked.
func (b *browser) complained() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	complaints := b.complaints
	b.complaints = nil
	return complaints
}

// mustNotComplain checks that the browser had nothing to complain of, and that it
// would have: it is made to break the page's own policy.
func (b *browser) mustNotComplain() {
	b.t.Helper()
	for _, complaint := range b.complained() {
		b.t.Error(complaint)
	}
	b.do(chromedp.Evaluate[chromedp.Void](`document.body.append(Object.assign(document.createElement("script"), {textContent: "1"}))`))
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if strings.Contains(strings.Join(b.complained(), "\n"), "Content Security Policy") {
			return
		}
		if time.Now().After(end) {
			b.t.Fatal("the browser runs a script that the policy forbids, or complains of nothing")
		}
	}
}
