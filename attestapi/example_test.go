package attestapi_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/attest/dcap"
	"github.com/secure-signer/secure-signer/attestapi"
	"github.com/secure-signer/secure-signer/bls"
)

// How a program gives a key to a signer that it has never seen: evidence first, over
// the connection that the key will take, and nothing before the policy has accepted.
func give(client *http.Client, verifier attest.Verifier, policy attest.Policy, nonce attest.Nonce, key *bls.SecretKey) error {
	body, err := json.Marshal(attestapi.AttestRequest{Nonce: nonce})
	if err != nil {
		return err
	}
	resp, err := client.Post("https://signer.example.org:9000"+attestapi.RouteAttest, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var a attestapi.Attested
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		return err
	}

	exporter, err := attestapi.Exporter(resp.TLS, nonce) // of our own end
	if err != nil {
		return err
	}
	result, err := verifier.Verify(a.Evidence, time.Now())
	if err != nil {
		return err
	}
	if err := policy.JudgeClaims(result, a.Evidence.Claims, nonce, exporter, attestapi.StatesReceiptKey); err != nil {
		return err
	}

	document, err := attestapi.ReadDocument(a.Evidence.Claims.Config)
	if err != nil {
		return err
	}
	to := attestapi.Address{
		GenesisValidatorsRoot: document.Settings.GenesisValidatorsRoot,
		Evidence:              sha256.Sum256(a.Evidence.Value),
		ImportNonce:           a.ImportNonce,
		Pubkey:                key.PublicKey(),
	}
	sealed, err := attestapi.Seal(a.Evidence.Claims.HPKEKey, to, attestapi.Bundle{Secret: key, History: attestapi.History{None: true}})
	if err != nil {
		return err
	}
	fmt.Println("POST", attestapi.RouteImport, attestapi.ImportRequest{ImportNonce: a.ImportNonce, Pubkey: key.PublicKey(), Sealed: sealed})
	return nil
}

func Example() {
	policy, err := attest.ParsePolicy([]byte(`{"settings": {"network": "mainnet"}}`)) // and all the rest
	if err != nil {
		panic(err)
	}
	var nonce attest.Nonce
	rand.Read(nonce[:])
	key, err := bls.GenerateKey()
	if err != nil {
		panic(err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13}}}
	if err := give(client, dcap.Verifier{}, policy, nonce, key); err != nil {
		fmt.Println("nothing was given:", err)
	}
}
