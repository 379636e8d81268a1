package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/beacon/beacontest"
	"github.com/secure-signer/secure-signer/internal/datadir"
	"github.com/secure-signer/secure-signer/management"
)

// A patient is a signer, its folder and its machine, all well.
type patient struct {
	dir    string
	signer *testSigner
	host   host
	disk   syscall.Statfs_t
	synced bool
	flags  doctorFlags
}

func newPatient(t *testing.T) *patient {
	t.Helper()
	p := &patient{dir: filepath.Join(t.TempDir(), "data"), synced: true}
	p.disk = syscall.Statfs_t{Type: 0xef53, Bsize: 4096, Bavail: 1 << 30}
	network, _ := eth2.Builtin("hoodi")
	err := datadir.Create(p.dir, datadir.Settings{Network: network}, func(d datadir.Dir) (err error) {
		if p.signer, err = startSigner(d.Vault()); err != nil {
			return err
		}
		return os.Mkdir(d.Journal(), 0o700)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.signer.server.Close()
		if err := errors.Join(p.signer.keyring.Close(), p.signer.vault.Close()); err != nil {
			t.Error(err)
		}
	})
	p.write(t, datadir.At(p.dir).TokenFile(), "the-token")
	p.host = host{
		proc:   filepath.Join(t.TempDir(), "proc"),
		statfs: func(string) (syscall.Statfs_t, error) { return p.disk, nil },
		synced: func() (bool, bool) { return p.synced, true },
	}
	return p
}

func (p *patient) write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// process puts a signer on the machine.
func (p *patient) process(t *testing.T, pid, folder, limits string) {
	t.Helper()
	p.write(t, filepath.Join(p.host.proc, pid, "cmdline"), "/usr/bin/secure-signer\x00serve\x00--data-dir\x00"+folder+"\x00")
	p.write(t, filepath.Join(p.host.proc, pid, "limits"), limits)
}

