package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/attestapi"
	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/deposit"
	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/internal/durable"
	"github.com/secure-signer/secure-signer/management"
)

// generateFlags say how many keys are drawn and, with a policy, on which terms.
type generateFlags struct {
	count       int
	words       mnemonicFlags
	attested    attestedFlags
	address     string
	credentials string
	compounding bool
	amount      string
	nonce       string
	out         string
}

func (f *generateFlags) define(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.IntVar(&f.count, "count", 1, "how many `keys`")
	f.words.define(cmd)
	f.attested.define(cmd)
	flags.StringVar(&f.address, "withdrawal-address", "", "with --attest: the execution `address` that the stake goes back to")
	flags.BoolVar(&f.compounding, "compounding", false, "with --withdrawal-address: credentials of type 0x02, up to 2048 ETH, instead of 0x01")
	flags.StringVar(&f.credentials, "withdrawal-credentials", "", "with --attest: the same as 32 bytes in `hex`")
	flags.StringVar(&f.amount, "amount", "32", "with --attest: of the deposit, in `ETH`")
	flags.StringVar(&f.nonce, "nonce", "", "with --attest: 32 bytes in `hex`, drawn by whoever will check the evidence; drawn here if left out")
	flags.StringVar(&f.out, "out", "", "with --attest: new `folder` for the deposit file and the evidence; with a mnemonic: for keystores, instead of bringing the keys into service")
}

// needsAttest tells whether flags were given that mean nothing without a policy.
func (f *generateFlags) needsAttest() bool {
	return f.address != "" || f.credentials != "" || f.compounding || f.nonce != "" || f.out != "" || f.attested.collateral != ""
}

// request is what the signer is asked for, for each key.
func (f *generateFlags) request() (r attestapi.GenerateRequest, err error) {
	switch {
	case (f.address == "") == (f.credentials == ""):
		return r, fmt.Errorf("%w: give one of --withdrawal-address and --withdrawal-credentials: the stake goes back there, and nowhere else", cli.ErrUsage)
	case f.credentials != "":
		if err := r.WithdrawalCredentials.UnmarshalText([]byte(f.credentials)); err != nil {
			return r, fmt.Errorf("%w: --withdrawal-credentials: %w", cli.ErrUsage, err)
		}
	default:
		if r.WithdrawalCredentials, err = withdrawalCredentials(f.address, f.compounding); err != nil {
			return r, fmt.Errorf("%w: --withdrawal-address: %w", cli.ErrUsage, err)
		}
	}
	if r.Amount, err = parseEther(f.amount); err != nil {
		return r, fmt.Errorf("%w: --amount %q: %w", cli.ErrUsage, f.amount, err)
	}
	r.Nonce, err = nonceOf(f.nonce)
	return r, err
}

// gweiDigits are the decimals of an amount in ETH.
const gweiDigits = 9

// parseEther reads an amount in ETH, in Gwei.
func parseEther(text string) (uint64, error) {
	whole, fraction, _ := strings.Cut(text, ".")
	if len(fraction) > gweiDigits || whole == "" {
		return 0, errors.New("want an amount such as 32 or 32.5, of whole Gwei")
	}
	gwei, err := strconv.ParseUint(whole+fraction+strings.Repeat("0", gweiDigits-len(fraction)), 10, 64)
	if err != nil {
		return 0, errors.New("want an amount such as 32 or 32.5")
	}
	return gwei, nil
}

// generateAttested draws keys inside a signer that the policy accepts. What comes of
// it is on the disk before the next is drawn.
func (c *tool) generateAttested(ctx context.Context, f generateFlags) error {
	request, err := f.request()
	if err != nil {
		return err
	}
	if f.out == "" {
		return fmt.Errorf("%w: --attest needs --out: the deposit file and the evidence go there", cli.ErrUsage)
	}
	signer, err := c.trust(ctx, f.attested)
	if err != nil {
		return fmt.Errorf("no key was made: %w", err)
	}
	if err := os.Mkdir(f.out, 0o700); err != nil {
		return fmt.Errorf("no key was made: --out: %w", err)
	}
	made := management.Generated{Pubkeys: []bls.PublicKey{}}
	var deposits []*deposit.Data
	for len(deposits) < f.count && err == nil {
		var g attestapi.Generated
		if g, err = signer.generate(ctx, request); err == nil {
			err = keepNew(filepath.Join(f.out, "evidence-"+g.Pubkey.String()+".json"), g.Evidence)
		}
		if err == nil {
			deposits, made.Pubkeys = append(deposits, g.DepositData), append(made.Pubkeys, g.Pubkey)
		}
	}
	if len(deposits) == 0 {
		return errors.Join(err, os.Remove(f.out))
	}
	depositFile := filepath.Join(f.out, fmt.Sprintf("deposit_data-%d.json", time.Now().Unix()))
	err = errors.Join(err, keepNew(depositFile, deposits), durable.SyncDir(f.out), c.printGenerated(made, "a backup of them (signerctl backup FILE) opens on that hardware alone"))
	fmt.Fprintf(c.stderr, "The deposit file is %s. Whoever pays checks first, for each key: signerctl attest verify %s --policy POLICY --nonce %s\n",
		depositFile, filepath.Join(f.out, "evidence-0x….json"), hex.EncodeToString(request.Nonce[:]))
	return err
}

// keepNew writes a new file.
func keepNew(path string, v any) error {
	f, err := createNew(path)
	if err != nil {
		return err
	}
	return f.fill(func(w io.Writer) error { return writeJSON(w, v) })
}

// generate draws one key, and checks all that whoever pays will check.
func (t *trusted) generate(ctx context.Context, request attestapi.GenerateRequest) (attestapi.Generated, error) {
	var g attestapi.Generated
	if err := t.call(ctx, answerTime, http.MethodPost, attestapi.RouteGenerate, request, &g); err != nil {
		return g, err
	}
	g.Evidence.Collateral = t.complete(g.Evidence.Collateral)
	if err := t.checkGenerated(g, request); err != nil {
		return g, fmt.Errorf("pay nothing for key %v: %w", g.Pubkey, err)
	}
	return g, nil
}

func (t *trusted) checkGenerated(g attestapi.Generated, request attestapi.GenerateRequest) error {
	result, err := verifiers(t.policy.Roots).Verify(g.Evidence, time.Now())
	if err != nil {
		return fmt.Errorf("its evidence proves nothing: %w", err)
	}
	if err := t.policy.JudgeClaims(result, g.Evidence.Claims, request.Nonce, nil, attestapi.StatesGenerated); err != nil {
		return err
	}
	document, err := attestapi.ReadDocument(g.Evidence.Claims.Config)
	if err != nil {
		return err
	}
	d := document.Generated
	switch {
	case d == nil || g.DepositData == nil:
		return errors.New("its evidence states no deposit")
	case d.Pubkey.String() != attest.Hex(g.Pubkey[:]).String() || d.WithdrawalCredentials.String() != attest.Hex(request.WithdrawalCredentials[:]).String() || d.Amount != request.Amount:
		return errors.New("its evidence states another deposit than was asked for")
	case g.DepositData.DepositDataRoot.String() != d.DepositDataRoot.String() || g.DepositData.Check() != nil:
		return errors.New("its deposit is not the one that the evidence states")
	}
	return checkDeposit(document)
}
