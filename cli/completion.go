package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newCompletion(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "completion",
		Short: "Generate the autocompletion script for the specified shell",
		Long: `Generate the autocompletion script for skiff for the specified shell.
See each sub-command's help for details on how to use the generated script.`,
		Example: `  source <(skiff completion bash)
  skiff completion fish > ~/.config/fish/completions/skiff.fish`,
		Args:              unknownCommand,
		RunE:              help,
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	for _, s := range shells() {
		cmd.AddCommand(newShellCompletion(p, s))
	}
	return cmd
}

// completionShell is a shell that skiff has completions for.
type completionShell struct{ name, how string }

func shells() []completionShell {
	return []completionShell{
		{"bash", `  source <(skiff completion bash)                                              this shell
  skiff completion bash > ~/.local/share/bash-completion/completions/skiff     each new one`},
		{"fish", `  skiff completion fish | source                                     this shell
  skiff completion fish > ~/.config/fish/completions/skiff.fish      each new one`},
		{"powershell", `  skiff completion powershell | Out-String | Invoke-Expression     in $PROFILE: each new shell`},
		{"zsh", `  source <(skiff completion zsh)                      this shell
  skiff completion zsh > "${fpath[1]}/_skiff"        each new one`},
	}
}

func newShellCompletion(p *program, s completionShell) *cobra.Command {
	return &cobra.Command{
		Use:               s.name,
		Short:             fmt.Sprintf("Generate the autocompletion script for %s", s.name),
		Example:           s.how,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return writeCompletion(cmd.Root(), s.name, p.data())
		},
	}
}
