// Package race lets hundreds of connections ask the real daemon, built with the
// race detector, for messages that conflict and messages that are identical, of
// very few keys.
//
// What the clients saw must be the doing of a signer that decides one request
// after another (package linear searches for that order), nothing that was
// signed may conflict (package judge), and the race detector must have nothing
// to say, also about everything else that a daemon is asked meanwhile.
package race
