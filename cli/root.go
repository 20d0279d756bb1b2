package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// verb is a command of the root: its name, its place in help, its constructor.
type verb struct {
	name  string
	group string
	build func(*program) *cobra.Command
}

// verbs are all commands of the root. The common ones stand in the order in which
// people meet them; help sorts the others by name.
func verbs() []verb {
	return []verb{
		{"run", groupCommon, newRun},
		{"exec", groupCommon, newExec},
		{"ps", groupCommon, newPs},
		{"pull", groupCommon, newPull},
		{"images", groupCommon, newImages},
		{"login", groupCommon, newLogin},
		{"logout", groupCommon, newLogout},
		{"version", groupCommon, newVersion},
		{"info", groupCommon, newInfo},
		{"container", groupManagement, newContainer},
		{"image", groupManagement, newImage},
		{"network", groupManagement, newNetwork},
		{"secret", groupManagement, newSecret},
		{"healthcheck", groupManagement, newHealthcheck},
		{"system", groupManagement, newSystem},
		{"attach", groupOther, newAttach},
		{"completion", groupOther, newCompletion},
		{"cp", groupOther, newCp},
		{"create", groupOther, newCreate},
		{"diff", groupOther, newDiff},
		{"events", groupOther, newEvents},
		{"export", groupOther, newExport},
		{"hello", groupOther, newHello},
		{"inspect", groupOther, newInspect},
		{"kill", groupOther, newKill},
		{"logs", groupOther, newLogs},
		{"mount", groupOther, newMount},
		{"pause", groupOther, newPause},
		{"port", groupOther, newPort},
		{"rename", groupOther, newRename},
		{"restart", groupOther, newRestart},
		{"rm", groupOther, newRm},
		{"rmi", groupOther, newRmi},
		{"runtime", groupManagement, newRuntime},
		{"start", groupOther, newStart},
		{"stats", groupOther, newStats},
		{"stop", groupOther, newStop},
		{"tag", groupOther, newTag},
		{"unmount", groupOther, newUnmount},
		{"unpause", groupOther, newUnpause},
		{"top", groupOther, newTop},
		{"unshare", groupOther, newUnshare},
		{"update", groupOther, newUpdate},
		{"wait", groupOther, newWait},
	}
}

// newRoot is the command line as far as args need it: making all commands costs a
// tenth of the program's start, so where args name one, only that is made.
func newRoot(p *program, args []string) *cobra.Command {
	root := newBareRoot(p)
	all := verbs()
	if i := slices.IndexFunc(all, func(v verb) bool { return v.name == operand(args) }); i >= 0 && all[i].name != "completion" {
		all = all[i : i+1]
	} else if len(args) == 1 && (args[0] == "--version" || args[0] == "-v") {
		all = nil
	}
	for i, v := range all {
		cmd := v.build(p)
		if cmd.Annotations == nil {
			cmd.Annotations = map[string]string{}
		}
		cmd.Annotations["group"] = v.group
		if v.group == groupCommon {
			cmd.Annotations["order"] = string(rune('a' + i))
		}
		root.AddCommand(cmd)
	}
	finish(root)
	return root
}

// newBareRoot is the root without its commands.
func newBareRoot(p *program) *cobra.Command {
	var version bool
	root := &cobra.Command{
		Use:              "skiff [OPTIONS] COMMAND [ARG...]",
		Short:            "Containers without root and without a daemon",
		Args:             unknownCommand,
		TraverseChildren: true, // --root and --debug stand before the command
		SilenceErrors:    true,
		SilenceUsage:     true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if version {
				_, err := fmt.Fprintln(p.data(), versionLine())
				return err
			}
			return cmd.Help()
		},
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags := root.Flags()
	flags.SetInterspersed(false)
	p.addGlobal(root)
	flags.BoolVarP(&version, "version", "v", false, "Print version information and quit")
	root.PersistentFlags().BoolP("help", "h", false, "Print usage")
	root.PersistentFlags().Lookup("help").Hidden = true
	root.SetHelpFunc(p.writeHelp)
	root.SetFlagErrorFunc(flagError)
	root.SetHelpCommand(newHelp())
	return root
}

// operand is the first of args that is neither a global flag nor the value of one.
func operand(args []string) string {
	for i := 0; i < len(args); i++ {
		switch {
		case slices.Contains([]string{"--root", "--runtime", "--config", "--context", "-c", "--log-level", "-l"}, args[i]):
			i++
		case !strings.HasPrefix(args[i], "-"):
			return args[i]
		}
	}
	return ""
}

// finish sets what is alike for all commands.
func finish(cmd *cobra.Command) {
	cmd.DisableFlagsInUseLine = true
	for _, child := range cmd.Commands() {
		finish(child)
	}
}
