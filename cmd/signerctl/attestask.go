package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/attestapi"
	"github.com/secure-signer/secure-signer/internal/cli"
)

func (c *tool) attestFetchCommand() *cobra.Command {
	var f attestedFlags
	var nonce, out string
	cmd := &cobra.Command{
		Use:   "fetch --url https://…",
		Short: "Save the evidence of a running signer, to judge it later or elsewhere",
		Long: "Save the evidence of a running signer, in JSON. It is bound to the connection that this command makes: besides the nonce " +
			"whoever judges it needs the exporter value of that connection, which is printed. It needs no token.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			n, err := nonceOf(nonce)
			if err != nil {
				return err
			}
			ch, err := c.channel(f)
			if err != nil {
				return err
			}
			if err := ch.ask(cmd.Context(), n); err != nil {
				return err
			}
			return c.saveEvidence(ch.asked, out)
		},
	}
	cmd.Flags().StringVar(&nonce, "nonce", "", "32 bytes in `hex`, of whoever will judge; drawn if left out")
	cmd.Flags().StringVar(&out, "out", "", "new `file` for the evidence; else it is printed")
	f.defineCollateral(cmd)
	return cmd
}

// nonceOf reads a nonce, or draws one.
func nonceOf(text string) (n attest.Nonce, err error) {
	if text == "" {
		return drawNonce(), nil
	}
	if err := n.UnmarshalText([]byte(text)); err != nil {
		return n, fmt.Errorf("%w: --nonce: %w", cli.ErrUsage, err)
	}
	return n, nil
}

func (c *tool) saveEvidence(a asked, out string) error {
	file := "EVIDENCE"
	if out == "" {
		if err := c.printJSON(a.Evidence); err != nil {
			return err
		}
	} else {
		f, err := createNew(out)
		if err != nil {
			return err
		}
		if err := f.fill(func(w io.Writer) error { return writeJSON(w, a.Evidence) }); err != nil {
			return err
		}
		file = out
	}
	fmt.Fprintf(c.stderr, "Judge it with: signerctl attest verify %s --policy POLICY --nonce %x --exporter %v\n", file, a.Nonce[:], a.Exporter)
	return nil
}

func (c *tool) attestPolicyCommand() *cobra.Command {
	var f attestedFlags
	var roots []string
	cmd := &cobra.Command{
		Use:   "policy --url https://…",
		Short: "Write down what a running signer proves, as a policy to be compared and kept",
		Long: "Ask a running signer for evidence, verify it, and print the policy that accepts exactly what it proves: this hardware, this program, " +
			"these settings. It is a draft. Whoever takes it as it is trusts whom he happened to reach: compare the measurements with those that you " +
			"build or that somebody you trust publishes, the root with its maker's, and each setting with what you want.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var trusted []attest.Digest
			for _, text := range roots {
				var root attest.Digest
				if err := root.UnmarshalText([]byte(text)); err != nil {
					return fmt.Errorf("%w: --root: %w", cli.ErrUsage, err)
				}
				trusted = append(trusted, root)
			}
			ch, err := c.channel(f)
			if err != nil {
				return err
			}
			if err := ch.ask(cmd.Context(), drawNonce()); err != nil {
				return err
			}
			policy, err := draft(ch, trusted)
			if err != nil {
				return err
			}
			text, err := json.MarshalIndent(policy, "", "  ") // encoding/json leaves out what says nothing
			if err != nil {
				return err
			}
			fmt.Fprintf(c.stdout, "%s\n", text)
			fmt.Fprintln(c.stderr, draftAdvice)
			if _, err := ch.judge(policy); err != nil {
				fmt.Fprintf(c.stderr, "warning: no policy should accept this signer, and this one does not: %v\n", err)
			}
			return nil
		},
	}
	cmd.Flags().StringArrayVar(&roots, "root", nil, "SHA-256 in `hex` of a root to trust, for kinds of hardware that have none built in (tpm, dev); repeatable")
	f.defineCollateral(cmd)
	return cmd
}

const draftAdvice = `This is a draft of a policy: it accepts whom you have just reached, whoever that is.
Trust at first sight is no trust. Before you keep it compare
  accept    the measurements with those of a program that you built or that you trust
  roots     with what the maker of the hardware publishes
  settings  with what you want your signer to do, each of them
The hardware vouches for all of it. Whether it is the hardware and the program that you want, only you can tell.`

// maxDraftAge is how old evidence that bears a time may be under a draft, and how
// old collateral: what Intel publishes is good for 30 days.
const (
	maxDraftAge           = attest.Duration(5 * time.Minute)
	maxDraftCollateralAge = attest.Duration(30 * 24 * time.Hour)
)

// draft is the policy that accepts what the evidence proves and nothing else. Debug
// and migration it never allows.
func draft(ch *channel, roots []attest.Digest) (attest.Policy, error) {
	a := ch.asked
	r, err := verifiers(roots).Verify(a.Evidence, time.Now())
	if err != nil {
		return attest.Policy{}, fmt.Errorf("the signer's evidence proves nothing: %w (for tpm and dev give the root that you trust with --root)", err)
	}
	if r.ReportData != a.Evidence.Claims.ReportData(a.Nonce, a.Exporter) {
		return attest.Policy{}, errors.New("the evidence is not bound to this connection: something in between passes on that of another one; there is nothing here to trust")
	}
	document, err := attestapi.ReadDocument(a.Evidence.Claims.Config)
	if err != nil {
		return attest.Policy{}, err
	}
	id := attest.Identity{Kind: r.Kind, Measurements: r.Measurements, Signer: r.Signer, Product: r.Product, MinSVN: r.SVN}
	if r.TCB == attest.TCBUnrated {
		id.MinTCB = r.TCBVersion
	}
	p := attest.Policy{
		Accept: []attest.Identity{id}, Roots: []attest.Digest{r.Root}, TCB: []attest.TCBStatus{r.TCB}, Advisories: r.Advisories, MaxLevel: r.Level,
	}
	if !r.IssuedAt.IsZero() {
		p.MaxAge = maxDraftAge
	}
	if !r.Collateral.IsZero() {
		p.MaxCollateralAge = maxDraftCollateralAge
	}
	text, err := json.Marshal(document.Settings)
	if err != nil {
		return attest.Policy{}, err
	}
	return p, json.Unmarshal(text, &p.Settings)
}
