package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/backup"
	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/internal/datadir"
	"github.com/secure-signer/secure-signer/internal/durable"
	"github.com/secure-signer/secure-signer/record/journal"
	"github.com/secure-signer/secure-signer/slashing"
	"github.com/secure-signer/secure-signer/vault"
)

type restoreFlags struct {
	dataDir         string
	seal            sealFlags
	horizon         horizonFlags
	maxFutureEpochs string
	floorEpoch      optional[eth2.Epoch]
	history         string
	journalLost     bool
}

func restoreCommand() *cobra.Command {
	var f restoreFlags
	cmd := &cobra.Command{
		Use:   "restore [BACKUP] --data-dir D",
		Short: "Make a data folder safe to sign with that may have forgotten what was signed",
		Long: `Make a data folder safe to sign with that may have forgotten what was signed.

  restore BACKUP --data-dir NEW        makes a folder of a backup (signerctl backup)
  restore --data-dir D                 D was copied, or put back from a disk's snapshot
  restore --data-dir D --journal-lost  D's journal is damaged or missing, its vault is whole

Each key then signs nothing of this epoch, nor of those after it for which the
signer would have signed already (--max-future-epochs, as it was started with).
That covers whatever this signer has signed until now, and costs two epochs of
duties. It does not cover what another signer still signs: stop every other one
that holds these keys first, for good.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r := restorer{restoreFlags: f, now: time.Now(), stdin: cmd.InOrStdin(), stdout: cmd.OutOrStdout(), stderr: cmd.ErrOrStderr()}
			switch {
			case f.dataDir == "":
				return fmt.Errorf("%w: restore needs --data-dir", cli.ErrUsage)
			case len(args) == 1 && f.journalLost:
				return fmt.Errorf("%w: --journal-lost is for a folder, not for a backup: a backup has its journal", cli.ErrUsage)
			case len(args) == 0 && f.horizon.kind != "":
				return fmt.Errorf("%w: --horizon is for a backup, of which a new folder is made: take one (signerctl backup), and restore that", cli.ErrUsage)
			case len(args) == 1:
				return r.fromBackup(cmd.Context(), args[0])
			case f.journalLost:
				return r.withoutJournal(cmd.Context())
			}
			return r.inPlace(cmd.Context())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.dataDir, "data-dir", "", "the `folder` to make, or to make safe")
	f.seal.define(flags, &f.horizon.tpm)
	f.horizon.define(flags)
	flags.StringVar(&f.maxFutureEpochs, "max-future-epochs", strconv.Itoa(slashing.DefaultMaxFutureEpochs), "how many `epochs` past the clock the signer has signed, or off: as it was started with")
	flags.Var(&f.floorEpoch, "floor-epoch", "sign nothing of this `epoch` or before; needed where the clock does not tell")
	flags.StringVar(&f.history, "slashing-protection", "", "`file` of EIP-3076 slashing protection data to add")
	flags.BoolVar(&f.journalLost, "journal-lost", false, "start a new journal for the vault's keys; the old one is kept beside it")
	return cmd
}

// A restorer does one restore.
type restorer struct {
	restoreFlags
	now            time.Time
	stdin          io.Reader
	stdout, stderr io.Writer
}

// fromBackup makes a folder that is none until every floor is raised, durably.
func (r restorer) fromBackup(ctx context.Context, path string) (err error) {
	file, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read backup: %w", err)
	}
	b, err := backup.Parse(file)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	settings, err := datadir.ReadConfig(b.Config)
	if err != nil {
		return fmt.Errorf("%s: config.yaml in it: %w", path, err)
	}
	network := settings.Network
	last, err := r.lastEpoch(network, b.Taken)
	if err != nil {
		return err
	}
	horizon, err := r.horizonOf(ctx, settings, b, last)
	if err != nil {
		return fmt.Errorf("restore %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, horizon.undo())
		}
	}()
	was := settings.Binding.Horizon.Kind
	settings.Binding.Horizon = horizon.Keeper
	var keys int
	err = datadir.Create(r.dataDir, settings, func(d datadir.Dir) error {
		keys, err = r.unpack(ctx, datadir.Folder{Dir: d, Settings: settings}, b, horizon, last)
		return err
	})
	if errors.Is(err, datadir.ErrExists) {
		return fmt.Errorf("restore %s: there is something at %s already, and a backup makes a new folder: give another one, or move that one away", path, r.dataDir)
	}
	if err != nil {
		return fmt.Errorf("restore %s: %w", path, err)
	}
	fmt.Fprintf(r.stdout, "Restored %s from the backup of %s, with %s and a new api-token.txt.\n",
		r.dataDir, b.Taken.UTC().Format(time.RFC3339), count(keys))
	fmt.Fprint(r.stdout, horizon.shown())
	if was != "" && horizon.Kind == "" {
		fmt.Fprintf(r.stdout, "  horizon        none, where the backup has %s: an older disk, or a second copy of this signer, goes unnoticed\n", was)
	}
	return r.explain(settings, last)
}

// horizonOf returns the horizon of the folder that is made of a backup: the one of
// the backup, or a new one that the flags ask for. A vault that a platform seals opens
// under its own alone, and that kind may be named: a measured image has one file of
// settings, for init and for restore.
func (r restorer) horizonOf(ctx context.Context, s datadir.Settings, b *backup.Backup, last eth2.Epoch) (madeHorizon, error) {
	was, sealed := s.Binding.Horizon, s.Binding.Platform != ""
	switch {
	case r.horizon.kind == "" || sealed && r.horizon.asksFor(was.Kind):
		return madeHorizon{Keeper: was, sealed: b.Horizon, undo: func() error { return nil }}, nil
	case sealed:
		return madeHorizon{}, fmt.Errorf("its vault is sealed by platform %s under the horizon that it has, %s, so that nobody who owns the machine can take that away: leave --horizon out; if its keeper is gone for good, import the keys into a new folder", s.Binding.Platform, cmp.Or(was.Kind, horizonNone))
	}
	return r.horizon.create(ctx, s.Network, last)
}

// unpack puts the vault and the journal of a backup in place, and returns the number
// of keys. Before Authenticate the backup may have been anybody's.
func (r restorer) unpack(ctx context.Context, d datadir.Folder, b *backup.Backup, horizon madeHorizon, last eth2.Epoch) (int, error) {
	if err := durable.WriteFile(d.Vault(), b.Vault, 0o600); err != nil {
		return 0, err
	}
	v, err := r.openVault(ctx, d)
	if err != nil {
		return 0, advise(err, "a backup opens with the passphrase of the day it was taken")
	}
	err = b.Authenticate(v.DeriveKey(backup.KeyLabel))
	if err == nil {
		err = journal.Restore(d.Journal(), v.DeriveKey(journalKeyLabel), b.Journal)
	}
	if err == nil {
		err = r.raise(ctx, d.Journal(), v, d.Network, last)
	}
	if err == nil {
		err = horizon.keep(d.Dir, v)
	}
	return v.Len(), errors.Join(err, v.Close())
}

// inPlace raises the floors of a folder that is whole, and may be an older one.
func (r restorer) inPlace(ctx context.Context) error {
	return r.inFolder(ctx, func(d datadir.Dir, v *vault.Vault, network *eth2.Network, last eth2.Epoch) error {
		if err := r.raise(ctx, d.Journal(), v, network, last); err != nil {
			return fmt.Errorf("restore %s: %w", r.dataDir, err)
		}
		fmt.Fprintf(r.stdout, "Raised the floors of %s, with %s.\n", r.dataDir, count(v.Len()))
		return nil
	})
}

// withoutJournal starts a new journal for the keys of the vault.
func (r restorer) withoutJournal(ctx context.Context) error {
	return r.inFolder(ctx, func(d datadir.Dir, v *vault.Vault, network *eth2.Network, last eth2.Epoch) error {
		key := v.DeriveKey(journalKeyLabel)
		if err := mustBeLost(d, key); err != nil {
			return err
		}
		kept, err := d.ReplaceJournal(r.now, func(dir string) error {
			if err := journal.Create(dir, key); err != nil {
				return err
			}
			return r.raise(ctx, dir, v, network, last)
		})
		if err != nil {
			return fmt.Errorf("restore %s: %w", r.dataDir, err)
		}
		fmt.Fprintf(r.stdout, "Started a new journal in %s, with %s.\n", r.dataDir, count(v.Len()))
		if kept != "" {
			fmt.Fprintf(r.stdout, "The old one is %s: nothing reads it any more.\n", kept)
		}
		fmt.Fprintln(r.stdout, "What keys that were deleted had signed is forgotten: before you import one of them again, get its history from where it was used since.")
		return nil
	})
}

// mustBeLost refuses a journal of which a new one must not take the place.
func mustBeLost(d datadir.Dir, key [32]byte) error {
	j, err := journal.Open(d.Journal(), key)
	switch {
	case err == nil:
		return errors.Join(fmt.Errorf("the journal of %s opens, so it is not lost: leave out --journal-lost, which keeps what it knows", d.Path()), j.Close())
	case errors.Is(err, journal.ErrDamaged), errors.Is(err, journal.ErrMissing):
		return nil
	}
	return err
}

// inFolder opens a folder for restore, and says in the end what it means.
func (r restorer) inFolder(ctx context.Context, restore func(datadir.Dir, *vault.Vault, *eth2.Network, eth2.Epoch) error) error {
	d, err := datadir.Open(r.dataDir)
	if err != nil {
		return err
	}
	if err := d.CheckOwner(); err != nil {
		return err
	}
	last, err := r.lastEpoch(d.Network, time.Time{})
	if err != nil {
		return err
	}
	v, err := r.openVault(ctx, d)
	if err != nil {
		return advise(err, unchanged)
	}
	if err := errors.Join(restore(d.Dir, v, d.Network, last), v.Close()); err != nil {
		return err
	}
	return r.explain(d.Settings, last)
}

func (r restorer) openVault(ctx context.Context, d datadir.Folder) (*vault.Vault, error) {
	inside, err := r.seal.platform.of(ctx, d)
	if err != nil {
		return nil, err
	}
	warn := func(what, detail string) { fmt.Fprintf(r.stderr, "warning: %s: %s\n", what, detail) }
	return r.seal.openVault(ctx, inside, d, r.stdin, r.stderr, warn)
}

// raise makes a journal safe: nothing of an epoch or before is signed by any key of
// which it has a record, nor by one that only the vault has. Keys that were
// disabled stay so.
func (r restorer) raise(ctx context.Context, dir string, v *vault.Vault, network *eth2.Network, last eth2.Epoch) error {
	j, err := journal.Open(dir, v.DeriveKey(journalKeyLabel))
	if err != nil {
		return err
	}
	guard := slashing.New(j, slashing.Config{Network: network})
	floors := slashing.FloorsThrough(network, last)
	unknown, err := withoutRecord(ctx, guard, v.List())
	if err == nil {
		err = r.importHistory(ctx, guard)
	}
	if err == nil {
		err = errors.Join(guard.EnrollAt(ctx, unknown, floors), guard.RaiseAll(ctx, floors))
	}
	if err == nil {
		err = j.Settle(ctx)
	}
	return errors.Join(err, j.Close())
}

// withoutRecord returns the keys that a journal has no record of: it is older than
// the vault, or new.
func withoutRecord(ctx context.Context, guard *slashing.Guard, keys []bls.PublicKey) ([]bls.PublicKey, error) {
	var unknown []bls.PublicKey
	for _, pub := range keys {
		_, err := guard.State(ctx, pub)
		if errors.Is(err, slashing.ErrNoRecord) {
			unknown = append(unknown, pub)
		} else if err != nil {
			return nil, err
		}
	}
	return unknown, nil
}

func (r restorer) importHistory(ctx context.Context, guard *slashing.Guard) error {
	if r.history == "" {
		return nil
	}
	file, err := os.Open(r.history)
	if err != nil {
		return fmt.Errorf("read history: %w", err)
	}
	defer file.Close()
	if _, err := guard.Import(ctx, file, nil); err != nil {
		return fmt.Errorf("import %s: %w", r.history, err)
	}
	return nil
}

// lastEpoch returns the last epoch of which the signer may have signed anything,
// or the operator's word if that is later. A clock that is certainly wrong tells
// nothing, as one that stands before the backup was taken.
func (r restorer) lastEpoch(network *eth2.Network, taken time.Time) (eth2.Epoch, error) {
	bound, unbounded, err := parseBound(r.maxFutureEpochs)
	if err != nil {
		return 0, err
	}
	var doubt string
	_, started := network.SlotAt(r.now.Unix())
	switch says := "this machine's clock says " + r.now.UTC().Format(time.RFC3339); {
	case network.GenesisTime == 0:
		doubt = "the network's time of genesis is unknown, so that the clock tells nothing"
	case !started:
		doubt = says + ", which is before the network's genesis"
	case r.now.Before(taken):
		doubt = says + ", but the backup was taken at " + taken.UTC().Format(time.RFC3339)
	case unbounded:
		doubt = "with --max-future-epochs off nothing tells how far ahead was signed"
	}
	explicit := r.floorEpoch.value
	switch {
	case doubt != "" && explicit == nil:
		return 0, fmt.Errorf("%s: correct that, or give an epoch after which nothing was signed: --floor-epoch N", doubt)
	case doubt != "":
		return *explicit, nil
	}
	floors, err := slashing.New(nil, slashing.Config{Network: network, MaxFutureEpochs: bound}).SignedUntil(r.now)
	if err != nil {
		return 0, err
	}
	last := floors.Target
	if explicit != nil {
		last = max(last, *explicit)
	}
	if last-floors.Target > farEpochs {
		return 0, fmt.Errorf("%w: --floor-epoch %d is %d epochs after all that can have been signed, and a floor is never lowered: is it a slot?", cli.ErrUsage, last, last-floors.Target)
	}
	return last, nil
}

// farEpochs is more than a month of any network's.
const farEpochs = 10_000

// explain says what the operator must know before the next start.
func (r restorer) explain(s datadir.Settings, last eth2.Epoch) error {
	network := s.Network
	when := ""
	if network.GenesisTime != 0 && last < math.MaxUint32 {
		first := network.GenesisTime + uint64(network.FirstSlot(last+1))*network.SecondsPerSlot
		when = ", from " + time.Unix(int64(first), 0).UTC().Format(time.RFC3339)
	}
	_, err := fmt.Fprintf(r.stdout, `Nothing is signed of epoch %d or before: duties go on in epoch %d%s.

STOP every other signer that holds these keys, for good, before you start this one.
What another one signs from now on is not known here: two that run get every key slashed.

Next: secure-signer serve --data-dir %s%s
`, last, last+1, when, r.dataDir, r.seal.flags(s.Binding.Platform))
	return err
}

// count is "1 key", "2 keys".
func count(n int) string {
	if n == 1 {
		return "1 key"
	}
	return fmt.Sprintf("%d keys", n)
}
