package eth2

// Builtin returns a network by name.
func Builtin(name string) (*Network, bool) {
	return nil, false
}

// BuiltinNames lists the networks that Builtin knows.
func BuiltinNames() []string {
	return []string{"mainnet", "sepolia", "hoodi", "gnosis", "chiado"}
}

// NetworkFromConfig reads a config.yaml of the consensus specs.
func NetworkFromConfig(kv map[string]string) (*Network, error) {
	return nil, ErrInvalidMessage
}