// copyTo copies what of the folder makes it one.
func (p *patient) copyTo(t *testing.T, folder string) {
	t.Helper()
	for _, name := range []string{"vault", "config.yaml"} {
		text, err := os.ReadFile(filepath.Join(p.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		p.write(t, filepath.Join(folder, name), string(text))
	}
}

// examine returns what is found that is not well.
func (p *patient) examine(t *testing.T) ([]finding, error) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	c := &tool{url: p.signer.server.URL, dataDir: p.dir, json: true, stdout: &stdout, stderr: &stderr}
	verdict := c.doctor(t.Context(), p.host, p.flags)
	var d diagnosis
	if err := json.Unmarshal(stdout.Bytes(), &d); err != nil {
		t.Fatalf("%v in %s", err, &stdout)
	}
	var bad []finding
	for _, f := range d.Findings {
		if f.Check == "version" && f.Level == levelWarning && strings.Contains(f.Message, "v1.2.3") {
			continue // the signer of these tests has one of its own
		}
		if f.Level != levelOK {
			bad = append(bad, f)
		}
	}
	return bad, verdict
}

func TestNothingIsWrong(t *testing.T) {
	p := newPatient(t)
	p.process(t, "7", p.dir, "Max open files            65536   65536   files\nMax locked memory         unlimited   unlimited   bytes\n")
	p.flags.passphraseFile = filepath.Join(filepath.Dir(p.dir), "passphrase")
	p.write(t, p.flags.passphraseFile, "a passphrase")
	p.flags.backups = filepath.Join(filepath.Dir(p.dir), "backups")
	p.write(t, filepath.Join(p.flags.backups, "one"), "a backup")
	if bad, _ := p.examine(t); len(bad) > 0 {
		t.Errorf("found %+v", bad)
	}
}

func TestEachFindingSaysWhatToDo(t *testing.T) {
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name   string
		harm   func(t *testing.T, p *patient)
		level  level
		check  string
		says   string
		others bool // more may be found
	}{
		{"no folder", func(_ *testing.T, p *patient) { p.dir += "x" }, levelError, "folder", "no data folder", true},
		{"no journal", func(t *testing.T, p *patient) { must(t, os.Remove(datadir.At(p.dir).Journal())) }, levelError, "folder", "journal", false},
		{"a folder that others may read", func(t *testing.T, p *patient) { must(t, os.Chmod(p.dir, 0o750)) }, levelError, "permissions", "others may get at", false},
		{"a token that others may read", func(t *testing.T, p *patient) { must(t, os.Chmod(datadir.At(p.dir).TokenFile(), 0o604)) }, levelError, "permissions", "api-token.txt", false},
		{"files of another user", func(t *testing.T, p *patient) {
			if os.Getuid() != 0 {
				t.Skip("only root can give files away")
			}
			must(t, os.Chown(datadir.At(p.dir).Vault(), 1234, -1))
		}, levelError, "permissions", "but not ", false},
		{"a file from the future", func(t *testing.T, p *patient) {
			later := time.Now().Add(time.Hour)
			must(t, os.Chtimes(datadir.At(p.dir).Journal(), later, later))
		}, levelError, "clock", "in what is now the future", false},
		{"a journal that was put aside", func(t *testing.T, p *patient) { must(t, os.Mkdir(datadir.At(p.dir).Journal()+".lost-2026", 0o700)) }, levelWarning, "copies", "journal.lost-2026", false},
		{"a copy beside it", func(t *testing.T, p *patient) { p.copyTo(t, p.dir+".old") }, levelWarning, "copies", ".old is a copy", false},
		{"a copy that is served", func(t *testing.T, p *patient) {
			elsewhere := filepath.Join(t.TempDir(), "data")
			p.copyTo(t, elsewhere)
			p.process(t, "7", elsewhere, "")
		}, levelError, "copies", "process 7 serves", false},
		{"no backup", func(_ *testing.T, p *patient) { p.flags.backups = p.dir + ".backups" }, levelWarning, "backup", "no such file", false},
		{"a vault that is newer than its backup", func(t *testing.T, p *patient) {
			p.flags.backups = filepath.Join(t.TempDir(), "backup")
			p.write(t, p.flags.backups, "a backup")
			past := time.Now().Add(-time.Hour)
			must(t, os.Chtimes(p.flags.backups, past, past))
		}, levelWarning, "backup", "has changed since", false},
		{"a passphrase that others may read", func(t *testing.T, p *patient) {
			p.flags.passphraseFile = filepath.Join(t.TempDir(), "passphrase")
			p.write(t, p.flags.passphraseFile, "a passphrase")
			must(t, os.Chmod(p.flags.passphraseFile, 0o644))
		}, levelError, "passphrase", "others may read", false},
		{"a passphrase beside the vault", func(t *testing.T, p *patient) {
			p.flags.passphraseFile = filepath.Join(p.dir, "passphrase")
			p.write(t, p.flags.passphraseFile, "a passphrase")
		}, levelWarning, "passphrase", "is in the data folder", false},
		{"little room", func(_ *testing.T, p *patient) { p.disk.Bavail = 1 << 17 }, levelWarning, "disk", "512 MB", false},
		{"no room", func(_ *testing.T, p *patient) { p.disk.Bavail = 1 << 10 }, levelError, "disk", "4 MB", false},
		{"a disk that takes nothing", func(_ *testing.T, p *patient) { p.disk.Flags = 1 }, levelError, "disk", "read-only", false},
		{"a network file system", func(_ *testing.T, p *patient) { p.disk.Type = 0x6969 }, levelWarning, "filesystem", "NFS", false},
		{"a file system in memory", func(_ *testing.T, p *patient) { p.disk.Type = 0x01021994 }, levelError, "filesystem", "tmpfs", false},
		{"a clock that nobody sets", func(_ *testing.T, p *patient) { p.synced = false }, levelWarning, "ntp", "nothing keeps", false},
		{"a store that has failed", func(_ *testing.T, p *patient) { p.signer.down.Store(true) }, levelError, "signer", "cannot record", false},
		{"a key that does not sign", func(t *testing.T, p *patient) {
			holdUnknown(t, p.signer)
		}, levelError, "keys", "1 of 1 do not sign", false},
		{"another network", func(t *testing.T, p *patient) {
			p.signer.network, _ = eth2.Builtin("mainnet")
			must(t, p.signer.restart())
			must(t, p.signer.load())
		}, levelError, "network", "signs for mainnet", false},
		{"another token", func(t *testing.T, p *patient) { p.write(t, datadir.At(p.dir).TokenFile(), "another") }, levelError, "signer", "does not accept the token", false},
		{"few files and little memory", func(t *testing.T, p *patient) {
			p.process(t, "7", p.dir, "Max open files            65536   65536   files\nMax locked memory         65536   65536   bytes\n")
		}, levelWarning, "limits", "64 kB", false},
		{"a beacon node that does not answer", func(_ *testing.T, p *patient) { p.flags.beacon = "http://127.0.0.1:1" }, levelWarning, "beacon", "127.0.0.1:1", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPatient(t)
			tt.harm(t, p)
			bad, verdict := p.examine(t)
			found := false
			for _, f := range bad {
				if f.Fix == "" {
					t.Errorf("%+v: what to do?", f)
				}
				found = found || f.Level == tt.level && f.Check == tt.check && strings.Contains(f.Message, tt.says)
			}
			if !found || len(bad) > 1 && !tt.others {
				t.Errorf("found %+v, want only %s %s: %s", bad, tt.level, tt.check, tt.says)
			}
			if verdict == nil {
				t.Error("it says that all is well")
			}
		})
	}
}

// holdUnknown makes a signer hold a key of which it knows nothing.
func holdUnknown(t *testing.T, s *testSigner) {
	t.Helper()
	sk, err := bls.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.vault.Add(t.Context(), sk, sk.PublicKey()), s.restart(), s.load()); err != nil {
		t.Fatal(err)
	}
}

