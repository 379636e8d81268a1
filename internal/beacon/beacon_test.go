package beacon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/testdata"
)

// A fakeNode answers with these bodies, or a status.
type fakeNode map[string]string

func (f fakeNode) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, ok := f[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	var status int
	if n, _ := fmt.Sscanf(body, "%d", &status); n == 1 {
		w.Header().Set("Location", "http://elsewhere.example/")
		w.WriteHeader(status)
		return
	}
	fmt.Fprint(w, body)
}

func ask(t *testing.T, f http.Handler) (*Chain, error) {
	t.Helper()
	server := httptest.NewServer(f)
	defer server.Close()
	return Ask(t.Context(), server.URL)
}

const hoodiGenesis = `{"data":{"genesis_time":"1742213400","genesis_validators_root":"0x212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f","genesis_fork_version":"0x10000910"}}`

// hoodiSpec is what every client says of Hoodi in one form or another.
const hoodiSpec = `"PRESET_BASE":"mainnet","CONFIG_NAME":"hoodi","SECONDS_PER_SLOT":"12","SLOTS_PER_EPOCH":"32","GENESIS_FORK_VERSION":"0x10000910",` +
	`"ALTAIR_FORK_VERSION":"0x20000910","ALTAIR_FORK_EPOCH":"0","BELLATRIX_FORK_VERSION":"0x30000910","BELLATRIX_FORK_EPOCH":"0",` +
	`"CAPELLA_FORK_VERSION":"0x40000910","CAPELLA_FORK_EPOCH":"0","DENEB_FORK_VERSION":"0x50000910","DENEB_FORK_EPOCH":"0",` +
	`"ELECTRA_FORK_VERSION":"0x60000910","ELECTRA_FORK_EPOCH":"2048","FULU_FORK_VERSION":"0x70000910","FULU_FORK_EPOCH":"50688"`

const (
	latestForks = `{"previous_version":"0x50000910","current_version":"0x60000910","epoch":"2048"},{"previous_version":"0x60000910","current_version":"0x70000910","epoch":"50688"}`
	allForks    = `{"previous_version":"0x10000910","current_version":"0x10000910","epoch":"0"},{"previous_version":"0x10000910","current_version":"0x20000910","epoch":"0"},` +
		`{"previous_version":"0x20000910","current_version":"0x30000910","epoch":"0"},{"previous_version":"0x30000910","current_version":"0x40000910","epoch":"0"},` +
		`{"previous_version":"0x40000910","current_version":"0x50000910","epoch":"0"},` + latestForks
)

func hoodiNode(spec, forks string) fakeNode {
	return fakeNode{
		specPath:     `{"data":{` + hoodiSpec + spec + `}}`,
		genesisPath:  hoodiGenesis,
		schedulePath: `{"data":[` + forks + `]}`,
	}
}

