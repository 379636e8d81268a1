// Package horizon lets three copies of one signer, real processes on copies of one
// data folder, run beside each other on a chain with epochs of eight seconds, while
// clients ask each of them for different blocks and votes. They share a TPM in
// software, or three witnesses, which are real processes too. Whatever runs is
// killed, started again, stopped cleanly, or put back to an older folder.
//
// Nothing that was signed may conflict (package judge), and no epoch may be owned by
// two copies of which one is not the other's only heir. The same copies without a
// horizon must be found out: this shows that the harness sees what it looks for.
package horizon
