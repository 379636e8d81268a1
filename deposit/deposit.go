// Package deposit writes the file that a stake is paid by, in the form of the
// launchpad and of the official deposit tool, and checks it as whoever pays would.
//
// Check guarantees that the deposit contract takes what the file says and that the
// chain then honours it: the roots are those of the content, and the signature is the
// key's. It does not guarantee whose the withdrawal credentials are, which nobody can
// change after the first deposit of a key, nor that this is the first.
//
// Sources: consensus-specs phase0/beacon-chain.md, DepositData; EIP-7251;
// ethstaker-deposit-cli, deposit_data-*.json.
package deposit

import (
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
)

// Data is one entry of a deposit file: hexadecimal without 0x.
type Data struct {
	Pubkey                attest.Hex `json:"pubkey"`
	WithdrawalCredentials attest.Hex `json:"withdrawal_credentials"`
	Amount                uint64     `json:"amount"` // in Gwei
	Signature             attest.Hex `json:"signature"`
	DepositMessageRoot    attest.Hex `json:"deposit_message_root"`
	DepositDataRoot       attest.Hex `json:"deposit_data_root"`
	ForkVersion           attest.Hex `json:"fork_version"`
	NetworkName           string     `json:"network_name"`
	DepositCLIVersion     string     `json:"deposit_cli_version"`
}

// format is the version of the official tool that writes this form: the launchpad
// refuses files without one.
const format = "2.7.0"

// New puts an entry together from a message, its key's signature, and the name of
// the network. It checks nothing.
func New(m *eth2.Deposit, signature eth2.Signature, network string) *Data {
	message, data := m.MessageRoot(), m.DataRoot(signature)
	return &Data{
		Pubkey:                m.Pubkey[:],
		WithdrawalCredentials: m.WithdrawalCredentials[:],
		Amount:                uint64(m.Amount),
		Signature:             signature[:],
		DepositMessageRoot:    message[:],
		DepositDataRoot:       data[:],
		ForkVersion:           m.GenesisForkVersion[:],
		NetworkName:           network,
		DepositCLIVersion:     format,
	}
}

// Check recomputes the roots and verifies the signature, so that nobody sends Ether
// for a key that did not sign for it: the deposit contract checks the data root
// alone.
func (d *Data) Check() error {
	var m eth2.Deposit
	var signature eth2.Signature
	for _, part := range []struct {
		name     string
		from, to []byte
	}{
		{"pubkey", d.Pubkey, m.Pubkey[:]},
		{"withdrawal_credentials", d.WithdrawalCredentials, m.WithdrawalCredentials[:]},
		{"fork_version", d.ForkVersion, m.GenesisForkVersion[:]},
		{"signature", d.Signature, signature[:]},
	} {
		if len(part.from) != len(part.to) {
			return fmt.Errorf("the deposit's %s has %d bytes, want %d", part.name, len(part.from), len(part.to))
		}
		copy(part.to, part.from)
	}
	m.Amount = eth2.Gwei(d.Amount)
	message, data := m.MessageRoot(), m.DataRoot(signature)
	if d.DepositMessageRoot.String() != hex.EncodeToString(message[:]) || d.DepositDataRoot.String() != hex.EncodeToString(data[:]) {
		return errors.New("the deposit's roots are not those of its content: do not send it")
	}
	root, err := m.SigningRoot(nil)
	if err != nil {
		return err
	}
	if !bls.Verify(bls.PublicKey(m.Pubkey), root, bls.Signature(signature)) {
		return errors.New("the deposit is not signed by its key: do not send it, the Ether would be lost")
	}
	return nil
}

// Amounts of a deposit, in Gwei.
const (
	gwei        = 1_000_000_000
	minDeposit  = 1 * gwei
	maxDeposit  = 32 * gwei
	maxCompound = 2048 * gwei
)

// CheckTerms refuses what would lock Ether up. Credentials of type 0x00 need another
// secret key, 0x01 an execution address, 0x02 the same for a validator that compounds
// (EIP-7251).
func CheckTerms(credentials eth2.Root, amount uint64) error {
	limit := uint64(maxDeposit)
	switch {
	case credentials[0] != 1 && credentials[0] != 2:
		return fmt.Errorf("withdrawal_credentials begin with 0x%02x: want 0x01 or 0x02, eleven zero bytes and an execution address", credentials[0])
	case [11]byte(credentials[1:12]) != [11]byte{} || [20]byte(credentials[12:]) == [20]byte{}:
		return errors.New("withdrawal_credentials: want 0x01 or 0x02, eleven zero bytes and an execution address that is not zero")
	case credentials[0] == 2:
		limit = maxCompound
	}
	if amount < minDeposit || amount > limit {
		return fmt.Errorf("amount is %d Gwei: want %d to %d for these credentials", amount, uint64(minDeposit), limit)
	}
	return nil
}
