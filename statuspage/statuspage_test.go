package statuspage_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/management"
	"github.com/secure-signer/secure-signer/signer"
	"github.com/secure-signer/secure-signer/statuspage"
)

// A fake is a signer of which a test says everything.
type fake struct {
	status   management.Status
	keys     int
	withheld map[int]string // why, by number
	broken   bool           // records cannot be read
	lookups  int
}

func (f *fake) Status(time.Time) management.Status { return f.status }

// Held returns keys whose first bytes are their number, so that they ascend.
func (f *fake) Held() []bls.PublicKey {
	pubs := make([]bls.PublicKey, f.keys)
	for i := range pubs {
		pubs[i] = numbered(i)
	}
	return pubs
}

func numbered(i int) (pub bls.PublicKey) {
	binary.BigEndian.PutUint32(pub[:], uint32(i))
	return pub
}

func (f *fake) Key(_ context.Context, pub bls.PublicKey) (management.Key, error) {
	f.lookups++
	number := int(binary.BigEndian.Uint32(pub[:]))
	k := management.Key{Pubkey: pub, InService: f.withheld[number] == "", Problem: f.withheld[number]}
	if f.broken {
		return k, errors.New("the disk is on fire")
	}
	floor := eth2.Slot(0)
	k.Record = &management.Record{
		LastBlock:       &management.Block{Slot: eth2.Slot(1000 + number)},
		LastAttestation: &management.Attestation{SourceEpoch: 7, TargetEpoch: 8},
		Floors:          management.Floors{Slot: &floor},
	}
	return k, nil
}

// well is a signer to which nothing is wrong.
func well(keys int) *fake {
	slot, epoch, free := eth2.Slot(64), eth2.Epoch(2), uint64(50<<30)
	return &fake{keys: keys, status: management.Status{
		Version: "v1.2.3", UptimeSeconds: 90000, Ready: true,
		Network: management.Network{Name: "hoodi", Slot: &slot, Epoch: &epoch},
		Keys:    management.Keys{Held: keys, InService: keys},
		Store: management.Store{
			Up: true, Head: &management.Head{Sequence: 17, Hash: "0xabcd"},
			Size: &management.Size{Records: keys, FileBytes: 4096, DiskFreeBytes: &free},
		},
		Platform:  management.Platform{Kind: "none", Lacks: []string{"nobody outside can verify what runs here"}},
		Hardening: management.Hardening{Took: []string{"programs", "files"}},
	}}
}

// A site is the page of a fake.
type site struct {
	*fake
	activity statuspage.Activity
	down     []string
	handler  http.Handler
}

func serve(f *fake) *site {
	s := &site{fake: f}
	s.handler = statuspage.New(statuspage.Config{Signer: f, Activity: &s.activity, Down: func() []string { return s.down }})
	return s
}

func (s *site) ask(method, target string) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	s.handler.ServeHTTP(answer, httptest.NewRequest(method, target, nil))
	return answer
}

// get returns the source of a page, which must be there.
func (s *site) get(t *testing.T, target string) string {
	t.Helper()
	answer := s.ask("GET", target)
	if answer.Code != http.StatusOK {
		t.Fatalf("GET %s: %d %s", target, answer.Code, answer.Body)
	}
	return answer.Body.String()
}

var tag = regexp.MustCompile(`<[^>]*>`)

// text is what a person reads of a page, in one line.
func text(page string) string {
	return strings.Join(strings.Fields(html.UnescapeString(tag.ReplaceAllString(page, " "))), " ")
}

func mustShow(t *testing.T, page string, want ...string) {
	t.Helper()
	shown := text(page)
	for _, w := range want {
		if !strings.Contains(shown, w) {
			t.Errorf("the page does not show %q:\n%s", w, shown)
		}
	}
}

