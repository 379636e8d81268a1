package attestapi

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/secure-signer/secure-signer/attest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEvidenceIsBoundToTheNonceAndToThisVeryConnection(t *testing.T) {
	w := newWorld(t)
	nonce := attest.Nonce{1}
	a, exporter := w.ask(nonce)
	if err := w.judge(a.Evidence, nonce, exporter, StatesReceiptKey); err != nil {
		t.Fatal(err)
	}
	w.server.Client().CloseIdleConnections()
	_, other := w.ask(nonce) // the same question over another connection
	swapped := a.Evidence
	swapped.Claims.TLSKey = []byte("another certificate")
	for name, err := range map[string]error{
		"another nonce":            w.judge(a.Evidence, attest.Nonce{2}, exporter, StatesReceiptKey),
		"another connection":       w.judge(a.Evidence, nonce, other, StatesReceiptKey),
		"no connection":            w.judge(a.Evidence, nonce, nil, StatesReceiptKey),
		"another certificate":      w.judge(swapped, nonce, exporter, StatesReceiptKey),
		"a statement not asked of": w.judge(a.Evidence, nonce, exporter),
	} {
		if !errors.Is(err, attest.ErrNotAcceptable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, want := string(a.Evidence.Claims.TLSKey), string(w.server.Certificate().RawSubjectPublicKeyInfo); got != want {
		t.Errorf("the TLS key is %x, the certificate's %x", got, want)
	}
	d, err := ReadDocument(a.Evidence.Claims.Config)
	if err != nil || len(d.ReceiptKey) != 32 || d.Generated != nil {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestThereIsNoEvidenceWithoutTLS13(t *testing.T) {
	w := newWorld(t)
	plain := httptest.NewServer(w.routes().Attest)
	defer plain.Close()
	got := w.postBy(plain.Client(), plain.URL, AttestRequest{})
	if got.status != http.StatusBadRequest || got.reason() != ReasonNeedsTLS || !strings.Contains(string(got.body), "--tls-cert-file") {
		t.Errorf("plain HTTP: %d %s", got.status, got.body)
	}
	old := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}}
	defer old.CloseIdleConnections()
	if got := w.postBy(&http.Client{Transport: old}, w.server.URL+RouteAttest, AttestRequest{}); got.reason() != ReasonNeedsTLS {
		t.Errorf("TLS 1.2: %d %s", got.status, got.body)
	}
}

func TestWithoutTrustedHardwareEveryRouteSaysSo(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Evidence = nil })
	for _, route := range []string{RouteAttest, RouteImport, RouteGenerate} {
		if got := w.post(route, []byte("{}")); got.status != http.StatusNotImplemented || got.reason() != ReasonNoPlatform {
			t.Errorf("%s: %d %s", route, got.status, got.body)
		}
	}
}

func TestHardwareThatFailsIsAFaultThatMayPass(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.Evidence = func(context.Context, attest.ReportData) (attest.Evidence, error) {
			return attest.Evidence{}, errors.New("the quoting service is away")
		}
	})
	if got := w.post(RouteAttest, AttestRequest{}); got.status != http.StatusServiceUnavailable || got.reason() != ReasonNoEvidence {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestMalformedRequestsAreRefused(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct{ route, body string }{
		{RouteAttest, ``},
		{RouteAttest, `{}`},
		{RouteAttest, `{"nonce":"00"}`},
		{RouteAttest, `{"nonce":"` + strings.Repeat("0", 64) + `","nonce":"` + strings.Repeat("1", 64) + `"}`},
		{RouteImport, `{}`},
		{RouteImport, `{"import_nonce":"` + strings.Repeat("0", 64) + `","pubkey":"0x00","sealed":""}`},
		{RouteGenerate, `{"nonce":"` + strings.Repeat("0", 64) + `","withdrawal_credentials":"0x","amount":1}`},
	} {
		if got := w.post(tt.route, []byte(tt.body)); got.status != http.StatusBadRequest || got.reason() != "malformed_request" {
			t.Errorf("%s %s: %d %s", tt.route, tt.body, got.status, got.body)
		}
	}
	if got := w.post(RouteAttest, []byte(strings.Repeat(" ", maxAttestBody+1))); got.status != http.StatusRequestEntityTooLarge {
		t.Errorf("too large: %d %s", got.status, got.body)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.server.URL+RouteAttest, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := w.server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != "POST" {
		t.Errorf("GET: %d, Allow %q", resp.StatusCode, resp.Header.Get("Allow"))
	}
}

func TestQuotesAreMadeOneAtATimeAndFewWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQuotes(3)
		one := func(work func(context.Context) error) error {
			leave, err := q.enter()
			if err != nil {
				return err
			}
			defer leave()
			return q.one(t.Context(), work)
		}
		release := make(chan struct{})
		var mu sync.Mutex
		working, most := 0, 0
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				if err := one(func(context.Context) error {
					mu.Lock()
					working++
					most = max(most, working)
					mu.Unlock()
					<-release
					mu.Lock()
					working--
					mu.Unlock()
					return nil
				}); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if err := one(func(context.Context) error { return nil }); err == nil {
			t.Errorf("the fourth: %v", err)
		}
		close(release)
		all.Wait()
		if most != 1 {
			t.Errorf("%d quotes at once", most)
		}
		if err := one(func(context.Context) error { return nil }); err != nil {
			t.Errorf("afterwards: %v", err)
		}
		// Hardware that hangs holds nobody up for ever.
		began := time.Now()
		hung := make(chan error, 1)
		go func() {
			hung <- one(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		}()
		if err := <-hung; !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != quoteTime {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

func TestTooManyWhoAskAreToldToComeBack(t *testing.T) {
	w := newWorld(t)
	w.quotes = newQuotes(1)
	w.hold = make(chan struct{})
	first := make(chan answer)
	go func() { first <- w.post(RouteAttest, AttestRequest{}) }()
	for len(w.quotes.turn) == 0 {
		time.Sleep(time.Millisecond)
	}
	got := w.post(RouteAttest, AttestRequest{})
	if got.status != http.StatusServiceUnavailable || got.reason() != reasonOverloaded || got.header.Get("Retry-After") == "" {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := w.post(RouteGenerate, GenerateRequest{attest.Nonce{1}, credentials(2), 32 * gwei}); got.reason() != reasonOverloaded || len(w.Custody.Keyring.PublicKeys()) != 0 {
		t.Errorf("a key that would get no evidence: %d %s, and keys: %v", got.status, got.body, w.Custody.Keyring.PublicKeys())
	}
	close(w.hold)
	if got := <-first; got.status != http.StatusOK {
		t.Errorf("the first: %d %s", got.status, got.body)
	}
}