// TestTheShapesThatClientsAnswerInAreOneChain. The shapes are those of the
// clients' own code in 2026; what is not a string or a number is passed over.
func TestTheShapesThatClientsAnswerInAreOneChain(t *testing.T) {
	const never = "18446744073709551615"
	tests := map[string]fakeNode{
		"every fork listed, and Gloas unscheduled": hoodiNode(
			`,"GLOAS_FORK_VERSION":"0x80000910","GLOAS_FORK_EPOCH":"`+never+`"`,
			allForks+`,{"previous_version":"0x70000910","current_version":"0x80000910","epoch":"`+never+`"}`),
		"a list of blob limits with strings":       hoodiNode(`,"BLOB_SCHEDULE":[{"EPOCH":"52480","MAX_BLOBS_PER_BLOCK":"15"}]`, allForks),
		"a list of blob limits with numbers":       hoodiNode(`,"BLOB_SCHEDULE":[{"EPOCH":52480,"MAX_BLOBS_PER_BLOCK":15}]`, allForks),
		"no blob limits, said as null":             hoodiNode(`,"BLOB_SCHEDULE":null,"GLOAS_FORK_EPOCH":null`, allForks),
		"of the forks at genesis only the last":    hoodiNode("", `{"previous_version":"0x50000910","current_version":"0x50000910","epoch":"0"},`+latestForks),
		"the same fork twice":                      hoodiNode("", allForks+","+latestForks),
		"numbers as numbers":                       hoodiNode(`,"SLOT_DURATION_MS":12000,"MAX_DEPOSITS":16,"REORG_HEAD_WEIGHT_THRESHOLD":2e1`, strings.ReplaceAll(allForks, `"epoch":"0"`, `"epoch":0`)),
		"forks of the drawing board, not in force": hoodiNode(`,"EIP7805_FORK_EPOCH":"`+never+`","EIP7805_FORK_VERSION":"0x90000910"`, allForks),
	}
	want, _ := eth2.Builtin("hoodi")
	for name, node := range tests {
		t.Run(name, func(t *testing.T) {
			c, err := ask(t, node)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, c.Network); diff != "" {
				t.Errorf("network (-want +got):\n%s", diff)
			}
			if len(c.Unknown) > 0 {
				t.Errorf("unknown forks %v", c.Unknown)
			}
			if _, gloas := node[specPath]; gloas && strings.Contains(node[specPath], `"GLOAS_FORK_EPOCH":"`) != slices.Equal(c.Unscheduled, []eth2.ForkName{eth2.Gloas}) {
				t.Errorf("unscheduled: %v", c.Unscheduled)
			}
		})
	}
}

// TestANodeThatWasRecorded: the answers of two real Lodestar releases, one of
// which calls Deneb EIP4844.
func TestANodeThatWasRecorded(t *testing.T) {
	for release, forks := range map[string]int{"lodestar-1.5.1-minimal": 4, "lodestar-1.22-minimal": 6} {
		t.Run(release, func(t *testing.T) {
			node := fakeNode{}
			for path, file := range map[string]string{specPath: "SPEC.json", genesisPath: "GENESIS.json"} {
				text, err := os.ReadFile(testdata.Path(t, "captured/"+release+"/"+file))
				if err != nil {
					t.Fatal(err)
				}
				node[path] = string(text)
			}
			schedule := []string{}
			for i := range forks {
				schedule = append(schedule, fmt.Sprintf(`{"previous_version":"0x%02x000001","current_version":"0x%02x000001","epoch":"%d"}`, max(i-1, 0), i, i))
			}
			node[schedulePath] = `{"data":[` + strings.Join(schedule, ",") + `]}`
			c, err := ask(t, node)
			if err != nil {
				t.Fatal(err)
			}
			if n := c.Network; n.Name != "e2e" || n.Preset.Name != "minimal" || n.SecondsPerSlot != 2 || n.GenesisTime == 0 || len(n.Forks) != forks {
				t.Errorf("got %+v", n)
			}
		})
	}
}

func TestAForkOfALaterReleaseIsReported(t *testing.T) {
	c, err := ask(t, hoodiNode(
		`,"HEZE_FORK_VERSION":"0x90000910","HEZE_FORK_EPOCH":"900000"`,
		allForks+`,{"previous_version":"0x70000910","current_version":"0x90000910","epoch":"900000"}`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]UnknownFork{{"HEZE", 900000}}, c.Unknown); diff != "" {
		t.Errorf("unknown forks (-want +got):\n%s", diff)
	}
	if text := c.Unknown[0].String(); !strings.Contains(text, "epoch 900000") || !strings.Contains(text, "HEZE") || !strings.Contains(text, "update") {
		t.Errorf("got %q", text)
	}
}