func TestThePageShowsWhatTheSignerTells(t *testing.T) {
	first, last, floor := eth2.Epoch(0), eth2.Epoch(2), eth2.Epoch(0)
	s := serve(well(3))
	s.status.Horizon = &management.Horizon{Kind: "tpm", Keeper: "TPM 00", Owned: true, First: &first, Last: &last, SourceFloor: &floor}
	s.status.HighWatermark = &management.HighWatermark{Slot: 320, Epoch: 10}
	s.status.Platform.Measurement = "mrenclave 12ab"
	page := s.get(t, "/")
	mustShow(t, page,
		"✓ Ready to sign", "v1.2.3", "up 1 d 1 h", "hoodi",
		"Clock epoch 2, slot 64", "Stops at epoch 10, slot 320",
		"In service 3 of 3 keys held", "Withheld none",
		"State works", "Head 17 0xabcd", "Records 3", "Size 4.0 KiB", "Disk free 50.0 GiB",
		"Keeper tpm, TPM 00", "This epoch owned", "Owned epochs 0 to 2", "Sources from epoch 0",
		"Kind none", "Measured mrenclave 12ab", "Lacks nobody outside can verify what runs here",
		"Took programs, files",
		"Keys 1 to 3 of 3", "in service 1002 7 → 8",
	)
	if strings.Contains(page, "Look at this") {
		t.Error("nothing is wrong, and something is to be looked at")
	}
}

func TestWhatIsWrongStandsFirstInWords(t *testing.T) {
	little := uint64(100 << 20)
	tests := []struct {
		name  string
		wrong func(*site)
		want  []string
	}{
		{"the store failed", func(s *site) { s.status.Store = management.Store{Error: "no space left on device"} },
			[]string{"✕ Not signing: the store failed", "The store failed: no space left on device. Look at the disk"}},
		{"keys are loading", func(s *site) { s.status.Keys = management.Keys{Held: 9, InService: 4, Loading: true} },
			[]string{"✕ Loading keys: 4 of 9 are in service", "They are shown once all are loaded"}},
		{"the epoch is not owned", func(s *site) {
			s.status.Horizon = &management.Horizon{Kind: "witness", Error: "two witnesses are silent"}
		},
			[]string{"✕ Blocks and votes are not signed", "Horizon: two witnesses are silent.", "Owned no epoch yet"}},
		{"a key is withheld", func(s *site) { s.status.Keys.Withheld, s.withheld = 1, map[int]string{1: "its deletion was begun"} },
			[]string{"Keys that are held and do not sign: 1.", "withheld 1001 7 → 8 its deletion was begun"}},
		{"the disk is almost full", func(s *site) { s.status.Store.Size.DiskFreeBytes = &little },
			[]string{"The disk of the store has little room left: 100.0 MiB."}},
		{"a part of the hardening is missing", func(s *site) { s.status.Hardening.Missing = []string{"files: not supported"} },
			[]string{"Hardening that did not take: 1.", "Missing files: not supported"}},
		{"a line of the health check is down", func(s *site) { s.down = []string{"vault-check/needs-restart"} },
			[]string{"/healthcheck shows as DOWN: vault-check/needs-restart."}},
		{"records cannot be read", func(s *site) { s.broken = true },
			[]string{"unknown unknown its record cannot be read: the disk is on fire"}},
		{"the disk does not say what is free", func(s *site) { s.status.Store.Size.DiskFreeBytes = nil }, []string{"Disk free unknown"}},
		{"the chain has not begun", func(s *site) { s.status.Network.Epoch, s.status.Network.Slot = nil, nil }, []string{"the chain has not begun"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := serve(well(3))
			test.wrong(s)
			mustShow(t, s.get(t, "/"), test.want...)
		})
	}
}

// What comes from outside must stay text wherever it is put.
func TestHostileNamesStayText(t *testing.T) {
	const evil = `"'><script>alert(1)</script><img src=x onerror=alert(2)>`
	s := serve(well(2))
	s.status.Version, s.status.Network.Name = evil, evil
	s.status.Store.Error, s.status.Store.Up = evil, false
	s.status.Platform = management.Platform{Kind: evil, Measurement: evil, Lacks: []string{evil}}
	s.status.Hardening = management.Hardening{Took: []string{evil}, Missing: []string{evil}}
	s.status.Horizon = &management.Horizon{Kind: evil, Keeper: evil, Error: evil}
	s.withheld, s.down = map[int]string{0: evil}, []string{evil}
	s.activity.Observe(eth2.KindBlock, signer.Reason(evil), time.Millisecond)
	page := s.get(t, "/?show=withheld&key="+url.QueryEscape(evil)) + s.get(t, "/")
	for _, forbidden := range []string{"<script", "<img", `"'>`} {
		if strings.Contains(page, forbidden) {
			t.Errorf("the page has %q in its source", forbidden)
		}
	}
	if !strings.Contains(text(page), evil) {
		t.Error("the name is not shown at all")
	}
}

