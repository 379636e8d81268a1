package main

import (
	"context"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/internal/durable"
	"github.com/secure-signer/secure-signer/record"
	"github.com/secure-signer/secure-signer/record/journal"
	"github.com/secure-signer/secure-signer/rollback/witness"
)

// witnessCommand is for who runs a witness for somebody else's signer.
func witnessCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "witness",
		Short: "Be a witness: remember how far other people's signers have signed",
		Long: `Be a witness: remember how far other people's signers have signed.

A signer made with --horizon witness asks a majority of its witnesses before it
signs in an epoch, so that an old copy of it, or a second one, cannot. A witness
holds no keys and sees no messages: for each signer it keeps two numbers
that only rise.

  secure-signer witness init  --data-dir W --url https://witness.example:9200
  secure-signer witness enrol --data-dir W --signer 0x…
  secure-signer witness serve --data-dir W --http-listen-host 0.0.0.0

Never put a witness back to an older state, from a backup or a snapshot: it would
have forgotten what it promised. If its folder is lost, make a new witness.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return fmt.Errorf("%w: witness needs init, enrol or serve", cli.ErrUsage)
		},
	}
	cmd.AddCommand(witnessInitCommand(), witnessEnrolCommand(), witnessServeCommand())
	return cmd
}

// A witnessDir is the folder of a witness: its seed, and a journal that is sealed
// by a key derived from it.
type witnessDir string

// The labels of what is derived from the seed.
const (
	witnessKeyLabel     = "secure-signer witness key v1"
	witnessJournalLabel = "secure-signer witness journal v1"
)

// seedMagic is what the file of the seed begins with.
const seedMagic = "secure-signer witness 1 "

func (d witnessDir) seedFile() string { return filepath.Join(string(d), "witness.key") }
func (d witnessDir) journal() string  { return filepath.Join(string(d), "journal") }

// create makes the folder, or fills one that is empty. The seed comes last: a
// folder without it is none.
func (d witnessDir) create() (ed25519.PublicKey, error) {
	switch there, err := os.ReadDir(string(d)); {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	case len(there) > 0:
		return nil, fmt.Errorf("%s is not empty: a witness is made once, in a folder of its own", d)
	}
	seed := make([]byte, 32)
	_, _ = rand.Read(seed) // never fails
	if err := journal.Create(d.journal(), [32]byte(derive(seed, witnessJournalLabel))); err != nil {
		return nil, err
	}
	if err := durable.WriteFile(d.seedFile(), []byte(seedMagic+hex.EncodeToString(seed)+"\n"), 0o600); err != nil {
		return nil, err
	}
	return witnessKey(seed).Public().(ed25519.PublicKey), durable.SyncDir(filepath.Dir(filepath.Clean(string(d))))
}

// open returns the key of the witness and what it remembers. It locks the folder
// until the journal is closed.
func (d witnessDir) open() (ed25519.PrivateKey, *journal.Store, error) {
	text, err := os.ReadFile(d.seedFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("no witness at %s: make one with: secure-signer witness init --data-dir %s --url URL", d, d)
	}
	if err != nil {
		return nil, nil, err
	}
	seed, err := hex.DecodeString(strings.TrimSpace(strings.TrimPrefix(string(text), seedMagic)))
	if err != nil || len(seed) != 32 || !strings.HasPrefix(string(text), seedMagic) {
		return nil, nil, fmt.Errorf("%s is damaged, or of a newer release: %s", d.seedFile(), newWitnessAdvice)
	}
	j, err := journal.Open(d.journal(), [32]byte(derive(seed, witnessJournalLabel)))
	switch {
	case errors.Is(err, journal.ErrMissing):
		return nil, nil, fmt.Errorf("%s is missing: %s", d.journal(), newWitnessAdvice)
	case errors.Is(err, journal.ErrDamaged):
		return nil, nil, fmt.Errorf("%s is damaged: %s", d.journal(), newWitnessAdvice)
	case errors.Is(err, journal.ErrLocked):
		return nil, nil, fmt.Errorf("the witness at %s is running: stop it first; its signers go on without it as long as most of their witnesses run", d)
	case err != nil:
		return nil, nil, err
	}
	return witnessKey(seed), j, nil
}

const newWitnessAdvice = "this witness may have forgotten what it has promised, so it must not go on, nor be put back from a copy: make a new one in another folder, and tell those whose signers it served"

func witnessKey(seed []byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(derive(seed, witnessKeyLabel))
}

func derive(seed []byte, label string) []byte {
	key, err := hkdf.Key(sha256.New, seed, nil, label, 32)
	if err != nil {
		panic("secure-signer: internal error: derive a key of a witness: " + err.Error())
	}
	return key
}

func witnessInitCommand() *cobra.Command {
	var dir, url string
	cmd := &cobra.Command{
		Use:   "init --data-dir W --url URL",
		Short: "Create the folder of a witness, and print the line that its signers need",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" || url == "" {
				return fmt.Errorf("%w: witness init needs --data-dir, and --url, where signers will reach it", cli.ErrUsage)
			}
			// The address is checked with a key of nobody's before anything is made.
			if _, err := witness.Parse(url + "#" + strings.Repeat("0", 2*ed25519.PublicKeySize)); err != nil {
				return fmt.Errorf("%w: --url: %w", cli.ErrUsage, err)
			}
			key, err := witnessDir(dir).create()
			if err != nil {
				return err
			}
			w, err := witness.Parse(url + "#" + hex.EncodeToString(key))
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), `Created the witness %s. Signers name it by this line, which is no secret:
  %s
