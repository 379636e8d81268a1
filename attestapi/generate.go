package attestapi

import (
	"context"
	"fmt"
	"net/http"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/custody"
	"github.com/secure-signer/secure-signer/deposit"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/httpjson"
)

// A GenerateRequest is the body of POST /attest/keys.
type GenerateRequest struct {
	Nonce                 attest.Nonce `json:"nonce"` // of whoever will check the evidence
	WithdrawalCredentials eth2.Root    `json:"withdrawal_credentials"`
	Amount                uint64       `json:"amount"` // in Gwei
}

// Generated is its answer. The evidence is bound to the nonce and to no connection:
// whoever drew the nonce checks it, wherever he is. Its document holds the deposit.
type Generated struct {
	Pubkey      bls.PublicKey   `json:"pubkey"`
	DepositData *deposit.Data   `json:"deposit_data"`
	Evidence    attest.Evidence `json:"evidence"`
}

// generate draws a key and signs its deposit.
//
// --allow DEPOSIT is not asked for. It is about requests that name a key in service,
// of which whoever may ask could send its rewards elsewhere by a first deposit of his
// own. Here there is no such key: it is drawn now, this is its first signature, and no
// request can have another deposit signed with it. The evidence names the credentials,
// so that whoever pays sees whose they are.
func (h *handler) generate(r *http.Request) (any, error) {
	var req GenerateRequest
	if err := decode(r, maxAttestBody, &req); err != nil {
		return nil, err
	}
	if err := deposit.CheckTerms(req.WithdrawalCredentials, req.Amount); err != nil {
		return nil, fail(http.StatusBadRequest, httpjson.ReasonMalformedRequest, "%v", err)
	}
	if !h.Custody.Ready() {
		return nil, fail(http.StatusServiceUnavailable, reasonLoading, "%v", custody.ErrLoading)
	}
	leave, err := h.quotes.enter() // or strangers who ask for evidence had keys drawn that get none
	if err != nil {
		return nil, err
	}
	defer leave()
	ctx := context.WithoutCancel(r.Context()) // a key that nobody hears of is of no use
	pub, err := h.Custody.Generate(ctx)
	if err != nil {
		h.Log.Error("key not generated", "error", err)
		return nil, fail(http.StatusServiceUnavailable, reasonStoreUnavailable, "a key could not be generated: %v", err)
	}
	h.Log.Info("key generated", "pubkey", pub, "attested", true)
	data, err := h.deposit(ctx, pub, req)
	if err != nil {
		return nil, fail(http.StatusServiceUnavailable, reasonStoreUnavailable, "key %v was generated and signs no deposit: %v: delete it, and ask again", pub, err)
	}
	config, err := Document{Settings: h.Settings, Generated: data}.encode()
	if err != nil {
		return nil, err
	}
	ev, err := h.prove(ctx, attest.Claims{Config: config}, req.Nonce, nil)
	if err != nil {
		h.Log.Warn("a key was generated and has no evidence: delete it, or use it without", "pubkey", pub)
		return nil, err
	}
	return Generated{pub, data, ev}, nil
}

func (h *handler) deposit(ctx context.Context, pub bls.PublicKey, req GenerateRequest) (*deposit.Data, error) {
	m := &eth2.Deposit{
		Pubkey:                eth2.PublicKey(pub),
		WithdrawalCredentials: req.WithdrawalCredentials,
		Amount:                eth2.Gwei(req.Amount),
		GenesisForkVersion:    h.Network.Forks[0].Version,
	}
	root, err := m.SigningRoot(h.Network)
	if err != nil {
		return nil, err
	}
	key, ok := h.Keys.Key(pub)
	if !ok {
		return nil, fmt.Errorf("it is not in service any more")
	}
	signature, err := h.Keys.Sign(ctx, key, root)
	if err != nil {
		return nil, err
	}
	d := deposit.New(m, eth2.Signature(signature), h.Network.Name)
	return d, d.Check() // a deposit that is wrong costs its whole amount
}
