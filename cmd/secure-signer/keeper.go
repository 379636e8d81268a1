package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"

	"github.com/spf13/cobra"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/internal/devfile"
	"github.com/secure-signer/secure-signer/internal/durable"
	"github.com/secure-signer/secure-signer/tee/peer"
)

// keeperFlags are those of keep-keys.
type keeperFlags struct {
	companionFlags
	secretFile string
	create     bool
	policy     string
	url        string
}

func keepKeysCommand() *cobra.Command {
	var f keeperFlags
	cmd := &cobra.Command{
		Use:   "keep-keys --secret-file F --policy P",
		Short: "Keep the sealing keys of signers whose hardware keeps none (Nitro, TDX)",
		Long: `Keep the sealing keys of signers whose hardware keeps none (Nitro, TDX).

A signer made with --key-keeper asks for its key at every start. It gets it if
its evidence is what the policy accepts; a signer that is measured differently
has another key. Keys are derived from the one secret and stored nowhere.

Run it where the signers' hosts have no power: whoever has the secret opens
their vaults. Keep a copy of the secret: without it no vault opens any more.

  secure-signer keep-keys --secret-file keeper.secret --create --policy policy.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.serve(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.secretFile, "secret-file", "", "`file` with the secret that all keys are derived from")
	flags.BoolVar(&f.create, "create", false, "make the file of the secret; never over one that is there")
	flags.StringVar(&f.policy, "policy", "", "`file` with the policy that says who gets a key, in JSON; see signerctl attest policy")
	flags.StringVar(&f.url, "url", "", "`address` under which signers reach it, such as https://keeper.example:9100, to be printed; else the one that it listens at")
	f.define(flags, 9100, "keeper", "Every answer is sealed and signed anyway")
	return cmd
}

func (f keeperFlags) serve(ctx context.Context, stdout, stderr io.Writer) error {
	if f.secretFile == "" || f.policy == "" {
		return fmt.Errorf("%w: keep-keys needs --secret-file and --policy", cli.ErrUsage)
	}
	c, err := f.open(stderr)
	if err != nil {
		return err
	}
	defer c.close()
	config, err := f.judge()
	if err != nil {
		return err
	}
	config.Log = c.log
	secret, err := f.secret()
	if err != nil {
		return err
	}
	keeper, err := peer.NewKeeper(secret, config)
	clear(secret[:])
	if err != nil {
		return err
	}
	return c.serve(ctx, keeper.Handler(), "keeps the keys of other signers", func(at net.Addr) {
		programs := len(config.Policy.Accept)
		named := peer.Address{URL: cmp.Or(f.url, c.url(at)), Key: keeper.PublicKey()}
		c.log.Info("key keeper ready", "address", at.String(), "programs", programs, "version", cli.Release())
		fmt.Fprintf(stdout, `Key keeper at %s
  policy  %s, which accepts programs: %d
  secret  %s: keep a copy; without it no vault that depends on it opens any more
  next    make a signer's folder with: secure-signer init --data-dir D --network NETWORK --platform PLATFORM --key-keeper %s
`, c.url(at), f.policy, programs, f.secretFile, named)
	})
}

// judge reads by what the keeper decides, before a secret is read or made. Releases
// take no test root's word.
func (f keeperFlags) judge() (peer.Config, error) {
	text, err := devfile.Read(f.policy, attest.MaxEvidence)
	if err != nil {
		return peer.Config{}, fmt.Errorf("--policy: %w", err)
	}
	policy, err := attest.ParsePolicy(text)
	if err != nil {
		return peer.Config{}, fmt.Errorf("%s: %w", f.policy, err)
	}
	verifiers := platform{}
	if !cli.IsRelease() {
		verifiers.devRoots = policy.Roots
	}
	c := peer.Config{Policy: policy, Verifier: verifiers.verifiers(policy)}
	if err := c.Check(); err != nil {
		return c, fmt.Errorf("%s: %w", f.policy, err)
	}
	if f.url != "" {
		if _, err := peer.ParseURL(f.url); err != nil {
			return c, fmt.Errorf("%w: --url: %w", cli.ErrUsage, err)
		}
	}
	return c, nil
}

// keeperMagic is what the file of the secret begins with.
const keeperMagic = "secure-signer key keeper 1 "

// secret reads the secret, or makes it where that is asked for.
func (f keeperFlags) secret() (secret [32]byte, err error) {
	if f.create {
		return f.createSecret()
	}
	text, err := devfile.Read(f.secretFile, 1<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return secret, fmt.Errorf("no secret at %s: bring back its copy; or, if no signer depends on it yet, make one with --create", f.secretFile)
	}
	if err != nil {
		return secret, err
	}
	defer clear(text)
	info, err := os.Stat(f.secretFile)
	if err != nil {
		return secret, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return secret, fmt.Errorf("others can read %s: chmod 600 %s", f.secretFile, f.secretFile)
	}
	digits, ok := bytes.CutPrefix(bytes.TrimSpace(text), []byte(keeperMagic))
	if !ok || len(digits) != hex.EncodedLen(len(secret)) {
		err = errors.New("not the file that --create makes")
	} else {
		_, err = hex.Decode(secret[:], digits)
	}
	if err != nil {
		return secret, fmt.Errorf("%s is damaged, or of a newer release: bring back its copy: %w", f.secretFile, err)
	}
	return secret, nil
}

func (f keeperFlags) createSecret() (secret [32]byte, err error) {
	switch _, err := os.Lstat(f.secretFile); {
	case err == nil:
		return secret, fmt.Errorf("%s is there already, and vaults may depend on it: leave --create out", f.secretFile)
	case !errors.Is(err, fs.ErrNotExist):
		return secret, err
	}
	_, _ = rand.Read(secret[:]) // never fails
	text := []byte(keeperMagic + hex.EncodeToString(secret[:]) + "\n")
	defer clear(text)
	if err := durable.WriteFile(f.secretFile, text, 0o600); err != nil {
		return secret, fmt.Errorf("write the secret: %w", err)
	}
	return secret, nil
}
