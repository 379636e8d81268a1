package arch

// A rule says what a package may import: packages of this module by their
// path below it, and modules of others. The standard library is free to all.
type rule struct {
	ours    []string
	outside []string
}

const (
	bip39     = "github.com/cosmos/go-bip39"
	blst      = "github.com/supranational/blst"
	cborLib   = "github.com/fxamacker/cbor/v2"
	cobra     = "github.com/spf13/cobra"
	goCmp     = "github.com/google/go-cmp"
	goJSON    = "github.com/go-json-experiment/json"
	goPretty  = "github.com/jedib0t/go-pretty/v6"
	goTPM     = "github.com/google/go-tpm"
	goYAML    = "github.com/goccy/go-yaml"
	landlock  = "github.com/landlock-lsm/go-landlock"
	pflag     = "github.com/spf13/pflag"
	prom      = "github.com/prometheus/client_golang"
	promModel = "github.com/prometheus/client_model"
	xCrypto   = "golang.org/x/crypto"
	xMod      = "golang.org/x/mod"
	xSys      = "golang.org/x/sys"
	xTerm     = "golang.org/x/term"
	xText     = "golang.org/x/text"
)

// table is the dependency rule, package by package: leaves import nothing of
// ours; rules import leaves; the service imports leaves and declares what it
// needs; edges import the service's types; rooms import their own domain; and
// only cmd imports rooms.
var table = map[string]rule{
	// Leaves.
	"attest":   {},
	"bls":      {ours: []string{"internal/secretmem"}, outside: []string{blst}},
	"confine":  {outside: []string{landlock, xSys}},
	"eth2":     {},
	"record":   {},
	"rollback": {},
	"tpmlink":  {outside: []string{goTPM}},

	// A leaf's helper for tests.
	"tpmlink/tpmtest": {},

	// Rooms of the record store.
	"record/recordtest": {ours: []string{"record"}, outside: []string{goCmp}},
	"record/memory":     {ours: []string{"record"}},
	"record/journal":    {ours: []string{"record", "internal/durable"}},

	// Rooms of the horizon.
	"rollback/memo":         {ours: []string{"rollback", "internal/sealed"}},
	"rollback/rollbacktest": {ours: []string{"rollback"}},
	"rollback/tpm":          {ours: []string{"rollback", "tpmlink"}, outside: []string{goTPM}},
	"rollback/witness":      {ours: []string{"rollback", "record"}},

	// Rooms of the evidence.
	"attest/dcap":  {ours: []string{"attest"}},
	"attest/dev":   {ours: []string{"attest"}},
	"attest/nitro": {ours: []string{"attest"}, outside: []string{cborLib}},
	"attest/snp":   {ours: []string{"attest"}},
	"attest/tpm":   {ours: []string{"attest"}},

	// What evidence will say, from files alone.
	"measure": {ours: []string{"attest"}, outside: []string{cborLib}},

	// Trusted hardware, which makes the evidence.
	"tee":         {ours: []string{"attest"}},
	"tee/teetest": {ours: []string{"tee", "attest"}, outside: []string{goCmp}},
	"tee/gramine": {ours: []string{"tee", "attest", "internal/devfile"}},
	"tee/tsm":     {ours: []string{"tee", "attest", "internal/devfile"}},
	"tee/peer":    {ours: []string{"tee", "attest", "internal/httpjson"}},
	"tee/nitro":   {ours: []string{"tee", "attest"}, outside: []string{cborLib}},
	"tee/dev":     {ours: []string{"tee", "attest", "attest/dev"}}, // the statement is made where it is read
	"tee/tpm":     {ours: []string{"tee", "attest", "attest/tpm", "tpmlink"}, outside: []string{goTPM}},

	// The first process of a measured image.
	"hardware/boot": {outside: []string{xSys}},

	// Rules and keeping.
	"deposit":  {ours: []string{"attest", "bls", "eth2"}},
	"keystore": {ours: []string{"bls"}, outside: []string{goJSON, xCrypto, xText}},
	"mnemonic": {ours: []string{"bls"}, outside: []string{bip39, xText}},
	"slashing": {ours: []string{"bls", "eth2", "record"}, outside: []string{goJSON}},
	"vault":    {ours: []string{"bls", "internal/durable", "internal/secretmem"}, outside: []string{xCrypto}},

	// The service.
	"signer":    {ours: []string{"bls", "eth2"}},
	"admission": {ours: []string{"eth2"}},
	"policy":    {ours: []string{"bls", "eth2", "signer"}},
	"custody":   {ours: []string{"bls", "slashing", "vault"}},
	"audit":     {ours: []string{"eth2", "signer", "internal/durable"}, outside: []string{xMod}},

	// The service's helper for tests.
	"custody/custodytest": {ours: []string{"bls", "vault"}},

	// Edges.
	"handover":   {ours: []string{"attest", "internal/httpjson"}, outside: []string{goJSON}},
	"attestapi":  {ours: []string{"attest", "bls", "deposit", "eth2", "slashing", "custody", "internal/httpjson"}, outside: []string{goJSON}},
	"web3signer": {ours: []string{"bls", "eth2", "signer", "admission", "internal/httpjson"}, outside: []string{goJSON}},
	"keymanager": {ours: []string{"bls", "keystore", "slashing", "custody", "internal/httpjson"}},
	"management": {ours: []string{"bls", "eth2", "slashing", "custody", "signer", "internal/httpjson"}},
	"statuspage": {ours: []string{"bls", "eth2", "signer", "management"}}, // what management tells, for people

	// What several need and nobody outside should import.
	"internal/arch":              {},
	"internal/backup":            {},
	"internal/beacon":            {ours: []string{"eth2"}, outside: []string{goJSON}},
	"internal/beacon/beacontest": {ours: []string{"eth2"}},
	"internal/bench":             {ours: []string{"bls", "eth2"}},
	"internal/cli":               {ours: []string{"internal/config"}, outside: []string{cobra}},
	"internal/config":            {outside: []string{cobra, pflag, goYAML, xTerm}},
	"internal/datadir":           {ours: []string{"eth2", "internal/durable"}, outside: []string{goYAML}},
	"internal/devfile":           {},
	"internal/durable":           {},
	"internal/forge":             {ours: []string{"attest"}, outside: []string{cborLib}},
	"internal/httpjson":          {outside: []string{goJSON}},
	"internal/pty":               {outside: []string{xSys}},
	"internal/sdnotify":          {outside: []string{xSys}},
	"internal/sealed":            {ours: []string{"internal/durable"}},
	"internal/secretmem":         {},
	"internal/telemetry":         {ours: []string{"bls", "eth2", "signer", "admission"}, outside: []string{prom, promModel}},
	"internal/testdata":          {},
	"internal/tlsfiles":          {},
	"internal/tlsfiles/tlstest":  {},
}

// wiring may import everything of ours.
var wiring = map[string]rule{
	"cmd/secure-signer": {outside: []string{cobra, pflag}},
	"cmd/signerctl":     {outside: []string{cobra, pflag, goPretty, goJSON, xCrypto, xMod, xTerm}},
}

const (
	maxFileLines     = 600
	maxFunctionLines = 60 // wiring excepted: it is long and flat
)
