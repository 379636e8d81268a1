package hostile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/internal/testdata"
	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

// A seed is a request that is right in all its parts.
type seed struct {
	method  string
	path    string
	headers []string // lines, without those of the connection
	body    string
	key     [48]byte // that is asked to sign
	kind    string   // the type of its message; "" if it is none
}

// slashable tells whether what a seed asks for may get a validator slashed.
func (s seed) slashable() bool {
	return strings.EqualFold(s.kind, "ATTESTATION") || strings.HasPrefix(strings.ToUpper(s.kind), "BLOCK")
}

const mainnetRoot = "0x4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95"

var mainnet = daemon.Network{Name: "mainnet"}

const forkInfo = `"fork_info":{"fork":{"previous_version":"0x05000000","current_version":"0x06000000","epoch":"411392"},` +
	`"genesis_validators_root":"` + mainnetRoot + `"}`

func root(variant int) string { return fmt.Sprintf("0x%064x", variant) }

func attestation(target uint64, variant int) string {
	return fmt.Sprintf(`{"type":"ATTESTATION",%s,"attestation":{"slot":"%d","index":"0","beacon_block_root":%q,`+
		`"source":{"epoch":"%d","root":%q},"target":{"epoch":"%d","root":%q}}}`,
		forkInfo, target*32, root(variant), target-1, root(0), target, root(variant))
}

// lastEpoch is the last one that the daemon signs for, one past the clock. The
// messages of it stay the latest: what a mutation moves beyond is refused.
func lastEpoch() uint64 {
	const genesis = 1606824023
	return uint64(time.Now().Unix()-genesis)/(32*12) + 1
}

// made are seeds of this test's own: what a fresh clone attacks with.
func made(keys []interop.Key, token string) []seed {
	last := lastEpoch()
	bodies := map[string]string{
		"ATTESTATION": attestation(last, 1),
		"BLOCK_V2": `{"type":"BLOCK_V2",` + forkInfo + `,"beacon_block":{"version":"FULU","block_header":{"slot":"` + strconv.FormatUint(last*32+31, 10) +
			`","proposer_index":"7","parent_root":"` + root(1) + `","state_root":"` + root(2) + `","body_root":"` + root(3) + `"}}}`,
		"AGGREGATION_SLOT": `{"type":"AGGREGATION_SLOT",` + forkInfo + `,"aggregation_slot":{"slot":"16000000"}}`,
		"RANDAO_REVEAL":    `{"type":"RANDAO_REVEAL",` + forkInfo + `,"randao_reveal":{"epoch":"500000"}}`,
		"AGGREGATE_AND_PROOF_V2": `{"type":"AGGREGATE_AND_PROOF_V2",` + forkInfo + `,"aggregate_and_proof":{"version":"FULU","data":` +
			`{"aggregator_index":"7","aggregate":{"aggregation_bits":"0x0101","data":{"slot":"16000000","index":"0","beacon_block_root":"` + root(1) +
			`","source":{"epoch":"499999","root":"` + root(0) + `"},"target":{"epoch":"500000","root":"` + root(1) + `"}},"committee_bits":"0x0100000000000000",` +
			`"signature":"0x` + strings.Repeat("00", 96) + `"},"selection_proof":"0x` + strings.Repeat("00", 96) + `"}}}`,
		"SYNC_COMMITTEE_MESSAGE": `{"type":"SYNC_COMMITTEE_MESSAGE",` + forkInfo + `,"sync_committee_message":{"beacon_block_root":"` + root(1) + `","slot":"16000000"}}`,
		"SYNC_COMMITTEE_SELECTION_PROOF": `{"type":"SYNC_COMMITTEE_SELECTION_PROOF",` + forkInfo +
			`,"sync_aggregator_selection_data":{"slot":"16000000","subcommittee_index":"1"}}`,
		"VALIDATOR_REGISTRATION": `{"type":"VALIDATOR_REGISTRATION","validator_registration":{"fee_recipient":"0x` + strings.Repeat("11", 20) +
			`","gas_limit":"36000000","timestamp":"1700000000","pubkey":"` + keys[0].Hex() + `"}}`,
	}
	var seeds []seed
	for _, kind := range slices.Sorted(maps.Keys(bodies)) {
		body := bodies[kind]
		for i, accept := range []string{"Accept: application/json", "Accept: text/plain;q=0.5, application/json", "User-Agent: Go-http-client/1.1"} {
			key := keys[i%len(keys)]
			if kind == "VALIDATOR_REGISTRATION" {
				key = keys[0]
			}
			seeds = append(seeds, signing(key.Public, body, kind, accept, "Content-Type: application/json"))
		}
	}
	bearer := "Authorization: Bearer " + token
	stranger := interop.New(99)
	keystore, err := json.Marshal(stranger.Keystore("p"))
	if err != nil {
		panic("hostile: internal error: " + err.Error())
	}
	wrong := strings.Replace(attestation(last, 1), "{", `{"signing_root":"`+root(9)+`",`, 1)
	return append(seeds,
		signing(keys[0].Public, wrong, "ATTESTATION", "Accept: */*"),
		seed{method: "POST", path: "/eth/v1/keystores", headers: []string{bearer}, body: `{"keystores":[` + string(keystore) + `],"passwords":["p"]}`},
		seed{method: "DELETE", path: "/eth/v1/keystores", headers: []string{bearer}, body: `{"pubkeys":["` + interop.New(98).Hex() + `"]}`},
		seed{method: "GET", path: "/eth/v1/keystores", headers: []string{bearer}},
		seed{method: "POST", path: "/eth/v1/keystores", headers: []string{"Authorization: Bearer no"}, body: `{"keystores":[],"passwords":[]}`},
		seed{method: "GET", path: "/signer/v1/status", headers: []string{bearer}},
		seed{method: "GET", path: "/signer/v1/keys", headers: []string{bearer}},
		seed{method: "GET", path: "/api/v1/eth2/publicKeys", headers: []string{"Accept-Encoding: gzip"}},
		seed{method: "GET", path: "/upcheck", headers: []string{"Accept: application/json"}},
		seed{method: "HEAD", path: "/healthcheck"},
	)
}

