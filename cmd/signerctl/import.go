package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/internal/config"
	"github.com/secure-signer/secure-signer/keystore"
)

type importFlags struct {
	passwordFile string
	interchange  string
	attested     attestedFlags
	receipts     string
}

func (c *tool) importCommand() *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:   "import FILE|DIR...",
		Short: "Import EIP-2335 keystores, with their slashing protection data",
		Long: "Import EIP-2335 keystores: files, or folders as the deposit tools, Lighthouse, Lodestar, Nimbus and Teku keep them, or a backup of Prysm's once it is unpacked. " +
			"What a folder is taken for is said before anything is sent. Passwords are found where those clients keep them; files, and folders of the deposit tools and Prysm's, have one for all. " +
			"Stop the validator client that used the keys first, and give the slashing protection data that it exports: " +
			"a key without any signs nothing before the next epoch. An import that was broken off goes on when it is repeated: keys that are in service already are left as they are.\n\n" +
			"With --attest the signer has to prove first that it is what the policy accepts, over the very connection that the keys will take. " +
			"Before that it gets nothing, not even the token. The keystores are opened here, and each key is sealed with its history to a key inside the signer's hardware.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case f.attested.policy != "":
				return c.importAttested(cmd.Context(), f, args)
			case f.receipts != "" || f.attested.collateral != "":
				return fmt.Errorf("%w: --receipts and --collateral-dir belong to --attest", cli.ErrUsage)
			}
			return c.importKeys(cmd.Context(), f, args)
		},
	}
	cmd.Flags().StringVar(&f.passwordFile, "password-file", "", "`file` with the password of the keystores that have none of their own beside them; asked for on a terminal if left out")
	cmd.Flags().StringVar(&f.interchange, "slashing-protection", "", "`file` with the keys' EIP-3076 slashing protection data")
	f.attested.define(cmd)
	cmd.Flags().StringVar(&f.receipts, "receipts", "", "with --attest: new `file` for the evidence and the signer's receipts")
	return cmd
}

// An imported is a keystore and what became of it.
type imported struct {
	File    string         `json:"file,omitzero"`
	Path    string         `json:"path,omitzero"` // instead, of a key that was derived from a mnemonic
	Pubkey  *bls.PublicKey `json:"pubkey,omitzero"`
	Status  string         `json:"status"` // imported, duplicate, error, unknown or pending
	Message string         `json:"message,omitzero"`

	text     string
	password string
	source   source
}

// The statuses. Those that the signer gives are the keymanager API's.
const (
	statusImported  = "imported"
	statusDuplicate = "duplicate" // in service already
	statusError     = "error"
	statusUnknown   = "unknown" // the signer was asked, and did not answer
	statusPending   = "pending" // the signer was not asked, or refused the whole request
)

func (c *tool) importKeys(ctx context.Context, f importFlags, args []string) error {
	signer, err := c.client()
	if err != nil {
		return err
	}
	keys, history, err := c.readKeys(ctx, f, args)
	if err != nil {
		return err
	}
	if err := c.goOn(ctx, signer, keys, history); err != nil {
		return fmt.Errorf("nothing was imported: %w", err)
	}
	if err := c.readPasswords(ctx, f, keys); err != nil {
		return err
	}
	sendErr := c.send(ctx, signer, keys, history)
	printErr := c.printImported(keys, history)
	return errors.Join(printErr, sendErr, failures(keys))
}

// readKeys reads the files that an import is about.
func (c *tool) readKeys(ctx context.Context, f importFlags, args []string) ([]*imported, *interchange, error) {
	sources, err := c.sources(f, args)
	if err != nil {
		return nil, nil, fmt.Errorf("nothing was imported: %w", err)
	}
	history, err := readInterchange(ctx, f.interchange)
	if err != nil {
		return nil, nil, err
	}
	keys := make([]*imported, len(sources))
	for i, s := range sources {
		keys[i] = readKeystore(s.file)
		keys[i].source = s
	}
	return keys, history, nil
}

// goOn finds the keys that are in service already, from an import that was broken
// off, and says how many are left. They are not sent again, unless there is a
// history: it may be newer than theirs.
func (c *tool) goOn(ctx context.Context, signer *client, keys []*imported, history *interchange) error {
	var list struct {
		Data []struct {
			Pubkey bls.PublicKey `json:"validating_pubkey"`
		} `json:"data"`
	}
	if err := signer.call(ctx, answerTime, "GET", "/eth/v1/keystores", nil, &list); err != nil {
		return err
	}
	held := make(map[bls.PublicKey]bool, len(list.Data))
	for _, k := range list.Data {
		held[k.Pubkey] = true
	}
	found := 0
	for _, k := range keys {
		if k.Status != statusPending || k.Pubkey == nil || !held[*k.Pubkey] {
			continue
		}
		found++
		if !history.names(k) {
			k.Status, k.Message = statusDuplicate, "in service already"
		}
	}
	if found > 0 {
		fmt.Fprintf(c.stderr, "%d of %d keystores are in service already: going on with the other %d.\n", found, len(keys), len(keys)-found)
	}
	return nil
}

