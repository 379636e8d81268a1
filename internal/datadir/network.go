package datadir

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/secure-signer/secure-signer/eth2"
)

// formatVersion is the version of the folder as a whole. Each file in it has
// its own besides.
const formatVersion = 1

// config is config.yaml. A network that is built in is named only, so that a
// newer release brings its newer forks; any other is written out in Spec.
type config struct {
	FormatVersion         int               `yaml:"format_version"`
	Network               string            `yaml:"network"`
	GenesisValidatorsRoot string            `yaml:"genesis_validators_root"`
	GenesisTime           uint64            `yaml:"genesis_time"`
	Spec                  map[string]string `yaml:"spec,omitempty"`
}

const header = "# Secure Signer's data folder. Made by init; not meant to be edited.\n"

func encode(n *eth2.Network) ([]byte, error) {
	c := config{
		FormatVersion:         formatVersion,
		Network:               n.Name,
		GenesisValidatorsRoot: n.GenesisValidatorsRoot.String(),
		GenesisTime:           n.GenesisTime,
	}
	if b, ok := eth2.Builtin(n.Name); !ok || b.GenesisValidatorsRoot != n.GenesisValidatorsRoot || b.GenesisTime != n.GenesisTime {
		c.Spec = spec(n)
	}
	text, err := yaml.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("write network: %w", err)
	}
	return append([]byte(header), text...), nil
}

func decode(text []byte) (*eth2.Network, error) {
	var versioned struct {
		FormatVersion int `yaml:"format_version"`
	}
	if err := yaml.Unmarshal(text, &versioned); err != nil || versioned.FormatVersion == 0 {
		return nil, fmt.Errorf("%w: it has no format_version: restore it from a backup of this folder", ErrDamaged)
	}
	if versioned.FormatVersion != formatVersion {
		return nil, fmt.Errorf("%w: %d, this release reads %d: use the release that made it", ErrVersion, versioned.FormatVersion, formatVersion)
	}
	var c config
	if err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(&c); err != nil {
		return nil, fmt.Errorf("%w: %s", ErrDamaged, yaml.FormatError(err, false, false))
	}
	n, err := c.network()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return n, nil
}

// network returns the network that c describes.
func (c config) network() (*eth2.Network, error) {
	var root eth2.Root
	if err := root.UnmarshalText([]byte(c.GenesisValidatorsRoot)); err != nil {
		return nil, fmt.Errorf("genesis_validators_root: %w", err)
	}
	if c.Spec == nil {
		n, ok := eth2.Builtin(c.Network)
		if !ok {
			return nil, fmt.Errorf("network %q is not built in and has no spec", c.Network)
		}
		if n.GenesisValidatorsRoot != root || n.GenesisTime != c.GenesisTime {
			return nil, fmt.Errorf("network %s has another genesis than this folder: was config.yaml edited?", c.Network)
		}
		return n, nil
	}
	n, err := eth2.NetworkFromConfig(c.Spec)
	if err != nil {
		return nil, err
	}
	n.Name, n.GenesisValidatorsRoot, n.GenesisTime = c.Network, root, c.GenesisTime
	return n, nil
}

// spec writes n in the keys of a consensus-specs config.yaml, every fork
// included: what is not scheduled is said to be so, lest it be filled in.
func spec(n *eth2.Network) map[string]string {
	values := map[string]string{
		"PRESET_BASE":      n.Preset.Name,
		"CONFIG_NAME":      n.Name,
		"SECONDS_PER_SLOT": strconv.FormatUint(n.SecondsPerSlot, 10),
	}
	for f := eth2.Altair; f <= eth2.Gloas; f++ {
		values[strings.ToUpper(f.String())+"_FORK_EPOCH"] = strconv.FormatUint(math.MaxUint64, 10)
	}
	for _, s := range n.Forks {
		name := strings.ToUpper(s.Fork.String())
		if s.Fork == eth2.Phase0 {
			name = "GENESIS"
		} else {
			values[name+"_FORK_EPOCH"] = strconv.FormatUint(uint64(s.Epoch), 10)
		}
		values[name+"_FORK_VERSION"] = s.Version.String()
	}
	return values
}