func signing(key [48]byte, body, kind string, headers ...string) seed {
	return seed{method: "POST", path: fmt.Sprintf("/api/v1/eth2/sign/0x%x", key), headers: headers, body: body, key: key, kind: kind}
}

// shared are the seeds of the shared test data: vectors, and what real clients
// sent on other chains, moved to mainnet. Where the data are not there, the
// attack goes on without them.
func shared(t *testing.T, keys []interop.Key) []seed {
	t.Helper()
	var seeds []seed
	t.Run("seeds of the shared test data", func(t *testing.T) {
		byPath := map[string][48]byte{}
		for _, k := range keys {
			byPath["/api/v1/eth2/sign/"+k.Hex()] = k.Public
		}
		files, err := filepath.Glob(filepath.Join(testdata.Path(t, "captured"), "*", "*_*.json"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no recorded requests: %v", err)
		}
		for _, file := range files {
			var r struct {
				Path    string            `json:"path"`
				Headers map[string]string `json:"headers"`
				Body    string            `json:"raw_body"`
			}
			testdata.ReadJSON(t, file, &r)
			if key, ours := byPath[r.Path]; ours {
				s := signing(key, onMainnet(t, r.Body), typeOf(t, r.Body))
				for name, value := range r.Headers {
					if name != "host" && name != "connection" && name != "content-length" {
						s.headers = append(s.headers, name+": "+value)
					}
				}
				seeds = append(seeds, s)
			}
		}
		if files, err = filepath.Glob(filepath.Join(testdata.Path(t, "vectors/mainnet"), "*.json")); err != nil || len(files) == 0 {
			t.Fatalf("no vectors: %v", err)
		}
		for _, file := range files {
			var v struct {
				Vectors []struct {
					Type    string          `json:"type"`
					Request json.RawMessage `json:"request"`
				} `json:"vectors"`
			}
			testdata.ReadJSON(t, file, &v)
			for _, vector := range v.Vectors {
				seeds = append(seeds, signing(keys[0].Public, string(vector.Request), vector.Type, "Accept: */*"))
			}
		}
		t.Logf("%d seeds", len(seeds))
	})
	return seeds
}

func typeOf(t *testing.T, body string) string {
	t.Helper()
	var r struct{ Type string }
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		t.Fatal(err)
	}
	return r.Type
}

// onMainnet moves a request to the mainnet: its genesis and its forks' versions
// are mainnet's, and the root that its client claimed is left out.
func onMainnet(t *testing.T, body string) string {
	t.Helper()
	tree := parse(body)
	for _, n := range tree.all() {
		for i := 0; i < len(n.members); i++ {
			m := &n.members[i]
			switch version, raw := m.name, &m.value.raw; {
			case m.name == "signing_root" || m.name == "signingRoot":
				n.members = append(n.members[:i], n.members[i+1:]...)
				i--
			case m.name == "genesis_validators_root":
				*raw = `"` + mainnetRoot + `"`
			case strings.HasSuffix(version, "_version") && strings.HasSuffix(*raw, `01"`):
				*raw = strings.TrimSuffix(*raw, `01"`) + `00"`
			}
		}
	}
	return tree.String()
}

// A node is a JSON value whose members keep their order, and may repeat.
type node struct {
	open    byte // '{', '[' or 0
	members []member
	elems   []*node
	raw     string
}

type member struct {
	name  string
	value *node
}

// parse reads a body of a seed.
func parse(body string) *node {
	d := json.NewDecoder(strings.NewReader(body))
	d.UseNumber()
	n, err := read(d)
	if err != nil {
		panic("hostile: internal error: a seed is no JSON: " + err.Error())
	}
	return n
}

func read(d *json.Decoder) (*node, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	open, nested := token.(json.Delim)
	if !nested {
		raw, err := json.Marshal(token)
		return &node{raw: string(raw)}, err
	}
	n := &node{open: byte(open)}
	for d.More() {
		var name string
		if n.open == '{' {
			token, err := d.Token()
			if err != nil {
				return nil, err
			}
			name = token.(string)
		}
		value, err := read(d)
		if err != nil {
			return nil, err
		}
		if n.open == '{' {
			n.members = append(n.members, member{name, value})
		} else {
			n.elems = append(n.elems, value)
		}
	}
	_, err = d.Token()
	return n, err
}

func (n *node) String() string {
	var b bytes.Buffer
	n.write(&b)
	return b.String()
}

func (n *node) write(b *bytes.Buffer) {
	switch n.open {
	case '{':
		b.WriteByte('{')
		for i, m := range n.members {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(b, "%q:", m.name)
			m.value.write(b)
		}
		b.WriteByte('}')
	case '[':
		b.WriteByte('[')
		for i, e := range n.elems {
			if i > 0 {
				b.WriteByte(',')
			}
			e.write(b)
		}
		b.WriteByte(']')
	default:
		b.WriteString(n.raw)
	}
}

// clone is a copy that shares nothing with n, and so may go below it.
func (n *node) clone() *node { return parse(n.String()) }

// all returns n and every value inside it.
func (n *node) all() []*node {
	nodes := []*node{n}
	for _, m := range n.members {
		nodes = append(nodes, m.value.all()...)
	}
	for _, e := range n.elems {
		nodes = append(nodes, e.all()...)
	}
	return nodes
}
