package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/internal/cli"
)

func (c *tool) deleteCommand() *cobra.Command {
	var export string
	var yes bool
	cmd := &cobra.Command{
		Use:   "delete PUBKEY... --export FILE",
		Short: "Delete keys from the signer, and keep their slashing protection data",
		Long: "Take keys out of service, durably, delete their sealed copies, and write their slashing protection data to a new file: " +
			"whoever signs with the keys next must import it first. Make sure that you have the keystores or the mnemonic. " +
			"The signer keeps the history, too: a deletion can be repeated, and gives the same data.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			pubs, err := publicKeys(args)
			if err != nil {
				return err
			}
			if export == "" {
				return fmt.Errorf("%w: keys delete needs --export, a new file for the slashing protection data", cli.ErrUsage)
			}
			return c.deleteKeys(cmd.Context(), pubs, export, yes)
		},
	}
	cmd.Flags().StringVar(&export, "export", "", "new `file` for the keys' EIP-3076 slashing protection data")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// publicKeys reads keys from the command line, each once.
func publicKeys(args []string) ([]bls.PublicKey, error) {
	var pubs []bls.PublicKey
	for _, arg := range args {
		pub, err := bls.ParsePublicKey(arg)
		if err != nil {
			return nil, fmt.Errorf("%w: %.120q: %w", cli.ErrUsage, arg, err)
		}
		if !slices.Contains(pubs, pub) {
			pubs = append(pubs, pub)
		}
	}
	return pubs, nil
}

// What the keymanager API asks and answers.
// Source: ethereum/keymanager-APIs apis/local_keystores.yaml.
type (
	deleteRequest struct {
		Pubkeys []bls.PublicKey `json:"pubkeys"`
	}
	deleteAnswer struct {
		Data []struct {
			Status  string `json:"status"`
			Message string `json:"message"`
		} `json:"data"`
		SlashingProtection string `json:"slashing_protection"`
	}
)

// A deleted is a key and what became of it.
type deleted struct {
	Pubkey  bls.PublicKey `json:"pubkey"`
	Status  string        `json:"status"` // deleted, not_active, not_found, error or unknown
	Message string        `json:"message,omitzero"`
}

// out tells whether the key was here and is out of service for certain. The file
// has the history of such keys alone.
func (d deleted) out() bool { return d.Status == "deleted" || d.Status == "not_active" }

// deleteKeys makes the file before it deletes, and tells of success only once the
// history is on the disk.
func (c *tool) deleteKeys(ctx context.Context, pubs []bls.PublicKey, export string, yes bool) error {
	signer, err := c.client()
	if err != nil {
		return err
	}
	what := fmt.Sprintf("%s will be deleted from the signer at %s and sign there no more.", count(len(pubs)), signer.base)
	if err := c.confirm(ctx, what, yes); err != nil {
		return err
	}
	file, err := createNew(export)
	if err != nil {
		return fmt.Errorf("nothing was deleted: --export: %w", err)
	}
	keys := make([]deleted, len(pubs))
	for i, pub := range pubs {
		keys[i] = deleted{Pubkey: pub, Status: statusUnknown}
	}
	err = c.deleteInto(ctx, signer, keys, file)
	return errors.Join(c.printDeleted(keys, export, err == nil), err, notDeleted(keys))
}

// deleteInto deletes keys, and returns nil once their history is on the disk.
func (c *tool) deleteInto(ctx context.Context, signer *client, keys []deleted, file *newFile) error {
	history, err := c.sendDeletions(ctx, signer, keys)
	if err == nil {
		err = checkHistory(ctx, history, keys)
	}
	if err != nil {
		return fmt.Errorf("%w; no history was written: repeat the deletion before the keys are used elsewhere, it gives the same history", errors.Join(err, file.discard()))
	}
	err = file.fill(func(w io.Writer) error {
		_, err := io.WriteString(w, history)
		return err
	})
	if err != nil {
		return fmt.Errorf("the keys are out of service, but their history could not be kept: %w: repeat the deletion with another --export, it gives the same history", err)
	}
	return nil
}

// maxDelete is how many keys one request deletes.
const maxDelete = 100

// sendDeletions deletes keys in portions, notes what became of each, and returns
// the history that was taken when the last of them had stopped signing.
func (c *tool) sendDeletions(ctx context.Context, signer *client, keys []deleted) (history string, err error) {
	progress := c.progress("deleted")
	defer progress.end()
	done := 0
	for portion := range slices.Chunk(keys, maxDelete) {
		answer, err := askDeletion(ctx, signer, portion)
		if err != nil {
			return "", err
		}
		for i := range portion {
			portion[i].Status, portion[i].Message = answer.Data[i].Status, answer.Data[i].Message
		}
		history = answer.SlashingProtection
		done += len(portion)
		progress.report(done, len(keys))
	}
	if len(keys) <= maxDelete {
		return history, nil
	}
	all, err := askDeletion(ctx, signer, keys) // of keys that are deleted it only gives the history
	return all.SlashingProtection, err
}

func askDeletion(ctx context.Context, signer *client, keys []deleted) (deleteAnswer, error) {
	var req deleteRequest
	for _, k := range keys {
		req.Pubkeys = append(req.Pubkeys, k.Pubkey)
	}
	var answer deleteAnswer
	patience := answerTime + time.Duration(len(keys))*time.Second
	if err := signer.call(ctx, patience, "DELETE", "/eth/v1/keystores", req, &answer); err != nil {
		return deleteAnswer{}, err
	}
	if len(answer.Data) != len(keys) {
		return deleteAnswer{}, fmt.Errorf("the signer answers for %d of %d keys: list its keys before you go on", len(answer.Data), len(keys))
	}
	return answer, nil
}

// checkHistory wants an entry for every key that was deleted.
func checkHistory(ctx context.Context, history string, keys []deleted) error {
	in, err := parseInterchange(ctx, []byte(history))
	if err != nil {
		return fmt.Errorf("the signer's answer is not slashing protection data: %w", err)
	}
	for _, k := range keys {
		if _, named := in.byKey[k.Pubkey]; !named && k.out() {
			return fmt.Errorf("the signer's answer lacks the history of %v", k.Pubkey)
		}
	}
	return nil
}

// notDeleted says how many keys were not deleted.
func notDeleted(keys []deleted) error {
	failed, unknown := 0, 0
	for _, k := range keys {
		switch {
		case k.out():
		case k.Status == "not_found":
			unknown++
		default:
			failed++
		}
	}
	var errs []error
	if failed > 0 {
		errs = append(errs, fmt.Errorf("%d of %d keys may still be there: repeat the deletion", failed, len(keys)))
	}
	if unknown > 0 {
		errs = append(errs, fmt.Errorf("%d of %d keys were never here: compare with signerctl keys list", unknown, len(keys)))
	}
	return errors.Join(errs...)
}

func (c *tool) printDeleted(keys []deleted, export string, kept bool) error {
	if c.json {
		answer := struct {
			Keys   []deleted `json:"keys"`
			Export string    `json:"export,omitzero"`
		}{Keys: keys}
		if kept {
			answer.Export = export
		}
		return c.printJSON(answer)
	}
	var rows []table.Row
	for _, k := range keys {
		rows = append(rows, table.Row{k.Pubkey, k.Status, k.Message})
	}
	err := c.printTable(table.Row{"key", "status", "message"}, rows)
	if kept && slices.ContainsFunc(keys, deleted.out) {
		fmt.Fprintf(c.stderr, "Their history is in %s. Import it where the keys go, before they sign there:\n  signerctl keys import KEYSTORES --slashing-protection %s\n", export, export)
	}
	return err
}