// sources lists the files that args name, and those in the folders, and says what the
// folders are taken for.
func (c *tool) sources(f importFlags, args []string) ([]source, error) {
	var sources []source
	for _, arg := range args {
		info, err := os.Stat(arg)
		switch {
		case err != nil:
			return nil, err
		case !info.IsDir():
			sources = append(sources, source{file: arg})
			continue
		}
		l, err := layoutOf(filepath.Clean(arg))
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(c.stderr, "%s: %v.\n", arg, &l)
		if history, found := historyIn(filepath.Clean(arg)); found && f.interchange == "" {
			c.warn(fmt.Sprintf("%s is what these keys have signed: stop the client, export it as EIP-3076 with the client's own command, and give it with --slashing-protection", history))
		}
		sources = append(sources, l.sources...)
	}
	return sources, nil
}

// readKeystore reads a file that the signer can be asked to import, or says why
// it is not one.
func readKeystore(file string) *imported {
	k := &imported{File: file, Status: statusPending}
	text, err := readFile(file, keystore.MaxSize)
	var ks *keystore.Keystore
	if err == nil {
		ks, err = keystore.Parse(text)
	}
	if err != nil {
		k.Status, k.Message = statusError, err.Error()
		return k
	}
	k.text = string(text)
	if pub, named := ks.PublicKey(); named {
		k.Pubkey = &pub
	}
	return k
}

func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("it is larger than %d bytes", limit)
	}
	return text, err
}

// readPasswords reads the passwords of the keys that are to be sent: each its own, if
// its folder has them, else the one that all others have.
func (c *tool) readPasswords(ctx context.Context, f importFlags, keys []*imported) error {
	var shared []*imported
	warned := false
	for _, k := range keys {
		switch {
		case k.Status != statusPending:
		case k.source.secret != "":
			password, warning, err := config.Passphrase(ctx, k.source.secret, "", c.stdin, c.stderr)
			if err != nil {
				k.Status, k.Message = statusError, fmt.Sprintf("its password: %v", err)
				continue
			}
			k.password = string(password)
			clear(password)
			if !warned { // the others will be no better
				c.warn(warning)
				warned = warning != ""
			}
		case k.source.lacks != "" && f.passwordFile == "":
			k.Status, k.Message = statusError, fmt.Sprintf("its password is not in %s: put it there, or give it with --password-file", k.source.lacks)
		default:
			shared = append(shared, k)
		}
	}
	if len(shared) == 0 {
		return nil
	}
	password, err := c.password(ctx, f.passwordFile)
	for _, k := range shared {
		k.password = password
	}
	return err
}

// password reads the password of the keystores, from file or from the terminal.
func (c *tool) password(ctx context.Context, file string) (string, error) {
	if file == "" && c.onTerminal() {
		fmt.Fprintln(c.stderr, "What is asked for is the keystores' password, not the passphrase of the signer.")
	}
	password, warning, err := config.Passphrase(ctx, file, "signerctl-keystore-password", c.stdin, c.stderr)
	if errors.Is(err, config.ErrNoTerminal) {
		return "", fmt.Errorf("%w: give the keystores' password with --password-file: there is no terminal to ask on", cli.ErrUsage)
	}
	if err != nil {
		return "", fmt.Errorf("keystore password: %w", err)
	}
	c.warn(warning)
	defer clear(password)
	return string(password), nil
}

// What the keymanager API asks and answers.
// Source: ethereum/keymanager-APIs apis/local_keystores.yaml.
type (
	importRequest struct {
		Keystores          []string `json:"keystores"`
		Passwords          []string `json:"passwords"`
		SlashingProtection string   `json:"slashing_protection,omitzero"`
	}
	importAnswer struct {
		Data []struct {
			Status  string `json:"status"`
			Message string `json:"message"`
		} `json:"data"`
	}
)

// A portion is imported by one request: large enough to keep the signer's
// processors busy, small enough to see it move.
const portion = 8

// keystoreTime is what the slowest keystore may take, alone on the signer's
// slowest machine.
const keystoreTime = 30 * time.Second

