package eth2

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// farFuture is the epoch of a fork that is not scheduled.
const farFuture = math.MaxUint64

// BuiltinNames lists the networks that Builtin knows.
func BuiltinNames() []string {
	return []string{"mainnet", "sepolia", "hoodi", "gnosis", "chiado"}
}

// Builtin returns a network by name.
//
// Sources: github.com/eth-clients/{mainnet,sepolia,hoodi} and
// github.com/gnosischain/configs, as of September 2026.
func Builtin(name string) (*Network, bool) {
	var n *Network
	switch name {
	case "mainnet":
		n = mainnet()
	case "sepolia":
		n = sepolia()
	case "hoodi":
		n = hoodi()
	case "gnosis":
		n = gnosis()
	case "chiado":
		n = chiado()
	default:
		return nil, false
	}
	n.Forks = scheduled(n.Forks)
	return n, true
}

func mainnet() *Network {
	return &Network{
		Name:                  "mainnet",
		Preset:                MainnetPreset(),
		SecondsPerSlot:        12,
		GenesisTime:           1606824023,
		GenesisValidatorsRoot: rootLiteral("0x4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95"),
		Forks:                 schedule(0x00000000, 0x01000000, 0, 74240, 144896, 194048, 269568, 364032, 411392),
	}
}

func sepolia() *Network {
	return &Network{
		Name:                  "sepolia",
		Preset:                MainnetPreset(),
		SecondsPerSlot:        12,
		GenesisTime:           1655733600,
		GenesisValidatorsRoot: rootLiteral("0xd8ea171f3c94aea21ebc42a1ed61052acf3f9209c00e4efbaaddac09ed9b8078"),
		Forks:                 schedule(0x90000069, 0x00000001, 0, 50, 100, 56832, 132608, 222464, 272640, 353024),
	}
}

func hoodi() *Network {
	return &Network{
		Name:                  "hoodi",
		Preset:                MainnetPreset(),
		SecondsPerSlot:        12,
		GenesisTime:           1742213400,
		GenesisValidatorsRoot: rootLiteral("0x212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f"),
		Forks:                 schedule(0x10000910, 0x10000000, 0, 0, 0, 0, 0, 2048, 50688),
	}
}

func gnosis() *Network {
	return &Network{
		Name:                  "gnosis",
		Preset:                GnosisPreset(),
		SecondsPerSlot:        5,
		GenesisTime:           1638993340,
		GenesisValidatorsRoot: rootLiteral("0xf5dcb5564e829aab27264b9becd5dfaa017085611224cb3036f573368dbb9d47"),
		Forks:                 schedule(0x00000064, 0x01000000, 0, 512, 385536, 648704, 889856, 1337856, 1714688),
	}
}

func chiado() *Network {
	return &Network{
		Name:                  "chiado",
		Preset:                GnosisPreset(),
		SecondsPerSlot:        5,
		GenesisTime:           1665396300,
		GenesisValidatorsRoot: rootLiteral("0x9d642dac73058fbf39c0ae41ab1e34e4d889043cb199851ded7095bc99eb4c1e"),
		Forks:                 schedule(0x0000006f, 0x01000000, 0, 90, 180, 244224, 516608, 948224, 1353216),
	}
}

// minimal is not a chain but what a config of the minimal preset leaves out.
func minimal() *Network {
	return &Network{
		Name:           "minimal",
		Preset:         MinimalPreset(),
		SecondsPerSlot: 6,
		Forks:          schedule(0x00000001, 0x01000000, 0),
	}
}

// schedule lists every fork: the first has version first, each next one step
// more. A fork without an epoch is in the far future.
func schedule(first, step uint32, epochs ...Epoch) []ScheduledFork {
	forks := make([]ScheduledFork, 0, Gloas)
	for f := Phase0; f <= Gloas; f++ {
		s := ScheduledFork{Fork: f, Epoch: farFuture}
		binary.BigEndian.PutUint32(s.Version[:], first+uint32(f-Phase0)*step)
		if i := int(f - Phase0); i < len(epochs) {
			s.Epoch = epochs[i]
		}
		forks = append(forks, s)
	}
	return forks
}

// scheduled leaves out the forks of the far future.
func scheduled(forks []ScheduledFork) []ScheduledFork {
	return slices.DeleteFunc(forks, func(f ScheduledFork) bool { return f.Epoch == farFuture })
}

func rootLiteral(text string) (root Root) {
	if err := root.UnmarshalText([]byte(text)); err != nil {
		panic(fmt.Sprintf("eth2: internal error: root %q: %v", text, err))
	}
	return root
}
