package config

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Commands returns the flags of every command of a program.
func Commands(root *cobra.Command) []*pflag.FlagSet {
	sets := []*pflag.FlagSet{root.Flags(), root.PersistentFlags()}
	for _, c := range root.Commands() {
		sets = append(sets, Commands(c)...)
	}
	return sets
}

// JoinBooleans writes "--flag true" as "--flag=true" where the flag is a boolean
// in every set that has it. Operators of other signers write it so, and pflag
// would take the flag for set and "true", or worse "false", for an argument.
func JoinBooleans(args []string, sets ...*pflag.FlagSet) []string {
	var joined []string
	for i := 0; i < len(args); i++ {
		if args[i] == "--" {
			return append(joined, args[i:]...)
		}
		name, long := strings.CutPrefix(args[i], "--")
		if long && i+1 < len(args) && (args[i+1] == "true" || args[i+1] == "false") && isBoolean(name, sets) {
			joined = append(joined, args[i]+"="+args[i+1])
			i++
			continue
		}
		joined = append(joined, args[i])
	}
	return joined
}

func isBoolean(name string, sets []*pflag.FlagSet) bool {
	sets = slices.DeleteFunc(slices.Clone(sets), func(s *pflag.FlagSet) bool { return s.Lookup(name) == nil })
	return len(sets) > 0 && !slices.ContainsFunc(sets, func(s *pflag.FlagSet) bool {
		return s.Lookup(name).Value.Type() != "bool"
	})
}
