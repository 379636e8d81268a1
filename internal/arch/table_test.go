package arch

// A rule says what a package may import: packages of this module by their
// path below it, and modules of others. The standard library is free to all.
type rule struct {
	ours    []string
	outside []string
}

const (
	blst       = "github.com/supranational/blst"
	cobra      = "github.com/spf13/cobra"
	goCmp      = "github.com/google/go-cmp"
	goJSON     = "github.com/go-json-experiment/json"
	goPretty   = "github.com/jedib0t/go-pretty/v6"
	goSystemd  = "github.com/coreos/go-systemd/v22"
	goYAML     = "github.com/goccy/go-yaml"
	keystorev4 = "github.com/wealdtech/go-eth2-wallet-encryptor-keystorev4"
	pflag      = "github.com/spf13/pflag"
	prom       = "github.com/prometheus/client_golang"
	promModel  = "github.com/prometheus/client_model"
	xCrypto    = "golang.org/x/crypto"
	xSys       = "golang.org/x/sys"
	xTerm      = "golang.org/x/term"
	xText      = "golang.org/x/text"
)

// table is the dependency rule, package by package: leaves import nothing of
// ours; rules import leaves; the service imports leaves and declares what it
// needs; edges import the service's types; rooms import their own domain; and
// only cmd imports rooms.
var table = map[string]rule{
	// Leaves.
	"bls":      {outside: []string{blst, xSys}},
	"eth2":     {},
	"keystore": {ours: []string{"bls"}, outside: []string{goJSON, keystorev4, xCrypto, xText}},
	"record":   {},

	// Rooms of the record store.
	"record/recordtest": {ours: []string{"record"}, outside: []string{goCmp}},
	"record/memory":     {ours: []string{"record"}},
	"record/journal":    {ours: []string{"record", "internal/durable"}, outside: []string{xSys}},

	// Rules and keeping.
	"slashing": {ours: []string{"bls", "eth2", "record"}, outside: []string{goJSON}},
	"vault":    {ours: []string{"bls", "internal/durable"}, outside: []string{xCrypto}},

	// The service.
	"signer":  {ours: []string{"bls", "eth2"}},
	"policy":  {ours: []string{"bls", "eth2", "signer"}},
	"custody": {ours: []string{"bls", "slashing", "vault"}},

	// Edges.
	"web3signer": {ours: []string{"bls", "eth2", "signer", "internal/httpjson"}, outside: []string{goJSON}},
	"keymanager": {ours: []string{"bls", "keystore", "slashing", "custody", "internal/httpjson"}, outside: []string{goJSON}},
	"management": {ours: []string{"bls", "eth2", "slashing", "custody", "signer", "internal/httpjson"}},

	// What several need and nobody outside should import.
	"internal/arch":      {},
	"internal/bench":     {ours: []string{"bls", "eth2"}},
	"internal/cli":       {ours: []string{"internal/config"}, outside: []string{cobra}},
	"internal/config":    {outside: []string{cobra, pflag, goYAML, xTerm}},
	"internal/datadir":   {ours: []string{"eth2", "internal/durable", "internal/config"}, outside: []string{goYAML}},
	"internal/durable":   {outside: []string{xSys}},
	"internal/httpjson":  {outside: []string{goJSON}},
	"internal/telemetry": {ours: []string{"bls", "eth2", "signer"}, outside: []string{prom, promModel}},
	"internal/testdata":  {},
}

// wiring may import everything of ours.
var wiring = map[string]rule{
	"cmd/secure-signer": {outside: []string{cobra, pflag, goSystemd, xTerm}},
	"cmd/signerctl":     {outside: []string{cobra, pflag, goPretty, goJSON, xTerm}},
}

const (
	maxFileLines     = 600
	maxFunctionLines = 60 // wiring excepted: it is long and flat
)
