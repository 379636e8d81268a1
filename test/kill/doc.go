// Package kill ends the real daemon in the worst moments and lets its disk fail,
// while two clients of every key do all they can to have it sign a conflict.
//
// Its tests keep every signature that any client heard, the halves of answers
// too, and give them all to package judge, which knows nothing of the signer.
// They also ask a restarted daemon again for what it had promised: a message at
// the watermark is signed again, so that no duty is lost that was safe to sign.
//
// A SIGKILL does not lose what the page cache holds: what a power cut leaves is
// package crash's to rebuild.
package kill