// hoodiWith is hoodi's node with another value of one key, or without it.
func hoodiWith(key string, value any) fakeNode {
	node := hoodiNode("", allForks)
	var spec struct {
		Data map[string]any `json:"data"`
	}
	if err := json.Unmarshal([]byte(node[specPath]), &spec); err != nil {
		panic(err)
	}
	spec.Data[key] = value
	if value == nil {
		delete(spec.Data, key)
	}
	text, err := json.Marshal(spec)
	if err != nil {
		panic(err)
	}
	node[specPath] = string(text)
	return node
}

func with(node fakeNode, path, body string) fakeNode {
	node = maps.Clone(node)
	node[path] = body
	if body == "" {
		delete(node, path)
	}
	return node
}

func TestAnswersThatCannotBeTrustedAreRefused(t *testing.T) {
	hoodi := hoodiNode("", allForks)
	tests := []struct {
		name string
		node fakeNode
		says string
	}{
		{"no preset", hoodiWith("PRESET_BASE", nil), "lacks PRESET_BASE"},
		{"no name: it would be called mainnet", hoodiWith("CONFIG_NAME", nil), "lacks CONFIG_NAME"},
		{"no genesis version", hoodiWith("GENESIS_FORK_VERSION", nil), "lacks GENESIS_FORK_VERSION"},
		{"no length of a slot", hoodiWith("SECONDS_PER_SLOT", nil), "lacks SECONDS_PER_SLOT"},
		{"an unknown preset", hoodiWith("PRESET_BASE", "medium"), "PRESET_BASE"},
		{"a preset with constants of its own", hoodiWith("SLOTS_PER_EPOCH", "6"), "cannot sign for such a chain"},
		{"an epoch that a float has rounded", hoodiWith("ELECTRA_FORK_EPOCH", 1.8446744073709552e19), "ELECTRA_FORK_EPOCH"},
		{"no time of genesis", with(hoodi, genesisPath, strings.Replace(hoodiGenesis, `"1742213400"`, `"0"`, 1)), "lacks genesis_time"},
		{"no genesis root", with(hoodi, genesisPath, `{"data":{"genesis_time":"1742213400","genesis_fork_version":"0x10000910"}}`), "lacks genesis_validators_root"},
		{"another genesis version", with(hoodi, genesisPath, strings.Replace(hoodiGenesis, "0x10000910", "0x10000911", 1)), "ask another node"},
		{"a schedule with another epoch", with(hoodi, schedulePath, strings.Replace(hoodi[schedulePath], `"2048"`, `"2049"`, 1)), "electra is at epoch 2048"},
		{"a schedule with a fork too many", with(hoodi, schedulePath, `{"data":[`+allForks+`,{"previous_version":"0x70000910","current_version":"0x80000910","epoch":"60000"}]}`), "0x80000910"},
		{"a schedule with a fork too few", with(hoodi, schedulePath, `{"data":[`+strings.Split(allForks, `,{"previous_version":"0x60000910"`)[0]+`]}`), "fulu at epoch 50688"},
		{"a schedule without the last fork of genesis", with(hoodi, schedulePath, `{"data":[`+latestForks+`]}`), "deneb at epoch 0"},
		{"an unknown fork before a known one", hoodiWith("EIP6110_FORK_EPOCH", "100"), "EIP6110"},
		{"an unknown fork at no epoch", hoodiWith("HEZE_FORK_EPOCH", "soon"), "no epoch"},

		{"not JSON", with(hoodi, specPath, "<html>"), "like a beacon node"},
		{"JSON of something else", with(hoodi, specPath, `{"data":[1]}`), "like a beacon node"},
		{"a member twice", with(hoodi, specPath, `{"data":{"PRESET_BASE":"mainnet","PRESET_BASE":"minimal"}}`), "like a beacon node"},
		{"nothing", with(hoodi, specPath, `{}`), "lacks PRESET_BASE"},
		{"too much", with(hoodi, specPath, `{"data":{"X":"`+strings.Repeat("x", maxAnswer)+`"}}`), "no beacon node"},
		{"an execution client's port", with(hoodi, specPath, "405"), "405"},
		{"another program's port", with(hoodi, specPath, ""), "does not know"},
		{"a redirect", with(hoodi, specPath, "302"), "elsewhere.example"},
		{"a password", with(hoodi, specPath, "401"), "name and password"},
		{"a node that starts", with(hoodi, specPath, "503"), "try again"},
		{"a chain before its genesis", with(hoodi, genesisPath, "404"), "no genesis"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, err := ask(t, test.node)
			if c != nil || err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %+v, %v, want an error that says %q", c, err, test.says)
			}
		})
	}
	if _, err := ask(t, hoodi); err != nil {
		t.Errorf("the node that all of them are made from: %v", err)
	}
}

