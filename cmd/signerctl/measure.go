package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/measure"
)

func (c *tool) measureCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "measure",
		Short: "Tell from a file what hardware will say of it",
		Long: "Tell from a file what hardware will say of it once it runs, and print what a policy has to name so that it is accepted. " +
			"Fails if something speaks against giving it a key.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return fmt.Errorf("%w: measure needs binary, sigstruct, eif or snp", cli.ErrUsage)
		},
	}
	sub := func(use, short string, read func(*os.File) (measure.Report, error)) {
		cmd.AddCommand(&cobra.Command{
			Use: use, Short: short, Args: cobra.ExactArgs(1),
			RunE: func(_ *cobra.Command, args []string) error { return c.measure(args[0], read) },
		})
	}
	sub("binary FILE", "A program: its hash, and whether it was built as a release is", func(f *os.File) (measure.Report, error) {
		info, err := f.Stat()
		if err != nil {
			return measure.Report{}, err
		}
		return measure.Binary(f, info.Size())
	})
	sub("sigstruct FILE", "The signature of an SGX enclave (.sig): MRENCLAVE, MRSIGNER, and what it leaves open", func(f *os.File) (measure.Report, error) {
		b, err := io.ReadAll(io.LimitReader(f, measure.SigstructSize+1))
		if err != nil {
			return measure.Report{}, err
		}
		return measure.Sigstruct(b)
	})
	sub("eif FILE", "The image of a Nitro enclave: PCR0, PCR1, PCR2, and PCR8 if it is signed", func(f *os.File) (measure.Report, error) {
		return measure.EIF(f)
	})
	cmd.AddCommand(c.measureSNPCommand())
	return cmd
}

// maxImage is more than the largest kernel or firmware, in bytes.
const maxImage = 1 << 30

func (c *tool) measureSNPCommand() *cobra.Command {
	guest := measure.SNPGuest{}
	var firmware string
	cmd := &cobra.Command{
		Use:   "snp IMAGE --firmware FILE",
		Short: "The image of an SEV-SNP guest: its launch digest under QEMU, with kernel-hashes=on",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if firmware == "" {
				return fmt.Errorf("%w: snp needs --firmware", cli.ErrUsage)
			}
			var err error
			if guest.Firmware, err = os.ReadFile(firmware); err != nil {
				return fmt.Errorf("measure: %w", err)
			}
			return c.measure(args[0], func(f *os.File) (measure.Report, error) {
				if guest.Kernel, err = io.ReadAll(io.LimitReader(f, maxImage)); err != nil {
					return measure.Report{}, err
				}
				return guest.Report()
			})
		},
	}
	cmd.Flags().StringVar(&firmware, "firmware", "", "`file` with the firmware, edk2's OvmfPkg/AmdSev")
	cmd.Flags().IntVar(&guest.Processors, "processors", 1, "how `many` the guest has (QEMU's -smp)")
	cmd.Flags().StringVar(&guest.Model, "model", "EPYC-v4", "their `model` (QEMU's -cpu)")
	return cmd
}

// measure prints what a file says of itself, checked.
func (c *tool) measure(path string, read func(*os.File) (measure.Report, error)) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("measure: %w", err)
	}
	defer file.Close()
	report, err := read(file)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if c.json {
		err = c.printJSON(report)
	} else {
		err = c.printReport(report)
	}
	if err == nil && len(report.Problems) > 0 {
		err = errors.New("give it no key")
	}
	return err
}

func (c *tool) printReport(report measure.Report) error {
	var rows []table.Row
	for _, name := range slices.Sorted(maps.Keys(report.Facts)) {
		rows = append(rows, table.Row{name, printable(report.Facts[name])})
	}
	for _, problem := range report.Problems {
		rows = append(rows, table.Row{"PROBLEM", problem})
	}
	if err := c.printTable(nil, rows); err != nil || report.Accept == nil {
		return err
	}
	text, err := json.Marshal([]attest.Identity{*report.Accept}, jsontext.WithIndent("  "), json.Deterministic(true))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.stdout, "\nIn the policy, as docs/hardware.md explains it:\n\n\"accept\": %s\n", text)
	return err
}

// printable keeps what a file says of itself from writing to the terminal.
func printable(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
}
