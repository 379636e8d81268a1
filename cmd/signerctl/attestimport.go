package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/attestapi"
	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/custody"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/keystore"
	"github.com/secure-signer/secure-signer/record/memory"
	"github.com/secure-signer/secure-signer/slashing"
)

// A book is what an attested import leaves behind, in a file if one is wanted:
// whoever has it can verify later what ran where, and what it took over.
type book struct {
	Asked    []asked                   `json:"asked"`
	Receipts []attestapi.SignedReceipt `json:"receipts"`

	file *newFile // nil: nothing is kept
}

func openBook(path string) (*book, error) {
	b := &book{Asked: []asked{}, Receipts: []attestapi.SignedReceipt{}}
	if path == "" {
		return b, nil
	}
	var err error
	b.file, err = createNew(path)
	return b, err
}

func (b *book) keep() error {
	if b.file == nil {
		return nil
	}
	return b.file.fill(func(w io.Writer) error { return writeJSON(w, b) })
}

func (b *book) discard() error {
	if b.file == nil {
		return nil
	}
	return b.file.discard()
}

// importAttested imports keys into a signer that the policy accepts. All that can be
// asked for or go wrong here is done before the signer is asked: its connection and
// its nonce do not wait for ever.
func (c *tool) importAttested(ctx context.Context, f importFlags, args []string) error {
	keys, history, err := c.readKeys(ctx, f, args)
	if err != nil {
		return err
	}
	if err := c.readPasswords(ctx, f, keys); err != nil {
		return err
	}
	receipts, err := openBook(f.receipts)
	if err != nil {
		return err
	}
	signer, err := c.trust(ctx, f.attested)
	if err == nil {
		receipts.Asked = append(receipts.Asked, signer.asked)
		err = signer.checkChain(history)
	}
	if err == nil {
		err = c.goOn(ctx, signer.client, keys, history)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("nothing was imported: %w", err), receipts.discard())
	}
	sendErr := c.sendSealed(ctx, signer, keys, history, receipts)
	printErr := c.printImported(keys, history)
	return errors.Join(printErr, receipts.keep(), sendErr, failures(keys))
}

// checkChain refuses a history of another chain before any key is sent with it.
func (t *trusted) checkChain(history *interchange) error {
	if root := t.document.Settings.GenesisValidatorsRoot; history != nil && history.genesis != root {
		return fmt.Errorf("the slashing protection data is of the chain with genesis validators root %v, the signer's is %v", history.genesis, root)
	}
	return nil
}

// sendSealed imports the keys one by one. It stops where an outcome is unknown, and
// where the first keys have all failed.
func (c *tool) sendSealed(ctx context.Context, signer *trusted, keys []*imported, history *interchange, receipts *book) error {
	progress := c.progress("imported")
	defer progress.end()
	ready := slices.DeleteFunc(slices.Clone(keys), func(k *imported) bool { return k.Status != statusPending })
	for i, k := range ready {
		if signer.importNonce == (attest.Nonce{}) { // taken by an import that was refused
			if err := signer.ask(ctx); err != nil {
				return fmt.Errorf("ask for evidence anew: %w", err)
			}
			receipts.Asked = append(receipts.Asked, signer.asked)
		}
		receipt, err := signer.importKey(ctx, k, history)
		if receipt != nil {
			receipts.Receipts = append(receipts.Receipts, *receipt)
		}
		if err != nil {
			return err
		}
		progress.report(i+1, len(ready))
		if t := tallyOf(ready[:i+1]); i+1 == portion && i+1 < len(ready) && t.Failed == portion {
			return fmt.Errorf("the first %d keystores have all failed, so nothing more was sent: is the password right?", portion)
		}
	}
	return nil
}

// importKey opens a keystore, seals its key with its history to the signer, and
// checks the receipt. The outcome is in k; an error ends the whole import.
func (t *trusted) importKey(ctx context.Context, k *imported, history *interchange) (*attestapi.SignedReceipt, error) {
	secret, err := openKeystore(k.text, k.password)
	if err != nil {
		k.Status, k.Message = statusError, err.Error()
		return nil, nil
	}
	defer secret.Wipe()
	pub := secret.PublicKey()
	k.Pubkey = &pub
	sealed, err := t.seal(secret, k, history)
	if err != nil {
		return nil, err
	}
	request := attestapi.ImportRequest{ImportNonce: t.importNonce, Pubkey: pub, Sealed: sealed}
	t.importNonce = attest.Nonce{}
	k.Status = statusUnknown
	var answer attestapi.Imported
	if err := t.call(ctx, answerTime, http.MethodPost, attestapi.RouteImport, request, &answer); err != nil {
		if refused := new(answerError); errors.As(err, &refused) && refused.status < http.StatusInternalServerError {
			k.Status, k.Message = statusError, err.Error()
			return nil, nil // nothing has changed
		}
		return nil, err
	}
	receipt, err := t.checkReceipt(ctx, answer.SignedReceipt, request, k, history)
	if err != nil {
		k.Message = "the receipt is wrong: " + err.Error()
		return &answer.SignedReceipt, fmt.Errorf("key %v: %s: it may be in service where the receipt comes from: stop there, use the key nowhere, and find out what has happened", pub, k.Message)
	}
	k.Status, t.importNonce = string(receipt.Status), answer.ImportNonce
	return &answer.SignedReceipt, nil
}