Never put the folder back to an older state: it would have forgotten what it promised.
Next, for each signer: secure-signer witness enrol --data-dir %s --signer 0x…
Then: secure-signer witness serve --data-dir %s
`, dir, w, dir, dir)
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "data-dir", "", "the `folder` to create")
	cmd.Flags().StringVar(&url, "url", "", "`address` under which signers will reach the witness, such as https://witness.example:9200")
	return cmd
}

func witnessEnrolCommand() *cobra.Command {
	var dir, key string
	cmd := &cobra.Command{
		Use:   "enrol --data-dir W --signer KEY",
		Short: "Let a signer in, while the witness does not run",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if dir == "" || key == "" {
				return fmt.Errorf("%w: witness enrol needs --data-dir, and --signer, the key that \"secure-signer init --horizon witness\" has printed", cli.ErrUsage)
			}
			signer, err := witness.ParseKey(key)
			if err != nil {
				return fmt.Errorf("%w: --signer: %w", cli.ErrUsage, err)
			}
			_, j, err := witnessDir(dir).open()
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, j.Close()) }()
			err = witness.Enrol(cmd.Context(), j, signer)
			if errors.Is(err, record.ErrExists) {
				fmt.Fprintf(cmd.OutOrStdout(), "Signer 0x%x is enrolled already.\n", []byte(signer))
				return nil
			}
			if err == nil {
				fmt.Fprintf(cmd.OutOrStdout(), "Enrolled signer 0x%x.\n", []byte(signer))
			}
			return err
		},
	}
	cmd.Flags().StringVar(&dir, "data-dir", "", "`folder` made by witness init")
	cmd.Flags().StringVar(&key, "signer", "", "public `key` of the signer, which its owner was told at init")
	return cmd
}

// witnessFlags are those of witness serve.
type witnessFlags struct {
	companionFlags
	dataDir string
}

func witnessServeCommand() *cobra.Command {
	var f witnessFlags
	cmd := &cobra.Command{
		Use:   "serve --data-dir W",
		Short: "Answer the signers that are enrolled",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.serve(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.dataDir, "data-dir", "", "`folder` made by witness init")
	f.define(flags, 9200, "witness", "Every answer is signed anyway")
	return cmd
}

func (f witnessFlags) serve(ctx context.Context, stdout, stderr io.Writer) (err error) {
	if f.dataDir == "" {
		return fmt.Errorf("%w: witness serve needs --data-dir; make one with: secure-signer witness init", cli.ErrUsage)
	}
	c, err := f.open(stderr)
	if err != nil {
		return err
	}
	defer c.close()
	key, j, err := witnessDir(f.dataDir).open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	if j.Unsettled() {
		// What was lost was never answered with: witness.Server writes everything twice.
		c.log.Warn("the last record is torn, as after a power cut: no promise was in it")
		if err := j.Settle(ctx); err != nil {
			return err
		}
	}
	signers, err := witness.Signers(ctx, j)
	if err != nil {
		return err
	}
	c.store = j
	handler := &witness.Server{Key: key, Store: j, Log: c.log}
	return c.serve(ctx, handler.Handler(), fmt.Sprintf("a witness of %d signers", len(signers)), func(at net.Addr) {
		c.log.Info("witness ready", "address", at.String(), "key", fmt.Sprintf("%x", key.Public()), "signers", len(signers), "version", cli.Release())
		fmt.Fprintf(stdout, "Witness at %s; signers: %d%s\n", c.url(at), len(signers), f.next(len(signers)))
	})
}

// next is what to do about a witness that has no signer.
func (f witnessFlags) next(signers int) string {
	if signers > 0 {
		return ""
	}
	return fmt.Sprintf("\nNobody is enrolled: stop it, then: secure-signer witness enrol --data-dir %s --signer 0x…", f.dataDir)
}
