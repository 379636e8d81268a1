package measure

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

// testFirmware is laid out as edk2's AmdSev build is, in four pages.
func testFirmware(changes ...func(b []byte)) []byte {
	b := make([]byte, 4*pageSize)
	for i := range b {
		b[i] = byte(i * 7)
	}
	metadata := []byte("ASEV")
	sections := []section{
		{0x800000, 0x9000, sectionMemory}, {0x80a000, 0x3000, sectionMemory}, {0x80d000, 0x1000, sectionSecrets},
		{0x80e000, 0x1000, sectionCPUID}, {0x811000, 0xf000, sectionMemory}, {0x810000, 0x1000, sectionHashes},
	}
	metadata = binary.LittleEndian.AppendUint32(metadata, uint32(16+12*len(sections)))
	metadata = binary.LittleEndian.AppendUint32(metadata, 1)
	metadata = binary.LittleEndian.AppendUint32(metadata, uint32(len(sections)))
	for _, s := range sections {
		for _, v := range []uint32{s.address, s.size, s.kind} {
			metadata = binary.LittleEndian.AppendUint32(metadata, v)
		}
	}
	const metadataFromEnd = 0x1000
	copy(b[len(b)-metadataFromEnd:], metadata)
	word := func(id guid, words ...uint32) []byte {
		var data []byte
		for _, w := range words {
			data = binary.LittleEndian.AppendUint32(data, w)
		}
		return slices.Concat(data, binary.LittleEndian.AppendUint16(nil, uint16(len(data)+18)), id.bytes())
	}
	table := slices.Concat(
		word("7255371f-3a3b-4b04-927b-1da6efa8d454", 0x810c00, 0x400),
		word("dc886566-984a-4798-a75e-5585a7bf67cc", metadataFromEnd),
		word("00f771de-1a7e-4fcb-890e-68c77e2fb44e", 0x80b004),
	)
	table = slices.Concat(table, binary.LittleEndian.AppendUint16(nil, uint16(len(table)+18)), guid("96b582de-1fb2-45f7-baea-a366c55a082d").bytes())
	copy(b[len(b)-32-len(table):], table)
	for _, change := range changes {
		change(b)
	}
	return b
}

// What sev-snp-measure 0.0.13, of AMD's users, printed for the same two files.
func TestSNPGuestAsSevSnpMeasureMeasuresIt(t *testing.T) {
	for _, tt := range []struct {
		processors int
		model      string
		want       string
	}{
		{1, "EPYC-v4", "7a4cb2d49bf8bd0fa936a780fbae763a89acd6db78151fb9a1e4421277918eae8288ab86cc08cfda0888f7125b9e6c2d"},
		{4, "EPYC-v4", "21458b49bbaf5618bedf61d916a95e33d09d37d1399e18da510bac9fafb59b1c4822c5754ac0b599f2562b19c045ad7d"},
		{2, "EPYC-Milan", "0e142ebf40ed3eab07e632deaa7ad0ead88cebea448a3875e997061c6e17147e88620e3f772cf2cd8793d64f8ddb25ed"},
		{2, "EPYC-Genoa", "58b1f6f5b4fa333cf1369e4596e095ac7b757765be72c26e018ba0ba6e0d21cad92ad82d2743449249d1b15fee445e1d"},
		{1, "EPYC-Rome", "2bb623307dc5b576bdc68e9bb443e4bd1e0dc25b0b1f47afcc5d5d95803700971a4b14bdc593e224e9b9d3a3b9fcb62f"},
		{1, "EPYC-Turin", "9054a94092d2a2f7488fc9da5087b5400113df10f8669b24bc04a9e85ae1ef20e07e3c0607e4c68b65ba71f1011a86a6"},
	} {
		r, err := SNPGuest{testFirmware(), []byte("a kernel"), tt.processors, tt.model}.Report()
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Accept.Measurements["measurement"].String(); got != tt.want {
			t.Errorf("%d %s: measurement %s, sev-snp-measure says %s", tt.processors, tt.model, got, tt.want)
		}
	}
}

