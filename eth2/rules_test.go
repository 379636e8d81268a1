package eth2

// forkInfo is what a client at a fork of n sends.
func forkInfo(n *Network, name ForkName) ForkInfo {
	i := int(name - Phase0)
	return ForkInfo{
		Fork: Fork{
			PreviousVersion: n.Forks[max(i-1, 0)].Version,
			CurrentVersion:  n.Forks[i].Version,
			Epoch:           n.Forks[i].Epoch,
		},
		GenesisValidatorsRoot: n.GenesisValidatorsRoot,
	}
}
