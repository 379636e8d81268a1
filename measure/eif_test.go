package measure

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"hash/crc32"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// A part is one section of an image that a test builds.
type part struct {
	kind uint16
	data string
}

func parts() []part {
	return []part{
		{sectionKernel, "the kernel"},
		{sectionCommandLine, "reboot=k panic=30"},
		{sectionMetadata, `{"ImageName":"secure-signer"}`},
		{sectionRamdisk, "first ramdisk"},
		{sectionRamdisk, "second ramdisk"},
	}
}

// build writes an image as nitro-cli does. Changes are made to the header before
// the checksum.
func build(parts []part, changes ...func(header []byte)) []byte {
	header := make([]byte, eifHeaderSize)
	copy(header, eifMagic)
	binary.BigEndian.PutUint16(header[4:], eifVersion)
	binary.BigEndian.PutUint64(header[8:], 1<<30) // memory
	binary.BigEndian.PutUint64(header[16:], 2)    // processors
	binary.BigEndian.PutUint16(header[26:], uint16(len(parts)))
	var body []byte
	for i, p := range parts {
		if i < eifMaxSections {
			binary.BigEndian.PutUint64(header[eifOffsets+8*i:], uint64(eifHeaderSize+len(body)))
			binary.BigEndian.PutUint64(header[eifSizes+8*i:], uint64(len(p.data)))
		}
		body = binary.BigEndian.AppendUint16(body, p.kind)
		body = binary.BigEndian.AppendUint16(body, 0)
		body = binary.BigEndian.AppendUint64(body, uint64(len(p.data)))
		body = append(body, p.data...)
	}
	for _, change := range changes {
		change(header)
	}
	sum := crc32.ChecksumIEEE(slices.Concat(header[:eifChecksum], body))
	binary.BigEndian.PutUint32(header[eifChecksum:], sum)
	return slices.Concat(header, body)
}

func pcr(text string) string {
	sum := sha512.Sum384([]byte(text))
	return extended(sum[:]).String()
}

func TestEIFOfAnUnsignedImage(t *testing.T) {
	r, err := EIF(bytes.NewReader(build(parts())))
	if err != nil {
		t.Fatal(err)
	}
	if r.Accept == nil || r.Accept.Signer != nil {
		t.Fatalf("got %+v", r)
	}
	const boot = "the kernel" + "reboot=k panic=30" + "first ramdisk"
	for name, want := range map[string]string{"pcr0": pcr(boot + "second ramdisk"), "pcr1": pcr(boot), "pcr2": pcr("second ramdisk")} {
		if got := r.Accept.Measurements[name].String(); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if r.Facts["command line"] != "reboot=k panic=30" || r.Facts["architecture"] != "x86_64" {
		t.Errorf("facts %v", r.Facts)
	}
}

// An image that AWS's own eif_build 0.2.0 made and signed, and what it printed.
func TestEIFAsAWSToolMeasuresIt(t *testing.T) {
	b, err := os.ReadFile("testdata/signed.eif")
	if err != nil {
		t.Fatal(err)
	}
	r, err := EIF(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"pcr0": "f657a19deedda800fcc58e2d339e6272d4b432c32ad4752e715c6e15ba1a66644a3c29b31247df31c683fa6310da21d7",
		"pcr1": "edde7e70eda2a0c834ee1443fec3f62ec43674480935154674756e6f5fc5d659d7305c99fafbcb50609a2de8b4cd937b",
		"pcr2": "ce19d22a3254eb42d44040f172c0a45fac31aa7c61e10702f95a23228e9c285951752cf9a43889687fc1e7335d3ee594",
		"pcr8": "b13d804e43c1edaf0c1c362578c04a8b0ac0cf58325dacc6db471070e9d534c993e7ab3d5704358f99c5713f18727784",
	} {
		if got := r.Facts[name]; got != want {
			t.Errorf("%s is %s, eif_build says %s", name, got, want)
		}
	}
	if got := r.Accept.Signer.String(); got != r.Facts["pcr8"] {
		t.Errorf("signer %s", got)
	}
}

// Of what is measured or signed no byte can be changed unnoticed, even by one who
// puts the checksum right.
func TestSignedImageWithAnyByteChanged(t *testing.T) {
	good, err := os.ReadFile("testdata/signed.eif")
	if err != nil {
		t.Fatal(err)
	}
	want, err := EIF(bytes.NewReader(good))
	if err != nil {
		t.Fatal(err)
	}
	same, step := 0, 1
	if testing.Short() {
		step = 41
	}
	for i := 0; i < len(good); i += step {
		b := bytes.Clone(good)
		b[i] ^= 1
		sum := crc32.ChecksumIEEE(slices.Concat(b[:eifChecksum], b[eifHeaderSize:]))
		binary.BigEndian.PutUint32(b[eifChecksum:], sum)
		r, err := EIF(bytes.NewReader(b))
		if err == nil && r.Facts["pcr8"] == want.Facts["pcr8"] {
			same++
			if r.Facts["pcr0"] != want.Facts["pcr0"] {
				t.Errorf("byte %d changed: another image under the same signature", i)
			}
		}
	}
	// Memory, processors, architecture, checksum, metadata, and the lines of the PEM:
	// none is measured.
	if step == 1 && (same < 100 || same > 700) {
		t.Errorf("%d bytes make no difference", same)
	}
}

// An imageSigner signs images in a test.
type imageSigner struct {
	key         *ecdsa.PrivateKey
	certificate []byte // DER
}

func newImageSigner(t testing.TB, curve elliptic.Curve) imageSigner {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "release"}, NotAfter: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return imageSigner{key, der}
}

