package bls

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// TestKnownDerivations are the test cases 0 to 3 of EIP-2333.
func TestKnownDerivations(t *testing.T) {
	for _, tt := range []struct {
		seed, master string
		index        uint32
		child        string
	}{
		{"c55257c360c07c72029aebc1b53c05ed0362ada38ead3e3e9efa3708e53495531f09a6987599d18264c1e1c92f2cf141630c7a3c4ab7c81b2f001698e7463b04",
			"6083874454709270928345386274498605044986640685124978867557563392430687146096", 0,
			"20397789859736650942317412262472558107875392172444076792671091975210932703118"},
		{"3141592653589793238462643383279502884197169399375105820974944592",
			"29757020647961307431480504535336562678282505419141012933316116377660817309383", 3141592653,
			"25457201688850691947727629385191704516744796114925897962676248250929345014287"},
		{"0099ff991111002299dd7744ee3355bbdd8844115566cc55663355668888cc00",
			"27580842291869792442942448775674722299803720648445448686099262467207037398656", 4294967295,
			"29358610794459428860402234341874281240803786294062035874021252734817515685787"},
		{"d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3",
			"19022158461524446591288038168518313374041767046816487870552872741050760015818", 42,
			"31372231650479070279774297061823572166496564838472787488249775572789064611981"},
	} {
		seed, err := hex.DecodeString(tt.seed)
		if err != nil {
			t.Fatal(err)
		}
		master, err := DeriveMaster(seed)
		if err != nil {
			t.Fatal(err)
		}
		if got := decimal(master); got != tt.master {
			t.Errorf("master of %s: %s, want %s", tt.seed, got, tt.master)
		}
		if got := decimal(master.Child(tt.index)); got != tt.child {
			t.Errorf("child %d of %s: %s, want %s", tt.index, tt.seed, got, tt.child)
		}
	}
}

func decimal(k *SecretKey) string { return new(big.Int).SetBytes(k.Bytes()).String() }

// TestDerivationIsThatOfTheText holds the library against EIP-2333 as it is
// written, in a few lines that share nothing with it.
func TestDerivationIsThatOfTheText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.SliceOfN(rapid.Byte(), 32, 96).Draw(t, "seed")
		index := rapid.Uint32().Draw(t, "index")
		master, err := DeriveMaster(seed)
		if err != nil {
			t.Fatal(err)
		}
		want := hkdfModR(seed)
		if !bytes.Equal(master.Bytes(), want) {
			t.Fatalf("master: %x, want %x", master.Bytes(), want)
		}
		if got, want := master.Child(index).Bytes(), hkdfModR(lamportKey(want, index)); !bytes.Equal(got, want) {
			t.Fatalf("child %d: %x, want %x", index, got, want)
		}
	})
}

// hkdfModR is EIP-2333's hkdf_mod_r without key_info.
func hkdfModR(ikm []byte) []byte {
	order, _ := new(big.Int).SetString("52435875175126190479447740508185965837690552500527637822603658699938581184513", 10)
	salt := []byte("BLS-SIG-KEYGEN-SALT-")
	for {
		sum := sha256.Sum256(salt)
		salt = sum[:]
		okm, err := hkdf.Key(sha256.New, append(bytes.Clone(ikm), 0), salt, "\x00\x30", 48)
		if err != nil {
			panic(err)
		}
		if sk := new(big.Int).Mod(new(big.Int).SetBytes(okm), order); sk.Sign() != 0 {
			return sk.FillBytes(make([]byte, 32))
		}
	}
}

// lamportKey is EIP-2333's parent_SK_to_lamport_PK.
func lamportKey(parent []byte, index uint32) []byte {
	salt := binary.BigEndian.AppendUint32(nil, index)
	flipped := bytes.Clone(parent)
	for i := range flipped {
		flipped[i] = ^flipped[i]
	}
	var hashes []byte
	for _, ikm := range [][]byte{parent, flipped} {
		okm, err := hkdf.Key(sha256.New, ikm, salt, "", 32*255)
		if err != nil {
			panic(err)
		}
		for chunk := range len(okm) / 32 {
			sum := sha256.Sum256(okm[32*chunk : 32*chunk+32])
			hashes = append(hashes, sum[:]...)
		}
	}
	sum := sha256.Sum256(hashes)
	return sum[:]
}

func TestAShortSeedMakesNoKeys(t *testing.T) {
	for _, n := range []int{0, 1, 31} {
		if k, err := DeriveMaster(make([]byte, n)); err == nil {
			t.Errorf("%d bytes: %v", n, k.PublicKey())
		}
	}
}

func TestAWipedKeyHasNoChildren(t *testing.T) {
	master, err := DeriveMaster(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	master.Wipe()
	defer func() {
		if recover() == nil {
			t.Error("it has one")
		}
	}()
	master.Child(0)
}