func TestAnAddressThatIsNoneIsRefusedAndAPasswordIsNotShown(t *testing.T) {
	for _, address := range []string{"", "127.0.0.1:5052", "ftp://127.0.0.1", "file:///etc/passwd", "http://", "http://h/?x=y", "http://h/#x", "http://[::1"} {
		if _, err := Ask(t.Context(), address); !errors.Is(err, ErrAddress) {
			t.Errorf("%q: %v, want %v", address, err, ErrAddress)
		}
	}
	closed := httptest.NewServer(nil)
	closed.Close()
	_, err := Ask(t.Context(), strings.Replace(closed.URL, "//", "//alice:wonderland@", 1))
	if err == nil || !strings.Contains(err.Error(), "no beacon node answers") || strings.Contains(err.Error(), "wonderland") {
		t.Errorf("got %v", err)
	}
	_, err = Ask(t.Context(), "http://alice:wonderland@127.0.0.1:1/%zz")
	if err == nil || strings.Contains(err.Error(), "wonderland") {
		t.Errorf("got %v", err)
	}
}

func TestANodeBelowAPathAndBehindAPasswordIsAsked(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("/key/", http.StripPrefix("/key", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != "wonderland" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		hoodiNode("", allForks).ServeHTTP(w, r)
	})))
	server := httptest.NewServer(mux)
	defer server.Close()
	c, err := Ask(t.Context(), strings.Replace(server.URL, "//", "//alice:wonderland@", 1)+"/key/")
	if err != nil || strings.Contains(c.Node, "wonderland") {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestANodeThatHangsIsNotWaitedForPastTheEndOfTheContext(t *testing.T) {
	begun := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
	}))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-begun
		cancel()
	}()
	if _, err := Ask(ctx, server.URL); err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("got %v", err)
	}
}

// FuzzAsk holds that no answer panics, and that what is returned makes sense.
func FuzzAsk(f *testing.F) {
	f.Add([]byte(`{`+hoodiSpec+`}`), []byte(hoodiGenesis[8:len(hoodiGenesis)-1]), []byte(`[`+allForks+`]`))
	f.Fuzz(func(t *testing.T, spec, genesisText, schedule []byte) {
		node := fakeNode{}
		for path, data := range map[string][]byte{specPath: spec, genesisPath: genesisText, schedulePath: schedule} {
			node[path] = `{"data":` + string(data) + `}`
		}
		c, err := answers(node)
		if err != nil {
			return
		}
		if c.Network.GenesisTime == 0 || c.Network.GenesisValidatorsRoot == (eth2.Root{}) || c.Network.Name == "" {
			t.Errorf("got %+v", c.Network)
		}
		if err := c.Network.CheckSchedule(); err != nil {
			t.Error(err)
		}
		for _, fork := range c.Network.Forks {
			if fork.Epoch == math.MaxUint64 {
				t.Errorf("%v is scheduled for never", fork)
			}
		}
	})
}

// answers asks the node without a network between.
func answers(node fakeNode) (*Chain, error) {
	n, err := newNode("http://node.example")
	if err != nil {
		return nil, err
	}
	n.http.Transport = direct{node}
	return n.chain(context.Background())
}

type direct struct{ handler http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	return w.Result(), nil
}