func openKeystore(text, password string) (*bls.SecretKey, error) {
	ks, err := keystore.Parse([]byte(text))
	if err != nil {
		return nil, err
	}
	secret, err := ks.Decrypt(password)
	if errors.Is(err, keystore.ErrWrongPassword) {
		err = fmt.Errorf("%w for this keystore", err)
	}
	return secret, err
}

// sealFor is where a bundle for the key belongs, as the accepted evidence has it.
func (t *trusted) sealFor(pub bls.PublicKey) attestapi.Address {
	return attestapi.Address{
		GenesisValidatorsRoot: t.document.Settings.GenesisValidatorsRoot,
		Evidence:              sha256.Sum256(t.asked.Evidence.Value),
		ImportNonce:           t.importNonce,
		Pubkey:                pub,
	}
}

func (t *trusted) seal(secret *bls.SecretKey, k *imported, history *interchange) ([]byte, error) {
	bundle := attestapi.Bundle{Secret: secret, History: attestapi.History{None: !history.names(k)}}
	if !bundle.History.None {
		var err error
		if bundle.History.SlashingProtection, err = history.of([]*imported{k}); err != nil {
			return nil, err
		}
	}
	return attestapi.Seal(t.asked.Evidence.Claims.HPKEKey, t.sealFor(secret.PublicKey()), bundle)
}

// checkReceipt returns what the receipt says, if it is signed inside and says that
// the signer took over what was sent.
func (t *trusted) checkReceipt(ctx context.Context, signed attestapi.SignedReceipt, sent attestapi.ImportRequest, k *imported, history *interchange) (attestapi.Receipt, error) {
	r, err := signed.Verify(t.document.ReceiptKey)
	if err != nil {
		return r, err
	}
	want, err := history.floors(ctx, k)
	if err != nil {
		return r, err
	}
	clock := t.document.Settings.NewKeyFloor == "clock" && !r.History && r.Status == custody.Imported
	switch settings := t.document.Settings; {
	case r.Pubkey != sent.Pubkey || r.ImportNonce != sent.ImportNonce || r.Evidence != sha256.Sum256(t.asked.Evidence.Value):
		err = errors.New("it is of another import")
	case r.Status != custody.Imported && r.Status != custody.Duplicate:
		err = fmt.Errorf("it says %.32q", r.Status)
	case r.GenesisValidatorsRoot != settings.GenesisValidatorsRoot:
		err = errors.New("it is of another chain")
	case r.Horizon.Kind != settings.Horizon.Kind || string(r.Horizon.Identity) != string(settings.Horizon.Identity):
		err = errors.New("it is under another horizon than the evidence")
	case r.History != history.names(k) || !r.Floors.AtLeast(want):
		err = errors.New("the signer did not take over all of the history")
	case clock && (r.Floors.Slot == nil || r.Floors.Target == nil):
		err = errors.New("the key has no floor, although the signer's settings promise one")
	}
	return r, err
}

// floors are what the key must not sign any more, by its history.
func (in *interchange) floors(ctx context.Context, k *imported) (attestapi.Floors, error) {
	if !in.names(k) {
		return attestapi.Floors{}, nil
	}
	text, err := in.of([]*imported{k})
	if err != nil {
		return attestapi.Floors{}, err
	}
	guard := slashing.New(memory.New(), slashing.Config{Network: &eth2.Network{GenesisValidatorsRoot: in.genesis}})
	if _, err := guard.Import(ctx, strings.NewReader(text), func(p bls.PublicKey) bool { return p == *k.Pubkey }); err != nil {
		return attestapi.Floors{}, err
	}
	state, err := guard.State(ctx, *k.Pubkey)
	if err != nil {
		return attestapi.Floors{}, err
	}
	return attestapi.FloorsOf(state.Watermarks()), nil
}