// send has the signer import the keys portion by portion. It stops at the first
// request that is not answered, or that the signer refuses as a whole, and where
// the whole first portion fails: the next would fare no better.
func (c *tool) send(ctx context.Context, signer *client, keys []*imported, history *interchange) error {
	var ready []*imported
	for _, k := range keys {
		if k.Status == statusPending {
			ready = append(ready, k)
		}
	}
	progress := c.progress("imported")
	defer progress.end()
	for done := 0; done < len(ready); {
		batch := ready[done:min(done+portion, len(ready))]
		for _, k := range batch {
			k.Status = statusUnknown
		}
		if err := sendBatch(ctx, signer, batch, history); err != nil {
			if refused := new(answerError); errors.As(err, &refused) && refused.status < http.StatusInternalServerError {
				for _, k := range batch {
					k.Status = statusPending // nothing has changed
				}
			}
			return err
		}
		done += len(batch)
		progress.report(done, len(ready))
		if t := tallyOf(batch); done == len(batch) && done < len(ready) && t.Failed == len(batch) {
			return fmt.Errorf("the first %d keystores have all failed, so nothing more was sent: is the password right?", done)
		}
	}
	return nil
}

func sendBatch(ctx context.Context, signer *client, batch []*imported, history *interchange) error {
	var req importRequest
	for _, k := range batch {
		req.Keystores = append(req.Keystores, k.text)
		req.Passwords = append(req.Passwords, k.password)
	}
	text, err := history.of(batch)
	if err != nil {
		return err
	}
	req.SlashingProtection = text
	var answer importAnswer
	patience := answerTime + time.Duration(len(batch))*keystoreTime
	if err := signer.call(ctx, patience, "POST", "/eth/v1/keystores", req, &answer); err != nil {
		return err
	}
	if len(answer.Data) != len(batch) {
		return fmt.Errorf("the signer answers for %d of %d keystores: list its keys before you go on", len(answer.Data), len(batch))
	}
	for i, k := range batch {
		k.Status, k.Message = answer.Data[i].Status, answer.Data[i].Message
	}
	return nil
}

// A tally counts keystores by their status.
type tally struct {
	Imported  int `json:"imported"`
	Duplicate int `json:"duplicate"`
	Failed    int `json:"failed"`
	Unknown   int `json:"unknown"`
	Pending   int `json:"pending"`
}

func tallyOf(keys []*imported) tally {
	var t tally
	for _, k := range keys {
		switch k.Status {
		case statusImported:
			t.Imported++
		case statusDuplicate:
			t.Duplicate++
		case statusUnknown:
			t.Unknown++
		case statusPending:
			t.Pending++
		default:
			t.Failed++
		}
	}
	return t
}

func (t tally) String() string {
	return fmt.Sprintf("%d imported, %d in service already, %d failed, %d not known, %d not sent", t.Imported, t.Duplicate, t.Failed, t.Unknown, t.Pending)
}

// failures says what to do if not every key was imported.
func failures(keys []*imported) error {
	t := tallyOf(keys)
	var errs []error
	if t.Failed > 0 {
		errs = append(errs, fmt.Errorf("%d of %d keystores failed: mend what is said above, and repeat the import", t.Failed, len(keys)))
	}
	if t.Unknown+t.Pending > 0 {
		errs = append(errs, fmt.Errorf("%d of %d keystores are left: repeat the import, it goes on with what is missing", t.Unknown+t.Pending, len(keys)))
	}
	return errors.Join(errs...)
}

func (c *tool) printImported(keys []*imported, history *interchange) error {
	if c.json {
		return c.printJSON(struct {
			Keys    []*imported `json:"keys"`
			Summary tally       `json:"summary"`
		}{keys, tallyOf(keys)})
	}
	var rows []table.Row
	unnamed, from := 0, "file"
	for _, k := range keys {
		pub := ""
		if k.Pubkey != nil {
			pub = k.Pubkey.String()
		}
		if k.Path != "" {
			from = "path"
		}
		rows = append(rows, table.Row{k.File + k.Path, pub, k.Status, k.Message})
		if k.Status == statusImported && !history.names(k) {
			unnamed++
		}
	}
	if unnamed > 0 {
		fmt.Fprintf(c.stderr, "%s came without slashing protection data: unless the signer runs with --new-key-floor none, they sign nothing before the next epoch.\n", count(unnamed))
	}
	err := c.printTable(table.Row{from, "key", "status", "message"}, rows)
	fmt.Fprintf(c.stderr, "%v.\n", tallyOf(keys))
	return err
}
