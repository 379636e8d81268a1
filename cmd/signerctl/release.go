package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/handover"
	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/internal/durable"
)

// releaseCommand is the work of release managers, who allow one version of the
// signer to take over what is sealed to another.
func (c *tool) releaseCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "release",
		Short: "Allow a version of the signer to take over what is sealed to another",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return fmt.Errorf("%w: release needs new-key, sign-step or show-step", cli.ErrUsage)
		},
	}
	cmd.AddCommand(c.newKeyCommand(), c.signStepCommand(), c.showStepCommand())
	return cmd
}

func (c *tool) newKeyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "new-key FILE",
		Short: "Draw a release key, and print its public half for init --release-key",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			public, key, err := ed25519.GenerateKey(rand.Reader)
			if err != nil {
				return err
			}
			der, err := x509.MarshalPKCS8PrivateKey(key)
			if err != nil {
				return err
			}
			text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
			if _, err := os.Lstat(args[0]); !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("%s exists already: give another name", args[0])
			}
			if err := durable.WriteFile(args[0], text, 0o600); err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.stdout, "0x%x\n", []byte(public))
			return err
		},
	}
}

type stepFlags struct {
	from, to string // policies
	key      string
}

func (c *tool) signStepCommand() *cobra.Command {
	var f stepFlags
	cmd := &cobra.Command{
		Use:   "sign-step STEP --key KEY [--from POLICY --to POLICY]",
		Short: "Sign that one version may hand over to another",
		Long: `Sign that one version may hand over to another.

The first who signs says from which program to which, by two policies as attest
verify takes them, without settings: then STEP is made. The others add their
signatures to it, once they have seen (show-step) that it says what they mean.

The key is an Ed25519 key in PEM (PKCS #8), as release new-key or openssl genpkey
-algorithm ed25519 makes it.`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return c.signStep(f, args[0]) },
	}
	cmd.Flags().StringVar(&f.from, "from", "", "`file` with the policy that the old program meets")
	cmd.Flags().StringVar(&f.to, "to", "", "`file` with the policy that the new program meets")
	cmd.Flags().StringVar(&f.key, "key", "", "`file` with the release key")
	return cmd
}

func (c *tool) signStep(f stepFlags, path string) error {
	if f.key == "" || (f.from == "") != (f.to == "") {
		return fmt.Errorf("%w: sign-step needs --key, and for a new step --from and --to", cli.ErrUsage)
	}
	key, err := readReleaseKey(f.key)
	if err != nil {
		return fmt.Errorf("--key: %w", err)
	}
	step, err := f.step(path)
	if err != nil {
		return err
	}
	step.Sign(key)
	text, err := json.MarshalIndent(step, "", "  ")
	if err != nil {
		return err
	}
	if err := durable.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return err
	}
	return c.showStep(step)
}

// step reads the step that is to be signed, or makes it. What there is already is not
// written over by another.
func (f stepFlags) step(path string) (handover.Signed, error) {
	there, err := readStep(path)
	switch {
	case f.from == "":
		return there, err
	case err == nil:
		return there, fmt.Errorf("%s is there already: leave out --from and --to to add a signature, or give another name", path)
	case !errors.Is(err, fs.ErrNotExist):
		return there, err
	}
	var s handover.Step
	for _, end := range []struct {
		flag, file string
		policy     *attest.Policy
	}{{"--from", f.from, &s.From}, {"--to", f.to, &s.To}} {
		text, err := os.ReadFile(end.file)
		if err != nil {
			return there, fmt.Errorf("%s: %w", end.flag, err)
		}
		if *end.policy, err = attest.ParsePolicy(text); err != nil {
			return there, fmt.Errorf("%s: %s: %w", end.flag, end.file, err)
		}
	}
	return handover.New(s)
}

func (c *tool) showStepCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show-step STEP",
		Short: "Show from which program to which a step leads, and who has signed it",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			step, err := readStep(args[0])
			if err != nil {
				return err
			}
			return c.showStep(step)
		},
	}
}

// A shownStep is what a step says and who has signed it, signatures verified.
type shownStep struct {
	Step     handover.Step `json:"step"`
	SignedBy []attest.Hex  `json:"signed_by"`
}

func (c *tool) showStep(s handover.Signed) error {
	step, err := s.Step()
	if err != nil {
		return err
	}
	shown := shownStep{Step: step, SignedBy: []attest.Hex{}}
	for _, key := range s.Signers() {
		shown.SignedBy = append(shown.SignedBy, attest.Hex(key))
	}
	if c.json {
		return c.printJSON(shown)
	}
	text, err := json.MarshalIndent(step, "", "  ")
	if err != nil {
		return err
	}
	var by strings.Builder
	for _, key := range shown.SignedBy {
		fmt.Fprintf(&by, "signed by 0x%v\n", key)
	}
	if by.Len() == 0 {
		by.WriteString("signed by nobody\n")
	}
	_, err = fmt.Fprintf(c.stdout, "%s\n%s", text, by.String())
	return err
}

func readStep(path string) (handover.Signed, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return handover.Signed{}, fmt.Errorf("read step: %w", err)
	}
	s, err := handover.Parse(text)
	if err != nil {
		return s, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

func readReleaseKey(path string) (ed25519.PrivateKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s holds no key in PEM: make one with: signerctl release new-key FILE", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s holds another kind of key: want Ed25519", path)
	}
	return key, nil
}
