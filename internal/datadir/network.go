package datadir

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/secure-signer/secure-signer/eth2"
)

// The versions of the folder as a whole, each with the oldest release that reads
// it. Each file in the folder has its own besides. Only a folder that is bound to
// something has version 2: a release that does not know a Binding would sign
// without what the folder asks for.
var (
	plainFormat = format{1, "0.1.0"}
	boundFormat = format{2, "0.2.0"}
)

// format is the part of config.yaml that has the same shape in every version.
type format struct {
	Version int    `yaml:"format_version"`
	Release string `yaml:"oldest_release"`
}

// config is config.yaml. A network that is built in is named only, so that a
// newer release brings its newer forks; any other is written out in Spec.
type config struct {
	Format                format            `yaml:",inline"`
	Network               string            `yaml:"network"`
	GenesisValidatorsRoot string            `yaml:"genesis_validators_root"`
	GenesisTime           *uint64           `yaml:"genesis_time"` // 0 is unknown, absent is lost
	Spec                  map[string]string `yaml:"spec,omitempty"`
	BoundTo               *binding          `yaml:"bound_to,omitempty"`
}

const header = "# Secure Signer's data folder. Made by init; not meant to be edited.\n"

func encode(s Settings) ([]byte, error) {
	n := s.Network
	c := config{
		Format:                plainFormat,
		Network:               n.Name,
		GenesisValidatorsRoot: n.GenesisValidatorsRoot.String(),
		GenesisTime:           &n.GenesisTime,
		BoundTo:               s.Binding.toFile(),
	}
	if c.BoundTo != nil {
		c.Format = boundFormat
	}
	if builtin, ok := eth2.Builtin(n.Name); !ok || !reflect.DeepEqual(builtin, n) {
		c.Spec = spec(n)
	}
	text, err := yaml.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("write config.yaml: %w", err)
	}
	text = append([]byte(header), text...)
	// A network that came back otherwise would have other signing roots, and a
	// vault would not open under another binding.
	back, err := decode(text)
	switch {
	case err == nil && reflect.DeepEqual(back, s):
		return text, nil
	case err == nil && reflect.DeepEqual(back.Network, n), errors.Is(err, errBinding):
		return nil, fmt.Errorf("write config.yaml: what the folder is bound to cannot be written so that it is read back the same: %v", err)
	}
	return nil, fmt.Errorf("write config.yaml: network %q cannot be written so that it is read back the same: %v", n.Name, err)
}

// errBinding marks what is wrong with bound_to.
var errBinding = errors.New("bound_to")

func decode(text []byte) (Settings, error) {
	var f format
	if err := yaml.Unmarshal(text, &f); err != nil || f.Version == 0 {
		return Settings{}, fmt.Errorf("%w: it has no format_version", ErrDamaged)
	}
	if f.Version != plainFormat.Version && f.Version != boundFormat.Version {
		return Settings{}, fmt.Errorf("%w: it has format %d, this release reads formats %d and %d: use release %q or newer", ErrVersion, f.Version, plainFormat.Version, boundFormat.Version, f.Release)
	}
	var c config
	if err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(&c); err != nil {
		return Settings{}, fmt.Errorf("%w: %s", ErrDamaged, yaml.FormatError(err, false, false))
	}
	if (c.BoundTo != nil) != (f.Version == boundFormat.Version) {
		return Settings{}, fmt.Errorf("%w: %w: format %d has it, format %d does not, and this is format %d: was config.yaml edited?", ErrDamaged, errBinding, boundFormat.Version, plainFormat.Version, f.Version)
	}
	b, err := c.BoundTo.parse()
	if err != nil {
		return Settings{}, fmt.Errorf("%w: %w: %w", ErrDamaged, errBinding, err)
	}
	n, err := c.network()
	if err != nil {
		return Settings{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return Settings{n, b}, nil
}

// network returns the network that c describes.
func (c config) network() (*eth2.Network, error) {
	var root eth2.Root
	if err := root.UnmarshalText([]byte(c.GenesisValidatorsRoot)); err != nil {
		return nil, fmt.Errorf("genesis_validators_root: %w", err)
	}
	if c.GenesisTime == nil {
		return nil, errors.New("genesis_time: missing")
	}
	if c.Spec == nil {
		n, ok := eth2.Builtin(c.Network)
		if !ok {
			return nil, fmt.Errorf("network %q is not built in and has no spec", c.Network)
		}
		if n.GenesisValidatorsRoot != root || n.GenesisTime != *c.GenesisTime {
			return nil, fmt.Errorf("network %s has another genesis than this folder: was config.yaml edited?", c.Network)
		}
		return n, nil
	}
	n, err := eth2.NetworkFromSpec(c.Spec)
	if err != nil {
		return nil, err
	}
	n.Name, n.GenesisValidatorsRoot, n.GenesisTime = c.Network, root, *c.GenesisTime
	// What NetworkFromSpec filled in must not be: a lost line would become mainnet's.
	maps.DeleteFunc(c.Spec, func(_, value string) bool { return value == unscheduled })
	if !maps.Equal(spec(n), c.Spec) {
		return nil, errors.New("spec lacks a line, or has one too many")
	}
	return n, nil
}

// unscheduled is the epoch of a fork that has none, where a file says so.
const unscheduled = "18446744073709551615"

// spec writes n in the keys of a consensus-specs config.yaml.
func spec(n *eth2.Network) map[string]string {
	values := map[string]string{
		"PRESET_BASE":      n.Preset.Name,
		"CONFIG_NAME":      n.Name,
		"SECONDS_PER_SLOT": strconv.FormatUint(n.SecondsPerSlot, 10),
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
