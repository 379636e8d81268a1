package tpmlink

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// An Endorsement names one TPM, by its endorsement key. It is public. Who keeps it
// where the host cannot change it has pinned the TPM.
type Endorsement struct {
	// Template is how the key is made anew from the TPM's seed: "ecc-p256",
	// "ecc-p384" or "rsa-2048".
	Template string `json:"template"`

	// Name is the TPM's name of the key, a hash of all that is public of it, in
	// hexadecimal.
	Name string `json:"name"`

	// Certificate and Root are the SHA-256, in hexadecimal, of the key's certificate
	// and of the maker's root that it leads to. They are empty if nobody's word was
	// asked for: see Trust.Unverified.
	Certificate string `json:"certificate,omitempty"`
	Root        string `json:"root,omitempty"`
}

// Verified tells whether the maker of the TPM has vouched for it.
func (e Endorsement) Verified() bool { return e.Root != "" }

// String says it in one line.
func (e Endorsement) String() string {
	if !e.Verified() {
		return fmt.Sprintf("TPM %s (%s), UNVERIFIED: it may be anybody's program", e.Name, e.Template)
	}
	return fmt.Sprintf("TPM %s (%s), certified below root %s", e.Name, e.Template, e.Root)
}

// Trust is whose word is taken that a TPM is a genuine one. Its zero value takes
// nobody's.
type Trust struct {
	// Roots are certificates of makers of TPMs: those that signed themselves are
	// roots, the others only links between. See LoadRoots.
	Roots []*x509.Certificate

	// Certificate is that of the endorsement key, in PEM or DER, for a TPM that does
	// not store its own. Some makers keep it on their website.
	Certificate []byte

	// Unverified takes any TPM, certified or not, and asks for no certificate: for
	// tests and for trying out. It must not be set together with Roots.
	Unverified bool
}

// LoadRoots reads every certificate, in PEM or DER, of a folder.
func LoadRoots(dir string) ([]*x509.Certificate, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read the certificates of TPM makers: %w", err)
	}
	var roots []*x509.Certificate
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			continue // what a mount of Kubernetes puts beside the files
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read the certificates of TPM makers: %w", err)
		}
		certs, err := parseCertificates(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w: keep nothing but certificates in PEM or DER in that folder", path, err)
		}
		roots = append(roots, certs...)
	}
	if !slices.ContainsFunc(roots, selfSigned) {
		return nil, fmt.Errorf("no root certificate of a TPM maker is in %s: fetch it from the maker of your TPM, see docs/hardware.md", dir)
	}
	return roots, nil
}

func parseCertificates(b []byte) ([]*x509.Certificate, error) {
	if block, _ := pem.Decode(b); block == nil {
		return x509.ParseCertificates(b)
	}
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			return certs, nil
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certs = append(certs, cert)
	}
}

func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawIssuer, c.RawSubject) && c.CheckSignatureFrom(c) == nil
}

// ErrUntrusted means that nobody trusted vouches for the TPM.
var ErrUntrusted = errors.New("the TPM is not trusted")

// Endorse finds out which TPM this is, and whether it is a genuine one.
func (l *Link) Endorse(ctx context.Context, trust Trust) (Endorsement, error) {
	switch {
	case trust.Unverified && len(trust.Roots) > 0:
		return Endorsement{}, errors.New("roots of TPM makers are given, and that the TPM is not to be verified: leave one out")
	case !trust.Unverified && len(trust.Roots) == 0:
		return Endorsement{}, fmt.Errorf("%w: no roots are: give a folder with the root certificates of your TPM's maker (--tpm-ek-roots DIR)", ErrUntrusted)
	}
	var e Endorsement
	err := l.Do(ctx, func(t transport.TPM) (err error) {
		e, err = endorse(t, trust)
		return err
	})
	return e, err
}

func endorse(t transport.TPM, trust Trust) (Endorsement, error) {
	if trust.Unverified {
		return named(t, templates()[0])
	}
	template, cert, err := certificate(t, trust.Certificate)
	if err != nil {
		return Endorsement{}, err
	}
	root, err := verify(cert, trust.Roots, time.Now())
	if err != nil {
		return Endorsement{}, err
	}
	var made crypto.PublicKey
	e, err := template.make(t, func(_ tpm2.TPMHandle, public *tpm2.TPMTPublic) (err error) {
		made, err = tpm2.Pub(*public)
		return err
	})
	if err != nil {
		return Endorsement{}, err
	}
	if key, ok := cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !key.Equal(made) {
		return Endorsement{}, fmt.Errorf("%w: its endorsement key is not the one of its certificate: the certificate is another TPM's, or somebody sits between", ErrUntrusted)
	}
	e.Certificate, e.Root = fingerprint(cert), fingerprint(root)
	return e, nil
}

func named(t transport.TPM, template template) (Endorsement, error) {
	return template.make(t, func(tpm2.TPMHandle, *tpm2.TPMTPublic) error { return nil })
}

