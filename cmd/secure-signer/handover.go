package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/attest/dcap"
	attestdev "github.com/secure-signer/secure-signer/attest/dev"
	"github.com/secure-signer/secure-signer/attest/nitro"
	"github.com/secure-signer/secure-signer/attest/snp"
	attesttpm "github.com/secure-signer/secure-signer/attest/tpm"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/handover"
	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/internal/datadir"
	"github.com/secure-signer/secure-signer/record/journal"
	"github.com/secure-signer/secure-signer/slashing"
	"github.com/secure-signer/secure-signer/vault"
)

// verifiers know every kind of evidence. TPMs have the roots of whoever has signed
// the policy. The test root of dev counts only where the program runs under it itself.
func (p platform) verifiers(policy attest.Policy) attest.Verifier {
	return attest.Set{
		attest.TypeSGX: dcap.Verifier{}, attest.TypeTDX: dcap.Verifier{}, attest.TypeSNP: snp.Verifier{}, attest.TypeNitro: nitro.Verifier{},
		attest.TypeTPM: attesttpm.Verifier{Roots: policy.Roots}, attest.TypeDev: attestdev.Verifier{Roots: p.devRoots},
	}
}

func ruleOf(b datadir.Binding) handover.Rule {
	return handover.Rule{Threshold: b.Release.Threshold, Keys: b.Release.Keys}
}

// giver is the daemon's end of a hand-over, which ends it; nil where no hardware seals.
func (d *daemon) giver() *handover.Giver {
	if d.platform.Platform == nil {
		return nil
	}
	return &handover.Giver{
		Evidence: d.platform.Evidence,
		Verifier: d.platform.verifiers,
		Rule:     ruleOf(d.dir.Binding),
		Settings: d.dir.Hash(),
		Wrap:     d.vault.SealKey,
		Retire:   d.retire,
	}
}

// errStopping means that the daemon stops for another reason.
var errStopping = errors.New("this signer is stopping: start it again")

// retire has the daemon stop, and returns once nothing can be signed any more, with
// the name of all that was.
func (d *daemon) retire() (head [32]byte, err error) {
	done := make(chan error, 1)
	select {
	case d.retiring <- done:
	case <-d.stopped:
		return head, errStopping
	}
	if err := <-done; err != nil {
		return head, err
	}
	_, head = d.journal.Head()
	return head, nil
}

// giveUp closes whatever signs, and only then has the other version answered: nobody
// can sign any more when it learns the key of the vault.
func (d *daemon) giveUp(waiting chan<- error) error {
	err := d.end()
	waiting <- err
	d.giving.Wait()
	return err
}

type handOverFlags struct {
	dataDir string
	step    string
	seal    sealFlags
	tpm     tpmFlags

	from                      string // address of the old program
	fromCA, fromCert, fromKey string // files, for its TLS

	maxFutureEpochs string
	floorEpoch      optional[eth2.Epoch]
	stderr          io.Writer
}

