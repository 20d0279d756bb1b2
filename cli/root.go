package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

// newRoot is the whole command line.
func newRoot(p *program, _ []string) *cobra.Command {
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
	flags.StringVar(&p.root, "root", "", "Folder of containers and images (default $SKIFF_ROOT, else $XDG_DATA_HOME/skiff)")
	flags.BoolVarP(&p.debug, "debug", "D", false, "Enable debug mode")
	flags.BoolVarP(&version, "version", "v", false, "Print version information and quit")
	root.PersistentFlags().BoolP("help", "h", false, "Print usage")
	root.PersistentFlags().Lookup("help").Hidden = true
	root.SetHelpFunc(p.writeHelp)
	root.SetFlagErrorFunc(flagError)
	root.SetHelpCommand(newHelp())

	add(root, groupCommon,
		newRun(p), newExec(p), newPs(p), newPull(p), newImages(p), newVersion(p), newInfo(p))
	add(root, groupManagement,
		newContainer(p), newImage(p))
	add(root, groupOther,
		newAttach(p), newCompletion(p), newCreate(p), newHello(p), newInspect(p), newKill(p), newLogs(p), newRestart(p),
		newRm(p), newRmi(p), newStart(p), newStop(p), newTag(p), newUnshare(p), newWait(p))
	finish(root)
	return root
}

func add(root *cobra.Command, group string, cmds ...*cobra.Command) {
	for i, cmd := range cmds {
		if cmd.Annotations == nil {
			cmd.Annotations = map[string]string{}
		}
		cmd.Annotations["group"] = group
		if group == groupCommon {
			cmd.Annotations["order"] = string(rune('a' + i))
		}
		root.AddCommand(cmd)
	}
}

// finish sets what is alike for all commands.
func finish(cmd *cobra.Command) {
	cmd.DisableFlagsInUseLine = true
	for _, child := range cmd.Commands() {
		finish(child)
	}
}
