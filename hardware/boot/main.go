// Boot is the first process of a measured image: it prepares what the signer needs,
// starts it as the only other process, and ends the machine with it. There is no
// shell, no login and no other program in the image.
//
//	boot vm       a virtual machine of TDX or SEV-SNP, of which it is PID 1
//	boot enclave  a Nitro enclave, which has neither network nor disk
//
// Everything that it is told lies in the image and is measured with it: the mode,
// and the signer's settings in /etc/secure-signer.yaml. What comes from the host is
// the network's address, a disk or a backup, and the clock. The host is an
// adversary: with those it can keep the signer from serving, and no more. What is
// on the disk is sealed by the signer, and whether it is the latest is for the
// signer's horizon to tell.
//
// Not promised: a clean stop in an enclave, which is terminated from outside. The
// next start is then as after a crash.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// Where things lie in the image.
const (
	signerPath   = "/secure-signer"
	settingsPath = "/etc/secure-signer.yaml"
	dataMount    = "/data"
	dataFolder   = dataMount + "/signer"
)

func main() {
	err := run(os.Args[1:])
	fmt.Fprintf(os.Stderr, "boot: the signer has ended: %v\n", err)
	unix.Sync()
	if os.Getpid() == 1 {
		_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF) // there is nobody left to tell
	}
	os.Exit(1)
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: boot vm|enclave")
	}
	stop := make(chan os.Signal, 1)
	switch args[0] {
	case "vm":
		if err := prepareMachine(stop); err != nil {
			return err
		}
	case "enclave":
		if err := prepareEnclave(); err != nil {
			return err
		}
	default:
		return fmt.Errorf("%q: boot knows vm and enclave", args[0])
	}
	return serve(stop)
}

// serve runs the signer until it ends. What stop sends has it end cleanly.
func serve(stop chan os.Signal) error {
	signer := exec.Command(signerPath, "start", "--data-dir", dataFolder, "--config", settingsPath)
	signer.Stdout, signer.Stderr = os.Stdout, os.Stderr
	signer.Env = []string{} // nothing of the kernel's command line becomes a setting
	if err := signer.Start(); err != nil {
		return err
	}
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	ended := make(chan error, 1)
	go func() { ended <- signer.Wait() }()
	for {
		select {
		case err := <-ended:
			return err
		case <-stop:
			_ = signer.Process.Signal(syscall.SIGTERM) // it may have ended meanwhile
		}
	}
}
