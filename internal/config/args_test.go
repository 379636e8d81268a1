package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// program is a command with a boolean at its root and in a sub-command, and one
// name that is a boolean in one place only.
func program(run func(cmd *cobra.Command, args []string)) *cobra.Command {
	root := &cobra.Command{Use: "program"}
	root.PersistentFlags().Bool("metrics-enabled", false, "")
	eth2 := &cobra.Command{Use: "eth2", Run: run}
	eth2.Flags().Bool("protect", true, "")
	eth2.Flags().String("network", "", "")
	eth2.Flags().Bool("mixed", false, "")
	other := &cobra.Command{Use: "other", Run: run}
	other.Flags().String("mixed", "", "")
	root.AddCommand(eth2, other)
	return root
}

func TestJoinBooleans(t *testing.T) {
	for _, test := range []struct{ name, args, want string }{
		{"a boolean and its value", "eth2 --protect false", "eth2 --protect=false"},
		{"before the sub-command", "--metrics-enabled true eth2", "--metrics-enabled=true eth2"},
		{"several", "--metrics-enabled true eth2 --protect false --network true", "--metrics-enabled=true eth2 --protect=false --network true"},
		{"joined already", "eth2 --protect=false true", "eth2 --protect=false true"},
		{"alone", "eth2 --protect --network hoodi", "eth2 --protect --network hoodi"},
		{"the last word", "eth2 --protect", "eth2 --protect"},
		{"what is no value of a boolean", "--metrics-enabled eth2", "--metrics-enabled eth2"},
		{"a flag of another type", "eth2 --network false", "eth2 --network false"},
		{"a flag of two types", "eth2 --mixed true", "eth2 --mixed true"},
		{"an unknown flag", "eth2 --unknown true", "eth2 --unknown true"},
		{"after the end of flags", "eth2 -- --protect false", "eth2 -- --protect false"},
		{"a short flag", "eth2 -p true", "eth2 -p true"},
		{"nothing", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := JoinBooleans(strings.Fields(test.args), Commands(program(nil))...)
			if diff := cmp.Diff(test.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("arguments (-want +got):\n%s", diff)
			}
		})
	}
}

func TestABooleanIsSetToTheWordBehindIt(t *testing.T) {
	ran := false
	root := program(func(cmd *cobra.Command, args []string) {
		ran = true
		protect, err := cmd.Flags().GetBool("protect")
		metrics, err2 := cmd.Flags().GetBool("metrics-enabled")
		if protect || !metrics || err != nil || err2 != nil || len(args) > 0 {
			t.Errorf("protect %v, metrics %v, arguments %v", protect, metrics, args)
		}
	})
	root.SetArgs(JoinBooleans(strings.Fields("eth2 --metrics-enabled true --protect false"), Commands(root)...))
	if err := root.Execute(); err != nil || !ran {
		t.Errorf("ran is %v: %v", ran, err)
	}
}
