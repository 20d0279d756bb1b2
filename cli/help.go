package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// Groups of commands in the root's help, in Docker's words.
const (
	groupCommon     = "Common Commands"
	groupManagement = "Management Commands"
	groupOther      = "Commands"
)

// aliases lists the other ways to call a command, for its help.
func aliases(text string) map[string]string { return map[string]string{"aliases": text} }

// help is the RunE of commands that only hold others.
func help(cmd *cobra.Command, args []string) error { return cmd.Help() }

// newHelp is `skiff help COMMAND`.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:    "help [COMMAND]",
		Short:  "Help about the command",
		Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			topic, rest, err := cmd.Root().Find(args)
			if topic == nil || err != nil || len(rest) > 0 {
				return &usageError{message: "unknown help topic: " + strings.Join(args, " "), see: "skiff", code: codeFailed}
			}
			return topic.Help()
		},
	}
}

// writeHelp is cobra's hook: Docker's layout, with examples.
func (p *program) writeHelp(cmd *cobra.Command, _ []string) {
	columns := min(width(p.Out, 80), 160)
	w := p.data()
	fmt.Fprintf(w, "Usage:  %s\n\n%s\n", usageLine(cmd), about(cmd))
	if text := cmd.Annotations["aliases"]; text != "" {
		fmt.Fprintf(w, "\nAliases:\n  %s\n", text)
	}
	writeCommands(w, cmd)
	if cmd.HasAvailableLocalFlags() {
		heading := "Options"
		if !cmd.HasParent() {
			heading = "Global Options"
		}
		fmt.Fprintf(w, "\n%s:\n%s", heading, cmd.LocalFlags().FlagUsagesWrapped(columns-1))
	}
	if cmd.Example != "" {
		fmt.Fprintf(w, "\nExamples:\n%s\n", cmd.Example)
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(w, "\nRun '%s COMMAND --help' for more information on a command.\n", cmd.CommandPath())
	}
}

func usageLine(cmd *cobra.Command) string {
	if cmd.HasAvailableSubCommands() {
		return strings.TrimSuffix(cmd.UseLine(), " COMMAND [ARG...]") + " COMMAND"
	}
	return cmd.UseLine()
}

func about(cmd *cobra.Command) string {
	if cmd.Long != "" {
		return cmd.Long
	}
	return cmd.Short
}

// writeCommands lists a command's children, group by group. The common ones stand
// in the order in which people meet them, the others by name.
func writeCommands(w io.Writer, cmd *cobra.Command) {
	groups := map[string][]*cobra.Command{}
	for _, child := range cmd.Commands() {
		if !child.IsAvailableCommand() {
			continue
		}
		group := child.Annotations["group"]
		if group == "" {
			group = groupOther
		}
		groups[group] = append(groups[group], child)
	}
	for _, name := range []string{groupCommon, groupManagement, groupOther} {
		group := groups[name]
		if len(group) == 0 {
			continue
		}
		slices.SortStableFunc(group, func(a, b *cobra.Command) int {
			return strings.Compare(a.Annotations["order"]+a.Name(), b.Annotations["order"]+b.Name())
		})
		fmt.Fprintf(w, "\n%s:\n", name)
		for _, child := range group {
			fmt.Fprintf(w, "  %-11s %s\n", child.Name(), child.Short)
		}
	}
}
