package witness

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"testing"
)

func key(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

// sample is a request with a claim, and the witness that it goes to.
func sample() (request, ed25519.PrivateKey) {
	signer := key(1)
	r := request{counter: epochs, claim: claim{n: 0x0102030405060708, tag: [16]byte{15: 9}}}
	copy(r.signer[:], signer.Public().(ed25519.PublicKey))
	r.nonce[31] = 7
	copy(r.claim.signature[:], ed25519.Sign(signer, r.claim.signed(r.counter)))
	return r, key(2)
}

// TestWhatIsSentAndStoredIsForEver: signers and witnesses are of different
// releases, and a record outlives all of them.
func TestWhatIsSentAndStoredIsForEver(t *testing.T) {
	r, witness := sample()
	for name, test := range map[string]struct {
		bytes []byte
		want  string // the begin of its SHA-256
	}{
		"request": {r.encode(), "5e7746606058b2cd"},
		"answer":  {r.answer(witness, r.claim), "78cfcda7e2c1da84"},
		"record":  {encodeRecord(r.claim, true), "b1581285e5e0ca57"},
		"name":    {[]byte(recordKey(stops, r.signer[:])), "9afa480ff30c96d9"},
	} {
		sum := sha256.Sum256(test.bytes)
		if got := hex.EncodeToString(sum[:8]); got != test.want {
			t.Errorf("%s: got %s, want %s, of %d bytes %x", name, got, test.want, len(test.bytes), test.bytes)
		}
	}
}

// TestNoBitOfAnAnswerCanBeChanged, nor the request that it answers.
func TestNoBitOfAnAnswerCanBeChanged(t *testing.T) {
	r, witness := sample()
	public := witness.Public().(ed25519.PublicKey)
	answer := r.answer(witness, r.claim)
	if held, err := r.readAnswer(public, answer); err != nil || held != r.claim {
		t.Fatalf("the answer itself: %+v, %v", held, err)
	}
	for i := range answer {
		forged := bytes.Clone(answer)
		forged[i] ^= 1
		if _, err := r.readAnswer(public, forged); err == nil {
			t.Errorf("byte %d of the answer can be changed", i)
		}
	}
	asked := r.encode()
	for i := 1; i < len(asked); i++ { // the first is the version
		other := r
		b := bytes.Clone(asked)
		b[i] ^= 1
		other.counter, b = counter(b[1]), b[2:]
		b = b[copy(other.signer[:], b):]
		b = b[copy(other.nonce[:], b):]
		other.claim = readClaim(b)
		if _, err := other.readAnswer(public, answer); err == nil {
			t.Errorf("the answer is taken for one to a request whose byte %d is another", i)
		}
	}
	if _, err := r.readAnswer(key(3).Public().(ed25519.PublicKey), answer); err == nil {
		t.Error("it is taken for another witness's")
	}
}

// TestAClaimIsForOneCounter: the number of stops must not become an epoch.
func TestAClaimIsForOneCounter(t *testing.T) {
	r, _ := sample()
	r.counter = stops
	if _, err := readRequest(r.encode()); err == nil {
		t.Error("a claim of the epochs is taken for one of the stops")
	}
}

func FuzzRequest(f *testing.F) {
	r, _ := sample()
	f.Add(r.encode())
	f.Add(request{counter: stops}.encode())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := readRequest(b)
		if err != nil {
			return
		}
		if !bytes.Equal(r.encode(), b) {
			t.Errorf("%x reads as another request, %x", b, r.encode())
		}
		if r.claim != (claim{}) && (r.claim.n == 0 || !ed25519.Verify(r.signer[:], r.claim.signed(r.counter), r.claim.signature[:])) {
			t.Errorf("%x has a claim that its signer has not signed", b)
		}
	})
}

func FuzzRecord(f *testing.F) {
	r, _ := sample()
	f.Add(encodeRecord(r.claim, true))
	f.Add(encodeRecord(claim{}, false))
	f.Fuzz(func(t *testing.T, b []byte) {
		held, settled, err := readRecord(b)
		if err == nil && !bytes.Equal(encodeRecord(held, settled), b) {
			t.Errorf("%x reads as another record", b)
		}
	})
}
