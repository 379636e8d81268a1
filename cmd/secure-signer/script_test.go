package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/secure-signer/secure-signer/internal/cli"
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
			"usage": usage,
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
