package eth2

// MessageRoot is the hash tree root of the message itself, without a domain: the
// deposit_message_root of a deposit file.
func (m *Deposit) MessageRoot() Root {
	return container(vector(m.Pubkey[:]), m.WithdrawalCredentials, number(m.Amount))
}

// DataRoot is the hash tree root of the message with its signature, which the
// deposit contract recomputes: the deposit_data_root of a deposit file.
func (m *Deposit) DataRoot(signature Signature) Root {
	d := DepositData{m.Pubkey, m.WithdrawalCredentials, m.Amount, signature}
	return d.root(nil)
}
