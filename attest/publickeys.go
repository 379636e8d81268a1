package attest

// PublicSigner says whose it is if the private half of a signing key is public.
// Whoever likes can sign a program with such a key: as a signer it means nothing,
// and what hardware seals to it anybody can open who has the machine.
//
// The signer is as in Result.Signer: for SGX the SHA-256 of the modulus.
func PublicSigner(signer Hex) (owner string, public bool) {
	switch signer.String() {
	case "83d719e77deaca1470f6baf62a4d774303c899db69020f9c70ee1dfc08c7ce9e":
		return "the sample key of Intel's SDK, which Occlum signs with unless told otherwise", true
	case "ca0583a715534a8c981b914589a7f0dc5d60959d9ae79fb5353299a4231673d5":
		return "the key that Taiko's raiko had in its repository", true
	}
	return "", false
}
