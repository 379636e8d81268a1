package main

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/internal/datadir"
	"github.com/secure-signer/secure-signer/internal/tlsfiles"
	"github.com/secure-signer/secure-signer/tee/dev"
)

// TestWhatADaemonReachesWhileItServes looks at what is added to the data folder.
func TestWhatADaemonReachesWhileItServes(t *testing.T) {
	for _, name := range []string{"HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"} {
		t.Setenv(name, "")
	}
	key := "#" + "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
	dir := t.TempDir()
	socket := filepath.Join(dir, "tpm.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.MkdirAll(filepath.Join(dir, "archive"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "archive", "cert1.pem"), "")
	if err := os.Symlink(filepath.Join("archive", "cert1.pem"), filepath.Join(dir, "cert.pem")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("archive", filepath.Join(dir, "collateral")); err != nil {
		t.Fatal(err)
	}
	witnesses := func(lines ...string) datadir.Keeper {
		text, err := json.Marshal(witnessIdentity{Witnesses: lines})
		if err != nil {
			t.Fatal(err)
		}
		return datadir.Keeper{Kind: horizonWitness, Identity: text}
	}
	type reach struct {
		Read, Write, Devices []string
		Connect              []uint16
		Sockets              bool
	}
	for _, tt := range []struct {
		name     string
		flags    serveFlags
		platform string
		horizon  datadir.Keeper
		want     reach
	}{
		{name: "a plain host"},
		{
			name:  "the folder of a certificate, and that to which it is a link",
			flags: serveFlags{access: accessFlags{tls: tlsfiles.Config{CertFile: filepath.Join(dir, "cert.pem")}}},
			want:  reach{Read: []string{dir, filepath.Join(dir, "archive")}},
		},
		{
			name:     "the device of a TPM",
			flags:    serveFlags{horizon: claimFlags{tpm: tpmFlags{path: "/dev/tpmrm0"}}},
			platform: "tpm",
			want:     reach{Devices: []string{"/dev/tpmrm0"}},
		},
		{
			name:    "a TPM behind a socket, whose link may break",
			flags:   serveFlags{horizon: claimFlags{tpm: tpmFlags{path: socket}}},
			horizon: datadir.Keeper{Kind: horizonTPM},
			want:    reach{Devices: []string{socket}, Sockets: true},
		},
		{
			name:    "a TPM by TCP",
			flags:   serveFlags{horizon: claimFlags{tpm: tpmFlags{path: "tpm.example:2321"}}},
			horizon: datadir.Keeper{Kind: horizonTPM},
			want:    reach{Connect: []uint16{2321}, Sockets: true},
		},
		{
			name:    "witnesses, by the ports of their addresses, and who knows their names",
			horizon: witnesses("https://a.example:9200"+key, "https://b.example"+key, "http://c.example"+key),
			want: reach{
				Read:    []string{"/etc", "/lib", "/lib64", "/run/systemd/resolve", "/usr/lib", "/usr/local/share/ca-certificates", "/usr/share/ca-certificates"},
				Connect: []uint16{53, 80, 443, 9200}, Sockets: true,
			},
		},
		{
			name:     "Gramine's files, to be written to",
			flags:    serveFlags{seal: sealFlags{platform: platformFlags{gramineDir: "/attestation", collateral: "/collateral"}}},
			platform: "gramine",
			want:     reach{Read: []string{"/collateral"}, Write: []string{"/attestation"}},
		},
		{
			name:     "collateral behind a link, which is turned to another folder beside the first",
			flags:    serveFlags{seal: sealFlags{platform: platformFlags{nsmDevice: "/dev/nsm", collateral: filepath.Join(dir, "collateral")}}},
			platform: "nitro",
			want:     reach{Read: []string{dir, filepath.Join(dir, "collateral")}, Devices: []string{"/dev/nsm"}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := &daemon{platform: platform{name: platformNone}}
			d.dir.Binding.Horizon = tt.horizon
			if tt.platform != "" {
				d.platform = platform{Platform: &dev.Platform{}, name: tt.platform}
			}
			n, err := tt.flags.needs(d)
			if err != nil {
				t.Fatal(err)
			}
			got := reach{
				Read: beyond(n.Read, "/proc", "/sys/fs/cgroup"), Write: beyond(n.Write, d.dir.Path()), Devices: beyond(n.Devices),
				Connect: n.Connect, Sockets: n.sockets,
			}
			slices.Sort(got.Connect)
			got.Connect = slices.Compact(got.Connect)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// beyond returns what is in paths besides those that are always there, sorted.
func beyond(paths []string, always ...string) (rest []string) {
	for _, p := range paths {
		if p != "" && !slices.Contains(always, p) {
			rest = append(rest, p)
		}
	}
	slices.Sort(rest)
	return slices.Compact(rest)
}
