package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/internal/tlsfiles/tlstest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"secure-signer": func() {
			os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
		},
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"identity": identity,
			"usage":    usage,
		},
	})
}

// usage runs secure-signer and expects exit code 2.
func usage(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec("secure-signer", args...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != cli.Usage {
		ts.Fatalf("secure-signer %v: %v, want exit code %d", args, err, cli.Usage)
	}
}

// identity makes a certificate for 127.0.0.1 and its private key, in two files.
func identity(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: identity CERT KEY")
	}
	own := tlstest.Issue(nil, args[0])
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), own.CertPEM(), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), own.KeyPEM(), 0o600))
}
