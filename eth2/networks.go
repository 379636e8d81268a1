package eth2

import (
	"fmt"
	"math"
	"slices"
)

// FarFuture is the epoch of a fork that is not scheduled.
//
// Source: consensus-specs phase0/beacon-chain.md, FAR_FUTURE_EPOCH.
const FarFuture Epoch = math.MaxUint64

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
		Forks: []ScheduledFork{
			{Phase0, Version{0x00, 0x00, 0x00, 0x00}, 0},
			{Altair, Version{0x01, 0x00, 0x00, 0x00}, 74240},
			{Bellatrix, Version{0x02, 0x00, 0x00, 0x00}, 144896},
			{Capella, Version{0x03, 0x00, 0x00, 0x00}, 194048},
			{Deneb, Version{0x04, 0x00, 0x00, 0x00}, 269568},
			{Electra, Version{0x05, 0x00, 0x00, 0x00}, 364032},
			{Fulu, Version{0x06, 0x00, 0x00, 0x00}, 411392},
			{Gloas, Version{0x07, 0x00, 0x00, 0x00}, FarFuture},
		},
	}
}

func sepolia() *Network {
	return &Network{
		Name:                  "sepolia",
		Preset:                MainnetPreset(),
		SecondsPerSlot:        12,
		GenesisTime:           1655733600,
		GenesisValidatorsRoot: rootLiteral("0xd8ea171f3c94aea21ebc42a1ed61052acf3f9209c00e4efbaaddac09ed9b8078"),
		Forks: []ScheduledFork{
			{Phase0, Version{0x90, 0x00, 0x00, 0x69}, 0},
			{Altair, Version{0x90, 0x00, 0x00, 0x70}, 50},
			{Bellatrix, Version{0x90, 0x00, 0x00, 0x71}, 100},
			{Capella, Version{0x90, 0x00, 0x00, 0x72}, 56832},
			{Deneb, Version{0x90, 0x00, 0x00, 0x73}, 132608},
			{Electra, Version{0x90, 0x00, 0x00, 0x74}, 222464},
			{Fulu, Version{0x90, 0x00, 0x00, 0x75}, 272640},
			{Gloas, Version{0x90, 0x00, 0x00, 0x76}, 353024},
		},
	}
}

func hoodi() *Network {
	return &Network{
		Name:                  "hoodi",
		Preset:                MainnetPreset(),
		SecondsPerSlot:        12,
		GenesisTime:           1742213400,
		GenesisValidatorsRoot: rootLiteral("0x212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f"),
		Forks: []ScheduledFork{
			{Phase0, Version{0x10, 0x00, 0x09, 0x10}, 0},
			{Altair, Version{0x20, 0x00, 0x09, 0x10}, 0},
			{Bellatrix, Version{0x30, 0x00, 0x09, 0x10}, 0},
			{Capella, Version{0x40, 0x00, 0x09, 0x10}, 0},
			{Deneb, Version{0x50, 0x00, 0x09, 0x10}, 0},
			{Electra, Version{0x60, 0x00, 0x09, 0x10}, 2048},
			{Fulu, Version{0x70, 0x00, 0x09, 0x10}, 50688},
		},
	}
}

func gnosis() *Network {
	return &Network{
		Name:                  "gnosis",
		Preset:                GnosisPreset(),
		SecondsPerSlot:        5,
		GenesisTime:           1638993340,
		GenesisValidatorsRoot: rootLiteral("0xf5dcb5564e829aab27264b9becd5dfaa017085611224cb3036f573368dbb9d47"),
		Forks: []ScheduledFork{
			{Phase0, Version{0x00, 0x00, 0x00, 0x64}, 0},
			{Altair, Version{0x01, 0x00, 0x00, 0x64}, 512},
			{Bellatrix, Version{0x02, 0x00, 0x00, 0x64}, 385536},
			{Capella, Version{0x03, 0x00, 0x00, 0x64}, 648704},
			{Deneb, Version{0x04, 0x00, 0x00, 0x64}, 889856},
			{Electra, Version{0x05, 0x00, 0x00, 0x64}, 1337856},
			{Fulu, Version{0x06, 0x00, 0x00, 0x64}, 1714688},
			{Gloas, Version{0x07, 0x00, 0x00, 0x64}, FarFuture},
		},
	}
}

func chiado() *Network {
	return &Network{
		Name:                  "chiado",
		Preset:                GnosisPreset(),
		SecondsPerSlot:        5,
		GenesisTime:           1665396300,
		GenesisValidatorsRoot: rootLiteral("0x9d642dac73058fbf39c0ae41ab1e34e4d889043cb199851ded7095bc99eb4c1e"),
		Forks: []ScheduledFork{
			{Phase0, Version{0x00, 0x00, 0x00, 0x6f}, 0},
			{Altair, Version{0x01, 0x00, 0x00, 0x6f}, 90},
			{Bellatrix, Version{0x02, 0x00, 0x00, 0x6f}, 180},
			{Capella, Version{0x03, 0x00, 0x00, 0x6f}, 244224},
			{Deneb, Version{0x04, 0x00, 0x00, 0x6f}, 516608},
			{Electra, Version{0x05, 0x00, 0x00, 0x6f}, 948224},
			{Fulu, Version{0x06, 0x00, 0x00, 0x6f}, 1353216},
		},
	}
}

// minimal is not a chain but what a config of the minimal preset leaves out.
func minimal() *Network {
	return &Network{
		Name:           "minimal",
		Preset:         MinimalPreset(),
		SecondsPerSlot: 6,
		Forks: []ScheduledFork{
			{Phase0, Version{0x00, 0x00, 0x00, 0x01}, 0},
			{Altair, Version{0x01, 0x00, 0x00, 0x01}, FarFuture},
			{Bellatrix, Version{0x02, 0x00, 0x00, 0x01}, FarFuture},
			{Capella, Version{0x03, 0x00, 0x00, 0x01}, FarFuture},
			{Deneb, Version{0x04, 0x00, 0x00, 0x01}, FarFuture},
			{Electra, Version{0x05, 0x00, 0x00, 0x01}, FarFuture},
			{Fulu, Version{0x06, 0x00, 0x00, 0x01}, FarFuture},
			{Gloas, Version{0x07, 0x00, 0x00, 0x01}, FarFuture},
		},
	}
}

// scheduled leaves out the forks of the far future.
func scheduled(forks []ScheduledFork) []ScheduledFork {
	return slices.DeleteFunc(forks, func(f ScheduledFork) bool { return f.Epoch == FarFuture })
}

func rootLiteral(text string) (root Root) {
	if err := root.UnmarshalText([]byte(text)); err != nil {
		panic(fmt.Sprintf("eth2: internal error: root %q: %v", text, err))
	}
	return root
}
