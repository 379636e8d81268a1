package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/attestapi"
)

func (c *tool) attestReceiptsCommand() *cobra.Command {
	var f attestFlags
	cmd := &cobra.Command{
		Use:   "receipts FILE --policy POLICY",
		Short: "Verify what an attested import has left behind: which hardware took which keys over",
		Long: "Verify the file of keys import --attest --receipts, offline: that each piece of evidence is genuine and the policy accepts it, " +
			"for the time of --at, and that each receipt is signed by the key that the evidence names. Prints what was taken over.",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			at, policy, err := f.terms()
			if err != nil {
				return err
			}
			return c.verifyReceipts(args[0], policy, at)
		},
	}
	f.defineTerms(cmd)
	return cmd
}

func (c *tool) verifyReceipts(path string, policy attest.Policy, at time.Time) error {
	text, err := c.readSmall(path)
	if err != nil {
		return err
	}
	var b book
	if err := json.Unmarshal(text, &b, json.RejectUnknownMembers(true)); err != nil {
		return fmt.Errorf("%s is not what keys import --receipts writes: %w", path, err)
	}
	signers := make(map[attest.Digest]attest.Hex) // receipt keys, by the evidence that names them
	for _, a := range b.Asked {
		document, err := a.judge(policy, at)
		if err != nil {
			return fmt.Errorf("the receipts are worth nothing: %w", err)
		}
		signers[sha256.Sum256(a.Evidence.Value)] = document.ReceiptKey
	}
	receipts := []attestapi.Receipt{}
	for i, signed := range b.Receipts {
		r, err := verifyReceipt(signed, signers)
		if err != nil {
			return fmt.Errorf("receipt %d: %w", i+1, err)
		}
		receipts = append(receipts, r)
	}
	if c.json {
		return c.printJSON(struct {
			Receipts []attestapi.Receipt `json:"receipts"`
		}{receipts})
	}
	var rows []table.Row
	for _, r := range receipts {
		rows = append(rows, table.Row{
			r.Pubkey, r.Status, number(r.Floors.Slot), number(r.Floors.Source) + " → " + number(r.Floors.Target), r.Horizon.Kind, r.Time.UTC().Format(time.RFC3339),
		})
	}
	return c.printTable(table.Row{"key", "status", "floor: block", "floor: vote", "horizon", "time"}, rows)
}

// verifyReceipt looks for the evidence that names the key.
func verifyReceipt(signed attestapi.SignedReceipt, signers map[attest.Digest]attest.Hex) (attestapi.Receipt, error) {
	for evidence, key := range signers {
		if r, err := signed.Verify(key); err == nil && r.Evidence == evidence {
			return r, nil
		}
	}
	return attestapi.Receipt{}, errors.New("it is not signed by a key that the evidence names: a stranger has written it, or somebody has changed it")
}