func TestSNPGuestsThatAreRefused(t *testing.T) {
	put := func(offsetFromEnd int, value ...byte) func([]byte) {
		return func(b []byte) { copy(b[len(b)-offsetFromEnd:], value) }
	}
	for _, tt := range []struct {
		name, err string
		guest     SNPGuest
	}{
		{"an unknown processor", "want one of", SNPGuest{testFirmware(), []byte("k"), 1, "Xeon"}},
		{"no processor", "want 1 to", SNPGuest{testFirmware(), []byte("k"), 0, "EPYC"}},
		{"no kernel", "kernel is empty", SNPGuest{testFirmware(), nil, 1, "EPYC"}},
		{"no firmware", "whole pages", SNPGuest{nil, []byte("k"), 1, "EPYC"}},
		{"firmware of no whole pages", "whole pages", SNPGuest{testFirmware()[1:], []byte("k"), 1, "EPYC"}},
		{"firmware without a table", "no table", SNPGuest{make([]byte, pageSize), []byte("k"), 1, "EPYC"}},
		{"a table longer than the firmware", "no table", SNPGuest{testFirmware(put(50, 0xff, 0xff)), []byte("k"), 1, "EPYC"}},
		{"an entry longer than the table", "longer than the table", SNPGuest{testFirmware(put(68, 0xff, 0)), []byte("k"), 1, "EPYC"}},
		{"sections that are elsewhere", "no table of sections", SNPGuest{testFirmware(put(94, 0xff, 0xff, 0xff)), []byte("k"), 1, "EPYC"}},
		{"sections of another version", "none that is known", SNPGuest{testFirmware(put(0x1000-8, 2)), []byte("k"), 1, "EPYC"}},
		{"more sections than fit", "none that is known", SNPGuest{testFirmware(put(0x1000-12, 0xff, 0xff)), []byte("k"), 1, "EPYC"}},
		{"an unknown kind of section", "kind 9", SNPGuest{testFirmware(put(0x1000-24, 9)), []byte("k"), 1, "EPYC"}},
		{"a section of half a page", "none that is known", SNPGuest{testFirmware(put(0x1000-20, 1)), []byte("k"), 1, "EPYC"}},
		{"a section of all memory", "AmdSev", SNPGuest{testFirmware(put(0x1000-20, 0, 0xf0, 0xff, 0xff)), []byte("k"), 1, "EPYC"}},
		{"no place for the kernel's hash", "AmdSev", SNPGuest{testFirmware(put(0x1000-84, 1)), []byte("k"), 1, "EPYC"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if r, err := tt.guest.Report(); err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got %+v, %v", r, err)
			}
		})
	}
}

// Of firmware and kernel every byte counts.
func TestSNPGuestWithAnyPageChanged(t *testing.T) {
	digest := func(firmware, kernel []byte) string {
		r, err := SNPGuest{firmware, kernel, 1, "EPYC-v4"}.Report()
		if err != nil {
			t.Fatal(err)
		}
		return r.Facts["measurement"]
	}
	want := digest(testFirmware(), []byte("a kernel"))
	for i := 0; i < 3*pageSize; i += 512 {
		changed := testFirmware()
		changed[i] ^= 1
		if digest(changed, []byte("a kernel")) == want {
			t.Errorf("byte %d of the firmware does not count", i)
		}
	}
	if digest(testFirmware(), []byte("a kernel.")) == want {
		t.Error("the kernel does not count")
	}
}

func FuzzSNPGuest(f *testing.F) {
	f.Add(testFirmware())
	f.Fuzz(func(t *testing.T, firmware []byte) {
		r, err := SNPGuest{firmware, []byte("k"), 1, "EPYC"}.Report()
		if err == nil && bytes.Equal(r.Accept.Measurements["measurement"], make([]byte, 48)) {
			t.Error("nothing was measured")
		}
	})
}
