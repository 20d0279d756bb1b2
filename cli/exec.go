package cli

import (
	"context"

	"github.com/skiff-containers/skiff/completions"
	"github.com/skiff-containers/skiff/run"
	"github.com/skiff-containers/skiff/store"
	"github.com/spf13/cobra"
)

func newExec(p *program) *cobra.Command {
	var o run.ExecOptions
	var chosen selection
	cmd := &cobra.Command{
		Use:         "exec [OPTIONS] CONTAINER COMMAND [ARG...]",
		Short:       "Execute a command in a running container",
		Annotations: aliases("skiff container exec, skiff exec"),
		Example: `  skiff exec -it web sh
  skiff exec -u 1000 -w /srv web ls -l
  tar c . | skiff exec -i web tar x -C /srv`,
		Args: func(cmd *cobra.Command, args []string) error {
			if chosen.empty() {
				return minArgs(2)(cmd, args)
			}
			return minArgs(1)(cmd, args)
		},
		ValidArgsFunction: p.completeContainers(1, store.Running),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := p.engine()
			if err != nil {
				return err
			}
			named := args[:1]
			if !chosen.empty() {
				named = nil
			}
			o.Command = args[len(named):]
			ref, err := chosen.one(cmd.Context(), e, named)
			if err != nil {
				return launching(codeFailed, err)
			}
			if o.DetachKeys == "" && o.TTY {
				o.DetachKeys = p.dockerConfig().DetachKeys
			}
			return runExec(cmd.Context(), e, p.streams, ref, &o)
		},
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false)
	flags.BoolVarP(&o.Detach, "detach", "d", false, "Detached mode: run command in the background")
	flags.StringVar(&o.DetachKeys, "detach-keys", "", "Override the key sequence for detaching a container")
	listVar(flags, &o.Env, "env", "e", "Set environment variables")
	listVar(flags, &o.EnvFiles, "env-file", "", "Read in a file of environment variables")
	flags.BoolVarP(&o.Interactive, "interactive", "i", false, "Keep STDIN open even if not attached")
	flags.UintVar(&o.PreserveFDs, "preserve-fds", 0, "Pass so many file descriptors of the caller's, from 3 on")
	flags.BoolVar(&o.Privileged, "privileged", false, "Give extended privileges to the command")
	flags.BoolVarP(&o.TTY, "tty", "t", false, "Allocate a pseudo-TTY")
	flags.StringVarP(&o.User, "user", "u", "", `Username or UID (format: "<name|uid>[:<group|gid>]")`)
	flags.StringVarP(&o.Workdir, "workdir", "w", "", "Working directory inside the container")
	chosen.addLatest(cmd, "l")
	chosen.addCIDFile(cmd)
	completeFlag(cmd, "preserve-fds")
	completeFlag(cmd, "detach-keys", "ctrl-p,ctrl-q")
	completeFlagBy(cmd, "env", completions.Environment)
	return cmd
}

func runExec(ctx context.Context, e *run.Engine, s *streams, ref string, o *run.ExecOptions) error {
	if o.TTY && o.Interactive && !o.Detach && !isTerminal(s.In) {
		return launching(codeFailed, &hinted{errNotTTY, "leave -t out where stdin is a pipe or a file"})
	}
	o.Streams = s.forRun()
	o.NoStdin = !o.Interactive
	out, err := e.Exec(ctx, ref, o)
	if err != nil {
		return launching(codeFailed, err)
	}
	return s.ended(out)
}
