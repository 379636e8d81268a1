// Package beacontest is a beacon node for tests: it knows its chain and nothing
// else.
package beacontest

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/secure-signer/secure-signer/eth2"
)

// Node answers as a beacon node of this chain does. The keys of extra are added
// to its constants.
func Node(n *eth2.Network, extra map[string]any) http.Handler {
	spec := map[string]any{
		"PRESET_BASE":      n.Preset.Name,
		"CONFIG_NAME":      n.Name,
		"SECONDS_PER_SLOT": strconv.FormatUint(n.SecondsPerSlot, 10),
		"SLOTS_PER_EPOCH":  strconv.FormatUint(n.SlotsPerEpoch(), 10),
		"BLOB_SCHEDULE":    []map[string]string{{"EPOCH": "52480", "MAX_BLOBS_PER_BLOCK": "15"}},
	}
	var forks []map[string]any
	previous := n.Forks[0].Version
	for _, f := range n.Forks {
		name := strings.ToUpper(f.Fork.String())
		if f.Fork == eth2.Phase0 {
			name = "GENESIS"
		} else {
			spec[name+"_FORK_EPOCH"] = f.Epoch
		}
		spec[name+"_FORK_VERSION"] = f.Version
		forks = append(forks, map[string]any{"previous_version": previous, "current_version": f.Version, "epoch": f.Epoch})
		previous = f.Version
	}
	for key, value := range extra {
		spec[key] = value
	}
	mux := http.NewServeMux()
	answer := func(path string, data any) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(map[string]any{"data": data}) // the client has gone
		})
	}
	answer("/eth/v1/config/spec", spec)
	answer("/eth/v1/config/fork_schedule", forks)
	answer("/eth/v1/beacon/genesis", map[string]any{
		"genesis_time":            strconv.FormatUint(n.GenesisTime, 10),
		"genesis_validators_root": n.GenesisValidatorsRoot,
		"genesis_fork_version":    n.Forks[0].Version,
	})
	return mux
}