func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// certificate returns that of the endorsement key and the template that the key
// is made by. Nothing of it is true before verify.
func certificate(t transport.TPM, given []byte) (template, *x509.Certificate, error) {
	if len(given) > 0 {
		certs, err := parseCertificates(given)
		if err != nil {
			return template{}, nil, fmt.Errorf("certificate of the endorsement key: %w", err)
		}
		for _, template := range templates() {
			if len(certs) == 1 && template.fits(certs[0]) {
				return template, certs[0], nil
			}
		}
		return template{}, nil, errors.New("certificate of the endorsement key: want one, of a key that is used here: RSA of 2048 bits, ECC P-256 or P-384")
	}
	for _, template := range templates() {
		der, err := readNV(t, template.index)
		if errors.Is(err, tpm2.TPMRCHandle) {
			continue
		}
		if err != nil {
			return template, nil, fmt.Errorf("read the certificate of the endorsement key (NV index %#x): %w", template.index, err)
		}
		cert, err := parsePadded(der)
		if err != nil {
			return template, nil, fmt.Errorf("certificate of the endorsement key (NV index %#x): %w", template.index, err)
		}
		return template, cert, nil
	}
	return template{}, nil, fmt.Errorf("%w: it stores no certificate of its endorsement key: get that from its maker, and give it with --tpm-ek-cert", ErrUntrusted)
}

// parsePadded reads a certificate that may be followed by whatever was in the
// index before.
func parsePadded(der []byte) (*x509.Certificate, error) {
	var cert asn1.RawValue
	if _, err := asn1.Unmarshal(der, &cert); err != nil {
		return nil, err
	}
	return x509.ParseCertificate(cert.FullBytes)
}

// nvChunk is what every TPM lets read at once.
const nvChunk = 512

// readNV reads an index that anybody may read.
func readNV(t transport.TPM, index tpm2.TPMHandle) ([]byte, error) {
	public, err := tpm2.NVReadPublic{NVIndex: index}.Execute(t)
	if err != nil {
		return nil, err
	}
	area, err := public.NVPublic.Contents()
	if err != nil {
		return nil, err
	}
	var data []byte
	for len(data) < int(area.DataSize) {
		chunk, err := tpm2.NVRead{
			AuthHandle: tpm2.AuthHandle{Handle: index, Name: public.NVName, Auth: tpm2.PasswordAuth(nil)},
			NVIndex:    tpm2.NamedHandle{Handle: index, Name: public.NVName},
			Size:       min(nvChunk, area.DataSize-uint16(len(data))),
			Offset:     uint16(len(data)),
		}.Execute(t)
		if err != nil {
			return nil, err
		}
		if len(chunk.Data.Buffer) == 0 {
			return nil, errors.New("the TPM gives nothing of it")
		}
		data = append(data, chunk.Data.Buffer...)
	}
	return data, nil
}

// verify follows the certificate of an endorsement key to a root.
func verify(cert *x509.Certificate, trusted []*x509.Certificate, at time.Time) (*x509.Certificate, error) {
	if err := checkProfile(cert); err != nil {
		return nil, fmt.Errorf("%w: certificate of its endorsement key: %w", ErrUntrusted, err)
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for _, c := range trusted {
		if selfSigned(c) {
			roots.AddCert(c)
		} else {
			between.AddCert(c)
		}
	}
	chains, err := cert.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return nil, fmt.Errorf("%w: certificate of its endorsement key, issued by %q: %w: fetch that issuer's certificate, and the root above it, from the maker of your TPM into the folder of roots", ErrUntrusted, cert.Issuer, err)
	}
	return chains[0][len(chains[0])-1], nil
}

// checkProfile holds a certificate against the profile, as far as makers keep to
// it. It is called before the signature is checked, and must bear any input.
func checkProfile(cert *x509.Certificate) error {
	if cert.IsCA {
		return errors.New("it is a CA's")
	}
	if cert.KeyUsage != 0 && cert.KeyUsage&(x509.KeyUsageKeyEncipherment|x509.KeyUsageKeyAgreement) == 0 {
		return errors.New("its key is not for the encryption of secrets")
	}
	ekCertificate := asn1.ObjectIdentifier{2, 23, 133, 8, 1} // tcg-kp-EKCertificate
	if len(cert.ExtKeyUsage)+len(cert.UnknownExtKeyUsage) > 0 && !slices.ContainsFunc(cert.UnknownExtKeyUsage, ekCertificate.Equal) {
		return errors.New("it is for another use")
	}
	// The name of the model is an alternative name of the subject, and critical where
	// the subject has no other. The standard library knows only those of hosts.
	alternativeName := asn1.ObjectIdentifier{2, 5, 29, 17}
	for _, extension := range cert.Extensions {
		if !extension.Id.Equal(alternativeName) || !slices.ContainsFunc(cert.UnhandledCriticalExtensions, alternativeName.Equal) {
			continue
		}
		if err := onlyDirectoryNames(extension.Value); err != nil {
			return fmt.Errorf("alternative name: %w", err)
		}
		cert.UnhandledCriticalExtensions = slices.DeleteFunc(cert.UnhandledCriticalExtensions, alternativeName.Equal)
	}
	return nil
}

func onlyDirectoryNames(der []byte) error {
	var names []asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &names); err != nil || len(rest) > 0 || len(names) == 0 {
		return errors.New("it is no list of names")
	}
	for _, name := range names {
		const directoryName = 4
		if name.Class != asn1.ClassContextSpecific || name.Tag != directoryName {
			return fmt.Errorf("it has a name of kind %d, and not only the model's", name.Tag)
		}
	}
	return nil
}