func handOverCommand() *cobra.Command {
	var f handOverFlags
	cmd := &cobra.Command{
		Use:   "hand-over --data-dir D --from URL --step FILE",
		Short: "Take a data folder over from another version of this program, which runs",
		Long: `Take a data folder over from another version of this program, which runs.

Trusted hardware seals a folder to one program: no other opens it. The old program
gives it to this one if release managers have signed the step from it to this one
(signerctl release sign-step), so many of those that the folder names as it asks for.
Then the old one stops for good, and the vault is sealed to this one.

What is refused leaves the old one as it was, signing. Cut off at any moment, either
this one opens the folder, or the old one does and the same command goes on.

The folder is that of the old program, or a copy: a copy forgets what was signed
since, and its keys then sign nothing of this epoch, as after a restore.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.stderr = cmd.ErrOrStderr()
			return f.handOver(cmd.Context(), cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.dataDir, "data-dir", "", "`folder` that the old program serves")
	flags.StringVar(&f.from, "from", "http://127.0.0.1:9000", "`address` of the old program")
	flags.StringVar(&f.step, "step", "", "`file` with the step that release managers have signed")
	flags.StringVar(&f.fromCA, "from-ca-file", "", "PEM `file` of the authority, or the certificate itself, that the old program's TLS certificate is checked against")
	flags.StringVar(&f.fromCert, "from-cert-file", "", "PEM `file` of a certificate to show the old program, where it wants one")
	flags.StringVar(&f.fromKey, "from-key-file", "", "PEM `file` of its key")
	flags.StringVar(&f.maxFutureEpochs, "max-future-epochs", strconv.Itoa(slashing.DefaultMaxFutureEpochs), "how many `epochs` past the clock the old program has signed, or off: as it was started with")
	flags.Var(&f.floorEpoch, "floor-epoch", "for a copy of the folder: sign nothing of this `epoch` or before; needed where the clock does not tell")
	f.seal.platform.define(flags, &f.tpm)
	f.tpm.define(flags)
	return cmd
}

func (f handOverFlags) handOver(ctx context.Context, stdout io.Writer) error {
	if f.dataDir == "" || f.step == "" {
		return fmt.Errorf("%w: hand-over needs --data-dir and --step", cli.ErrUsage)
	}
	text, err := os.ReadFile(f.step)
	if err != nil {
		return fmt.Errorf("read step: %w", err)
	}
	step, err := handover.Parse(text)
	if err != nil {
		return fmt.Errorf("%s: %w", f.step, err)
	}
	var now platform
	happened := "is sealed to this program already"
	err = datadir.Rebind(f.dataDir, func(d datadir.Folder) (datadir.Binding, error) {
		next := d.Binding
		if now, err = f.platform(ctx, d); err != nil {
			return next, err
		}
		next.Platform = now.name
		if opens(d.Vault(), now.seal(d.Settings)) == nil { // perhaps since a call that was cut off before config.yaml said so
			return next, nil
		}
		if _, err := now.seal(d.Settings).Wrap(make([]byte, 32)); err != nil { // or the old one would stop for nothing
			return next, advise(fmt.Errorf("this program cannot seal the folder, and the old program goes on: %w", err), unchanged)
		}
		happened = "is sealed to this program. The old one has stopped, and opens it no more"
		return next, f.take(ctx, d, now, step)
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "The vault of %s %s.\nNext: secure-signer serve --data-dir %s%s\n", f.dataDir, happened, f.dataDir, f.seal.flags(now.name))
	return nil
}

// take has the old program give up the folder, and seals it to this one.
func (f handOverFlags) take(ctx context.Context, d datadir.Folder, now platform, step handover.Signed) error {
	old, err := f.old(d)
	if err != nil {
		return err
	}
	passed, err := handover.Taker{
		Evidence: now.Evidence, Verifier: now.verifiers, Rule: ruleOf(d.Binding), Settings: d.Hash(), Step: step,
	}.Take(ctx, old)
	if err != nil {
		return fmt.Errorf("hand-over: %w", err)
	}
	defer clear(passed.Secret)
	err = f.remember(ctx, d, passed)
	if err == nil {
		err = vault.Rewrap(d.Vault(), handedOver(passed.Secret), now.seal(d.Settings))
	}
	if err != nil {
		return fmt.Errorf("%w: the old program has stopped, and still opens its folder: start it again, and repeat", err)
	}
	return nil
}

// remember makes sure that nothing is signed here which conflicts with what the old
// program has signed. If this is a copy of its folder, the journal lacks what was
// signed since it was copied, and every floor is raised as after a restore.
func (f handOverFlags) remember(ctx context.Context, d datadir.Folder, passed handover.Passed) error {
	v, err := vault.Open(d.Vault(), handedOver(passed.Secret))
	if err != nil {
		return err
	}
	same, err := endsAt(d.Journal(), v.DeriveKey(journalKeyLabel), passed.Head)
	if err == nil && !same {
		err = f.raise(ctx, d, v)
	}
	return errors.Join(err, v.Close())
}

func endsAt(dir string, key, head [32]byte) (bool, error) {
	j, err := journal.Open(dir, key)
	if err != nil {
		return false, err
	}
	_, now := j.Head()
	return now == head, j.Close()
}

func (f handOverFlags) raise(ctx context.Context, d datadir.Folder, v *vault.Vault) error {
	r := restorer{restoreFlags: restoreFlags{maxFutureEpochs: f.maxFutureEpochs, floorEpoch: f.floorEpoch}, now: time.Now()}
	last, err := r.lastEpoch(d.Network, time.Time{})
	if err != nil {
		return err
	}
	fmt.Fprintf(f.stderr, "warning: %s is an older copy of the folder that the old program served: every key signs nothing of epoch %d or before\n", d.Path(), last)
	return r.raise(ctx, d.Journal(), v, d.Network, last)
}

// platform opens the one that this program runs in: that of the folder, unless the
// old program runs in another.
func (f handOverFlags) platform(ctx context.Context, d datadir.Folder) (platform, error) {
	if d.Binding.Platform == "" {
		return platform{}, fmt.Errorf("%s is sealed by a passphrase, with which any version opens it: stop the old one, and start this one", d.Path())
	}
	name := d.Binding.Platform
	if f.seal.platform.name != "" {
		var err error
		if name, err = f.seal.platform.choose(); err != nil {
			return platform{}, err
		}
		if name == "" {
			return platform{}, fmt.Errorf("%w: a hand-over is to trusted hardware: --platform %s", cli.ErrUsage, d.Binding.Platform)
		}
	}
	return f.seal.platform.open(ctx, name, d.Binding.Sealing)
}

// old is the old program, by its address and the folder's token.
func (f handOverFlags) old(d datadir.Folder) (handover.Old, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	secured := &tls.Config{MinVersion: tls.VersionTLS13}
	if f.fromCA != "" {
		pem, err := os.ReadFile(f.fromCA)
		if err != nil {
			return nil, fmt.Errorf("--from-ca-file: %w", err)
		}
		secured.RootCAs = x509.NewCertPool()
		if !secured.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--from-ca-file: %s holds no certificate in PEM", f.fromCA)
		}
	}
	if f.fromCert != "" {
		cert, err := tls.LoadX509KeyPair(f.fromCert, f.fromKey)
		if err != nil {
			return nil, fmt.Errorf("--from-cert-file and --from-key-file: %w", err)
		}
		secured.Certificates = []tls.Certificate{cert}
	}
	return handover.Client{URL: f.from, Token: token, HTTP: &http.Client{Transport: &http.Transport{TLSClientConfig: secured}}}, nil
}

// handedOver opens the vault whose data key it is, whoever has sealed that.
type handedOver []byte

// Wrap implements vault.Sealer, for nobody.
func (handedOver) Wrap([]byte) ([]byte, error) {
	panic("handed-over key: internal error: it seals nothing")
}

// Unwrap implements vault.Sealer. Whether the key is the right one shows in the
// entries, which it authenticates.
func (k handedOver) Unwrap([]byte) ([]byte, error) { return append([]byte(nil), k...), nil }