func TestTheBrowserMayLoadNothingElse(t *testing.T) {
	s := serve(well(1))
	for _, target := range []string{"/", "/style.css", "/icon.svg", "/nothing"} {
		header := s.ask("GET", target).Header()
		if policy := header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; style-src 'self';") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", target, policy)
		}
		if header.Get("X-Content-Type-Options") != "nosniff" || header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers %v", target, header)
		}
	}
	page := s.get(t, "/")
	for _, forbidden := range []string{"<script", "<style", " style=", " onclick", "http://", "https://"} {
		if strings.Contains(page, forbidden) {
			t.Errorf("the page has %q, which the policy forbids", forbidden)
		}
	}
}

func TestThePageIsOnlyRead(t *testing.T) {
	s := serve(well(1))
	for _, target := range []string{"/", "/style.css", "/icon.svg"} {
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
			answer := s.ask(method, target)
			if answer.Code != http.StatusMethodNotAllowed || answer.Header().Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: %d, Allow %q", method, target, answer.Code, answer.Header().Get("Allow"))
			}
		}
		if answer := s.ask("HEAD", target); answer.Code != http.StatusOK {
			t.Errorf("HEAD %s: %d", target, answer.Code)
		}
	}
	if answer := s.ask("GET", "/keys"); answer.Code != http.StatusNotFound {
		t.Errorf("a page that is not there: %d", answer.Code)
	}
}

func TestKeysAreFoundAndPaged(t *testing.T) {
	last := numbered(119).String()
	tests := []struct {
		name, target string
		want         []string
		rows         int
	}{
		{"the first page", "/", []string{"Keys 1 to 50 of 120", "Page 1 of 3 After →"}, 50},
		{"one in the middle", "/?page=2", []string{"Keys 51 to 100 of 120", "← Before Page 2 of 3 After →"}, 50},
		{"the last one", "/?page=3", []string{"Keys 101 to 120 of 120", "← Before Page 3 of 3"}, 20},
		{"one past the end", "/?page=99", []string{"Keys 101 to 120 of 120"}, 20},
		{"one that is no number", "/?page=-1", []string{"Keys 1 to 50 of 120"}, 50},
		{"a beginning", "/?key=0x0000001", []string{"Keys 1 to 16 of 16 that begin with 0x0000001"}, 16},
		{"the same as it may be pasted", "/?key=+0X0000001+", []string{"Keys 1 to 16 of 16"}, 16},
		{"without its 0x", "/?key=0000001", []string{"Keys 1 to 16 of 16"}, 16},
		{"a whole key", "/?key=" + last, []string{"One key that begins with " + last, "This key Public key " + last, "Last block slot 1119", "from epoch 7 to 8", "blocks above slot 0; none for targets"}, 1},
		{"what nobody holds", "/?key=0xff", []string{"No such key is held here."}, 0},
		{"no hexadecimal digits", "/?key=0xyz", []string{"Nothing is shown: a public key has only the digits 0 to 9 and a to f."}, 0},
		{"too many of them", "/?key=" + strings.Repeat("a", 97), []string{"Nothing is shown: a public key has 96 hexadecimal digits"}, 0},
		{"those that do not sign", "/?show=withheld", []string{"Keys 1 to 2 of 2 that do not sign"}, 2},
		{"of them, those that begin so", "/?show=withheld&key=0x00000001", []string{"No such key is held here."}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := serve(well(120))
			s.withheld = map[int]string{5: "deleted", 77: "nothing is known of it"}
			page := s.get(t, test.target)
			mustShow(t, page, test.want...)
			if rows := strings.Count(page, `<th scope="row"><a href="/?key=`); rows != test.rows {
				t.Errorf("%d rows, want %d", rows, test.rows)
			}
		})
	}
	t.Run("a search goes on over pages", func(t *testing.T) {
		page := serve(well(1000)).get(t, "/?key=0x000000")
		if link := `href="/?key=0x000000&amp;page=2#keys"`; !strings.Contains(page, link) {
			t.Errorf("no %s", link)
		}
	})
	t.Run("a page looks up what it shows", func(t *testing.T) {
		s := serve(well(1000))
		s.get(t, "/")
		if s.lookups != 50 {
			t.Errorf("%d records were read for 50 rows", s.lookups)
		}
	})
	t.Run("no key at all", func(t *testing.T) {
		mustShow(t, serve(well(0)).get(t, "/"), "Ready, without a key in service", "None yet")
	})
}

func TestTheLastHourIsShownAndForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(well(1))
		mustShow(t, s.get(t, "/"), "Signed 0", "Refused 0")
		for range 10 {
			for range 98 {
				s.activity.Observe(eth2.KindAttestation, "", 900*time.Microsecond)
			}
			s.activity.Observe(eth2.KindAttestation, "", 80*time.Millisecond)
			s.activity.Observe(eth2.KindAttestation, "", 80*time.Millisecond)
			s.activity.Observe(eth2.KindBlock, signer.ReasonDoubleBlock, time.Millisecond)
			time.Sleep(time.Minute)
		}
		s.activity.Observe(0, signer.ReasonMalformedRequest, time.Millisecond)
		page := s.get(t, "/")
		mustShow(t, page,
			"Signed 1000, at most 100 a minute", "Refused 11, at most 1 a minute",
			"attestation 400 1000 0 1.0 ms 81.9 ms", "block v2 0 0 10 – –", "not understood 0 0 1 – –",
			"double_block 10 malformed_request 1",
		)
		if bars := strings.Count(page, "<rect"); bars != 10+11 {
			t.Errorf("%d bars, want one for each minute with a request: 21", bars)
		}

		time.Sleep(54 * time.Minute)
		mustShow(t, s.get(t, "/"), "Signed 500, at most 100 a minute", "attestation 0 500 0", "double_block 5")
		time.Sleep(5 * time.Minute)
		mustShow(t, s.get(t, "/"), "Signed 0", "Refused 1,")
		s.activity.Observe(eth2.KindAttestation, "", 3*time.Second)
		mustShow(t, s.get(t, "/"), "attestation 1 1 0 3.1 s 3.1 s")
	})
}

// Quantiles may be told a quarter too long, and never too short.
func TestQuantilesAreNeverTooShort(t *testing.T) {
	for us := 1; us < 7_000_000; us += 1 + us/7 {
		var a statuspage.Activity
		took := time.Duration(us) * time.Microsecond
		a.Observe(eth2.KindBlock, "", took)
		p50, p99 := statuspage.Quantiles(&a, time.Now())
		if p50 <= took || p99 != p50 || p50 > took+max(took/4, time.Microsecond) {
			t.Errorf("%v is told as %v and %v", took, p50, p99)
		}
	}
}

// A clock that is set back must not make the page fail, or count twice.
func TestAClockThatIsSetBack(t *testing.T) {
	var a statuspage.Activity
	a.Observe(eth2.KindBlock, "", time.Millisecond)
	if p50, _ := statuspage.Quantiles(&a, time.Now().Add(-3*time.Hour)); p50 != 0 {
		t.Errorf("what is yet to come counts: %v", p50)
	}
}

func TestManyObserveAtOnceAndNothingIsLost(t *testing.T) {
	s := serve(well(1))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 500 {
				s.activity.Observe(eth2.KindBlock, "", time.Millisecond)
				s.activity.Observe(eth2.KindBlock, signer.ReasonDoubleBlock, time.Millisecond)
			}
		})
	}
	all.Go(func() {
		for range 20 {
			s.get(t, "/")
		}
	})
	all.Wait()
	mustShow(t, s.get(t, "/"), "Signed 4000", "Refused 4000", "double_block 4000")
}

// What each decision costs that is shown here.
func BenchmarkObserve(b *testing.B) {
	var a statuspage.Activity
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			a.Observe(eth2.KindAttestation, "", 700*time.Microsecond)
		}
	})
}

func BenchmarkPage(b *testing.B) {
	s := serve(well(10_000))
	for i := range 10_000 {
		s.activity.Observe(eth2.Kinds()[i%16], "", time.Duration(i)*time.Microsecond)
	}
	for _, target := range []string{"/", "/?page=150", "/?key=0x000012", "/?show=withheld"} {
		b.Run(fmt.Sprintf("10000 keys %s", target), func(b *testing.B) {
			for b.Loop() {
				if answer := s.ask("GET", target); answer.Code != http.StatusOK {
					b.Fatal(answer.Code)
				}
			}
		})
	}
}