// sign makes a signature section over a value of a PCR.
func (s imageSigner) sign(t testing.TB, index int, value []byte) string {
	t.Helper()
	marshal := func(v any) []byte {
		b, err := cbor.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	payload := marshal(map[string]any{"register_index": index, "register_value": numbers(value)})
	digest := sha512.Sum384(marshal([]any{"Signature1", []byte(es384), []byte{}, payload}))
	a, b, err := ecdsa.Sign(rand.Reader, s.key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := make([]byte, 96)
	a.FillBytes(signature[:48])
	b.FillBytes(signature[48:])
	message := marshal([]any{[]byte(es384), map[int]int{}, payload, signature})
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.certificate})
	return string(marshal([]any{map[string]any{"signing_certificate": numbers(text), "signature": numbers(message)}}))
}

// numbers are bytes as the tool writes them.
func numbers(b []byte) []uint16 {
	out := make([]uint16, len(b))
	for i, c := range b {
		out[i] = uint16(c)
	}
	return out
}

func TestEIFOfASignedImage(t *testing.T) {
	unsigned, err := EIF(bytes.NewReader(build(parts())))
	if err != nil {
		t.Fatal(err)
	}
	pcr0 := unsigned.Accept.Measurements["pcr0"]
	signer, short := newImageSigner(t, elliptic.P384()), newImageSigner(t, elliptic.P256())
	with := func(section string) []byte { return build(append(parts(), part{sectionSignature, section})) }

	r, err := EIF(bytes.NewReader(with(signer.sign(t, 0, pcr0))))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := r.Accept.Signer.String(), pcr(string(signer.certificate)); got != want {
		t.Errorf("signer %s, want %s", got, want)
	}
	if !bytes.Equal(r.Accept.Measurements["pcr0"], pcr0) {
		t.Error("the signature changes what is measured")
	}
	for _, tt := range []struct{ name, section, err string }{
		{"a signature of another image", signer.sign(t, 0, make([]byte, 48)), "changed after it was signed"},
		{"a signature of another register", signer.sign(t, 1, pcr0), "PCR1"},
		{"a key on P-256", short.sign(t, 0, pcr0), "P-384"},
		{"somebody else's certificate", imageSigner{signer.key, newImageSigner(t, elliptic.P384()).certificate}.sign(t, 0, pcr0), "does not verify"},
		{"no signature", "\x80", "want one"},
		{"no CBOR", "\xff", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if r, err := EIF(bytes.NewReader(with(tt.section))); err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got %+v, %v", r, err)
			}
		})
	}
}

func TestImagesThatAreRefused(t *testing.T) {
	set := func(offset int, value byte) func([]byte) { return func(h []byte) { h[offset] = value } }
	good := build(parts())
	damaged := bytes.Clone(good)
	damaged[len(damaged)-1] ^= 1
	for _, tt := range []struct {
		name, err string
		b         []byte
	}{
		{"nothing", "not an enclave image", nil},
		{"something else", "not an enclave image", bytes.Repeat([]byte("x"), 1000)},
		{"another version", "version 5", build(parts(), set(5, 5))},
		{"an unknown flag", "reserved", build(parts(), set(7, 2))},
		{"a reserved field", "reserved", build(parts(), set(25, 1))},
		{"more sections than fit", "33 sections", build(parts(), set(27, 33))},
		{"a table that names another place", "the header says", build(parts(), set(eifOffsets+7, 1))},
		{"a table that names another size", "the header says", build(parts(), set(eifSizes+7, 1))},
		{"a table with one section more", "tells of a section", build(parts(), set(eifSizes+8*5+7, 1))},
		{"fewer sections than the file has", "header tells of", build(parts(), set(27, 4))},
		{"the last section not in the table", "behind the last section", build(parts(), set(27, 4), func(h []byte) { clear(h[eifOffsets+32 : eifOffsets+40]); clear(h[eifSizes+32 : eifSizes+40]) })},
		{"a byte behind it", "behind the last section", append(bytes.Clone(good), 0)},
		{"a cut file", "unexpected EOF", good[:len(good)-1]},
		{"a damaged file", "damaged", damaged},
		{"an unknown section", "not known", build(append(parts(), part{9, ""}))},
		{"two kernels", "twice", build(append(parts(), part{sectionKernel, "another"}))},
		{"two command lines", "twice", build(append(parts(), part{sectionCommandLine, "another"}))},
		{"a ramdisk before the kernel", "too early", build([]part{{sectionRamdisk, "r"}, {sectionKernel, "k"}, {sectionCommandLine, "c"}})},
		{"no ramdisk", "no ramdisk", build(parts()[:2])},
		{"no sections", "no ramdisk", build(nil)},
		{"a huge command line", "at most", build([]part{{sectionKernel, "k"}, {sectionCommandLine, strings.Repeat("c", maxSmallSection+1)}})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if r, err := EIF(bytes.NewReader(tt.b)); err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got %+v, %v", r, err)
			}
		})
	}
}

func FuzzEIF(f *testing.F) {
	f.Add(build(parts()))
	signer := newImageSigner(f, elliptic.P384())
	f.Add(build(append(parts(), part{sectionSignature, signer.sign(f, 0, make([]byte, 48))})))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := EIF(bytes.NewReader(b))
		if err == nil && r.Accept == nil {
			t.Errorf("no error and nothing to accept: %+v", r)
		}
	})
}

// The checksum keeps the fuzzer from the sections: here it is put right.
func FuzzEIFSections(f *testing.F) {
	f.Add(string(build(parts())[eifHeaderSize:]))
	f.Fuzz(func(_ *testing.T, body string) {
		m := newImage()
		r := strings.NewReader(body)
		for {
			if _, err := m.section(r); err != nil {
				break
			}
		}
		_, _ = m.report(0)
	})
}
