package tpmlink

import (
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// advise says what to do about an error of the TPM that has one usual cause.
func advise(err error) error {
	for code, advice := range map[tpm2.TPMRC]string{
		tpm2.TPMRCInitialize:    "it was not started: restart the machine, or the TPM if it is one in software",
		tpm2.TPMRCFailure:       "it has failed its self-test: switch the machine off and on",
		tpm2.TPMRCLockout:       "too many wrong passwords were tried: wait, or run tpm2_dictionarylockout --clear-lockout",
		tpm2.TPMRCNVSpace:       "it has no room for another index: list them with tpm2_nvreadpublic, free one with tpm2_nvundefine",
		tpm2.TPMRCSessionMemory: "other programs, or ones that were killed, have all of its sessions: take /dev/tpmrm0, which is shared, or restart a TPM in software",
		tpm2.TPMRCObjectMemory:  "other programs, or ones that were killed, fill it with keys: take /dev/tpmrm0, which is shared, or restart a TPM in software",
		tpm2.TPMRCNVUnavailable: "its memory cannot be written now: try again later",
	} {
		if errors.Is(err, code) {
			return fmt.Errorf("%w: %s", err, advice)
		}
	}
	return err
}