func TestASignerThatIsDownIsExaminedToo(t *testing.T) {
	p := newPatient(t)
	p.signer.server.Close()
	// The port of a signer that is stopped, taken by process 9.
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(p.signer.server.URL, "http://"))
	var n int
	fmt.Sscan(port, &n)
	p.write(t, filepath.Join(p.host.proc, "net/tcp"), fmt.Sprintf("  sl  local_address\n   0: 0100007F:%04X 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0 0 4242 1\n", n))
	p.write(t, filepath.Join(p.host.proc, "9/comm"), "squatter\n")
	if err := os.MkdirAll(filepath.Join(p.host.proc, "9/fd"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("socket:[4242]", filepath.Join(p.host.proc, "9/fd/3")); err != nil {
		t.Fatal(err)
	}
	bad, verdict := p.examine(t)
	if verdict == nil || len(bad) != 2 || bad[0].Check != "signer" || bad[1].Message != fmt.Sprintf("port %d is taken by process 9 (squatter)", n) {
		t.Errorf("found %+v, %v", bad, verdict)
	}
}

func TestWhatASignerTellsOfItselfIsJudged(t *testing.T) {
	epoch := eth2.Epoch(10)
	now := management.Network{Epoch: &epoch}
	for _, tt := range []struct {
		name   string
		status management.Status
		want   level
		says   string
	}{
		{"no horizon", management.Status{}, levelOK, "goes unnoticed"},
		{"a horizon", management.Status{Horizon: &management.Horizon{Kind: "tpm", Owned: true}}, levelOK, "tpm"},
		{"a horizon that claims nothing more", management.Status{Horizon: &management.Horizon{Owned: true, Error: "no answer"}}, levelWarning, "no answer"},
		{"an epoch that is not owned", management.Status{Horizon: &management.Horizon{Error: "claimed elsewhere"}}, levelError, "claimed elsewhere"},
		{"a planned move", management.Status{Network: now, HighWatermark: &management.HighWatermark{Epoch: 11}}, levelWarning, "from slot 0 or epoch 11 on"},
		{"a move that is over", management.Status{Network: now, HighWatermark: &management.HighWatermark{Epoch: 10}}, levelError, "has passed"},
		{"a part that was not taken", management.Status{Hardening: management.Hardening{Missing: []string{"files: no such call"}}}, levelWarning, "files: no such call"},
	} {
		e := &examination{}
		e.examineHorizon(tt.status)
		e.examineHardening(tt.status.Hardening)
		found := false
		for _, f := range e.findings {
			found = found || f.Level == tt.want && strings.Contains(f.Message, tt.says)
		}
		if !found {
			t.Errorf("%s: %+v, want %s: %s", tt.name, e.findings, tt.want, tt.says)
		}
	}
}

func TestTwoClocksAreCompared(t *testing.T) {
	const genesis = 1742213400
	slot := eth2.Slot((time.Now().Unix() - genesis) / 12)
	for there, want := range map[eth2.Slot]int{slot: 0, slot - 1: 0, slot - 5: 1, slot + 5: 1} {
		e := &examination{}
		e.compareClocks(management.Status{Network: management.Network{GenesisTime: genesis, SecondsPerSlot: 12, Slot: &there}})
		if len(e.findings) != want {
			t.Errorf("slot %d there, %d here: %+v", there, slot, e.findings)
		}
	}
}

func TestACertificateThatEndsSoonIsFound(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	end := server.Certificate().NotAfter
	for left, want := range map[time.Duration]level{30 * 24 * time.Hour: levelOK, 24 * time.Hour: levelWarning, -time.Hour: levelWarning} {
		e := &examination{now: end.Add(-left)}
		e.examineCertificate(t.Context(), &client{base: server.URL, http: server.Client()})
		if len(e.findings) != 1 || e.findings[0].Level != want {
			t.Errorf("%v before its end: %+v, want %s", left, e.findings, want)
		}
	}
}

func TestABeaconNodeIsHeldAgainstTheFolder(t *testing.T) {
	hoodi, _ := eth2.Builtin("hoodi")
	mainnet, _ := eth2.Builtin("mainnet")
	for _, tt := range []struct {
		name string
		node http.Handler
		want level
		says string
	}{
		{"the same chain", beacontest.Node(hoodi, nil), levelOK, "on the same chain"},
		{"another chain", beacontest.Node(mainnet, nil), levelError, "another chain"},
		{"a fork of a later release", beacontest.Node(hoodi, map[string]any{"HEZE_FORK_EPOCH": "99999999"}), levelError, "HEZE"},
		{"no node", http.NotFoundHandler(), levelWarning, "does not know"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(tt.node)
			defer server.Close()
			e := &examination{now: time.Now(), folder: &datadir.Folder{Settings: datadir.Settings{Network: hoodi}}}
			e.examineBeacon(t.Context(), server.URL)
			found := false
			for _, f := range e.findings {
				found = found || f.Level == tt.want && strings.Contains(f.Message, tt.says)
			}
			if !found {
				t.Errorf("found %+v, want %s: %s", e.findings, tt.want, tt.says)
			}
		})
	}
}
