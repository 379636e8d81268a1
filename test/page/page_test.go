// Package page_test looks at the status page as its users do: in a browser, which
// is Debian's headless Chromium, at a desk and on a phone, by day and by night.
package page_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/management"
	"github.com/secure-signer/secure-signer/signer"
	"github.com/secure-signer/secure-signer/statuspage"
	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

func TestMain(m *testing.M) { os.Exit(daemon.Main(m)) }

// desk and phone are widths of windows; 360 is that of a small phone.
func desk() chromedp.Action[chromedp.Void]  { return chromedp.EmulateViewport(1280, 900) }
func phone() chromedp.Action[chromedp.Void] { return chromedp.EmulateViewport(360, 780) }

var pageLine = regexp.MustCompile(`page +(http\S+)`)

// serve starts a daemon with 120 keys that has signed and refused, and returns
// where its page is.
func serve(t *testing.T) (keys []interop.Key, url string) {
	t.Helper()
	f := daemon.Init(t, daemon.Network{Name: "mainnet"})
	d := daemon.Serve(t, f, "--new-key-floor", "none", "--max-future-epochs", "off")
	keys = interop.Keys(120)
	d.Import(t, keys, "")
	vote := func(key interop.Key, variant int) daemon.Answer {
		answer, err := d.Sign(key.Public, fmt.Appendf(nil, `{"type":"ATTESTATION","fork_info":{"fork":{"previous_version":"0x05000000",`+
			`"current_version":"0x06000000","epoch":"411392"},"genesis_validators_root":"0x4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95"},`+
			`"attestation":{"slot":"13184000","index":"0","beacon_block_root":"0x%064x","source":{"epoch":"411999","root":"0x%064x"},`+
			`"target":{"epoch":"412000","root":"0x%064x"}}}`, variant, 0, variant))
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	for _, key := range keys {
		if answer := vote(key, 1); answer.Status != 200 {
			t.Fatalf("vote: %d %s", answer.Status, answer.Body)
		}
	}
	if answer := vote(keys[0], 2); answer.Status != 412 {
		t.Fatalf("double vote: %d %s", answer.Status, answer.Body)
	}
	where := pageLine.FindStringSubmatch(d.Out())
	if where == nil {
		t.Fatalf("the daemon does not say where its page is:\n%s", d.Out())
	}
	return keys, where[1]
}

func TestTheOperatorsPage(t *testing.T) {
	t.Parallel()
	keys, url := serve(t)
	t.Run("in a browser", func(t *testing.T) { look(t, url, keys[7].Hex()) })
	t.Run("under a name that it was not told", func(t *testing.T) { askAs(t, url, "attacker.example") })
}

// look goes through the page as an operator does, who looks for key.
func look(t *testing.T, url, key string) {
	b := open(t)

	b.do(desk())
	b.follow(chromedp.Navigate(url))
	b.mustShow("✓ Ready to sign", "120 of 120 keys held", "Signed 120", "Refused 1", "attestation", "double_vote 1", "Keys 1 to 50 of 120", "411999 → 412000")
	b.mustBeSound("desk")

	b.follow(chromedp.Click("a[rel=next]"))
	b.mustShow("Keys 51 to 100 of 120", "Page 2 of 3")
	b.follow(chromedp.Click("a[rel=prev]"))
	b.mustShow("Keys 1 to 50 of 120")

	b.follow(chromedp.SendKeys("input[name=key]", key[:20]), chromedp.Click("form button"))
	b.mustShow("One key that begins with "+key[:20], "This key", key, "from epoch 411999 to 412000")
	b.mustBeSound("found")
	b.follow(chromedp.Clear("input[name=key]"), chromedp.SendKeys("select[name=show]", "those"), chromedp.Click("form button"))
	b.mustShow("No such key is held here.")

	byDay := evaluate[string](b, `getComputedStyle(document.body).backgroundColor`)
	b.follow(chromedp.Navigate(url))
	b.scheme("dark")
	if byNight := evaluate[string](b, `getComputedStyle(document.body).backgroundColor`); byNight == byDay {
		t.Errorf("by night the page is as bright as by day: %s", byNight)
	}
	b.mustBeSound("night")

	b.do(phone())
	b.follow(chromedp.Navigate(url))
	b.mustBeSound("phone by night")
	b.scheme("light")
	b.mustBeSound("phone")
	b.follow(chromedp.Navigate(url + "?key=" + key))
	b.mustBeSound("phone, one key")
	b.mustNotComplain()
}

// askAs asks as a browser does whose web page has its own name resolve to the
// signer: the Host header is all that differs.
func askAs(t *testing.T, url, host string) {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != 403 {
		t.Errorf("asked as %s: %s", host, answer.Status)
	}
}

// Duties do not wait for a page whose port is taken.
func TestThePageCanBeLeftOut(t *testing.T) {
	t.Parallel()
	f := daemon.Init(t, daemon.Network{Name: "mainnet"})
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
	for name, flags := range map[string][]string{
		"its port is taken": {"--management-listen-port", port},
		"it is off":         {"--management-listen-port", port, "--management-listen-host", "off"},
	} {
		d := daemon.Serve(t, f, flags...)
		if !strings.Contains(d.Out(), "page      off") {
			t.Errorf("%s, and that is not said:\n%s", name, d.Out())
		}
		if told := strings.Contains(d.Log(), "there is no status page"); told != (name == "its port is taken") {
			t.Errorf("%s, and the log tells why: %v", name, told)
		}
		if code := d.Stop(); code != 0 {
			t.Errorf("%s: exit %d", name, code)
		}
	}
}

// A broken signer has everything wrong that can be, in words that were chosen by an
// enemy.
type broken struct{}

const evil = `"'><script>alert(1)</script><img src=x onerror=alert(2)> AVeryLongNameWithoutAnySpaceInItThatGoesOnAndOnUntilItIsWiderThanAnyPhone`

func (broken) Status(time.Time) management.Status {
	first, last := eth2.Epoch(491000), eth2.Epoch(491002)
	little := uint64(12 << 20)
	return management.Status{
		Version: evil, UptimeSeconds: 59,
		Network: management.Network{Name: evil},
		Keys:    management.Keys{Held: 3, InService: 1, Withheld: 2},
		Store: management.Store{Error: evil, Head: &management.Head{Sequence: 1 << 63, Hash: "0x" + strings.Repeat("ab", 32)},
			Size: &management.Size{Records: 3, FileBytes: 1 << 40, DiskFreeBytes: &little}},
		Platform:      management.Platform{Kind: evil, Measurement: evil, Lacks: []string{evil, evil}},
		Hardening:     management.Hardening{Missing: []string{evil}},
		Horizon:       &management.Horizon{Kind: evil, Keeper: evil, First: &first, Last: &last, Error: evil},
		HighWatermark: &management.HighWatermark{Slot: 1 << 63, Epoch: 1 << 63},
	}
}

func (broken) Held() []bls.PublicKey { return []bls.PublicKey{{0}, {1}, {2}} }

func (broken) Key(_ context.Context, pub bls.PublicKey) (management.Key, error) {
	if pub[0] == 0 {
		return management.Key{Pubkey: pub, InService: true, Record: &management.Record{
			LastBlock:       &management.Block{Slot: 999_999_999},
			LastAttestation: &management.Attestation{SourceEpoch: 99_999_998, TargetEpoch: 99_999_999},
		}}, nil
	}
	return management.Key{Pubkey: pub, Problem: evil}, nil
}

func TestThePageOfABrokenSigner(t *testing.T) {
	t.Parallel()
	var activity statuspage.Activity
	for i, kind := range eth2.Kinds() {
		activity.Observe(kind, "", time.Duration(i)*300*time.Millisecond)
		activity.Observe(kind, signer.ReasonSigningRootMismatch, time.Second)
	}
	activity.Observe(0, evil, time.Second)
	site := httptest.NewServer(statuspage.New(statuspage.Config{
		Signer: broken{}, Activity: &activity, Down: func() []string { return []string{evil} },
	}))
	t.Cleanup(site.Close)

	b := open(t)
	for _, scheme := range []string{"light", "dark"} {
		for width, window := range map[string]chromedp.Action[chromedp.Void]{"desk": desk(), "phone": phone()} {
			b.scheme(scheme)
			b.do(window)
			b.follow(chromedp.Navigate(site.URL))
			b.mustShow("✕ Not signing: the store failed", evil)
			b.mustBeSound("broken, " + scheme + ", " + width)
		}
	}
	b.mustNotComplain()
}
