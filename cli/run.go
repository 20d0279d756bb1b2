package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/skiff-containers/skiff/run"
	"github.com/spf13/cobra"
)

type runOptions struct {
	containerFlags
	detach     bool
	detachKeys string
	sigProxy   bool
	rmi        bool
}

func newRun(p *program) *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:         "run [OPTIONS] IMAGE [COMMAND] [ARG...]",
		Short:       "Create and run a new container from an image",
		Annotations: aliases("skiff container run, skiff run"),
		Example: `  skiff run --rm skiff.local/hello                    see what a container sees
  skiff run --rm -it alpine                           a shell, gone when you leave it
  skiff run -d --name web -v "$PWD:/srv:ro" caddy     in the background, with a folder of yours
  skiff run --rm -i --network none alpine wc -l < f   one step of a pipeline, without a network`,
		Args: minArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Image, o.Command = args[0], args[1:]
			if o.detach && len(o.Attach) > 0 {
				return badFlag(cmd, "conflicting options: cannot specify both --attach and --detach")
			}
			platform, err := o.parts.over(cmd, o.Platform)
			if err != nil {
				return badFlag(cmd, err.Error())
			}
			o.Platform = platform
			if o.rmi && o.detach {
				return badFlag(cmd, "conflicting options: --rmi and --detach, as nobody would be left to remove the image")
			}
			o.AutoRemove = o.AutoRemove || o.rmi
			e, err := p.engine()
			if err != nil {
				return launching(codeSkiff, err)
			}
			if o.detachKeys == "" {
				o.detachKeys = p.dockerConfig().DetachKeys
			}
			return runRun(cmd.Context(), e, p.streams, &o)
		},
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false)
	o.add(flags, "running")
	flags.BoolVarP(&o.detach, "detach", "d", false, "Run container in background and print container ID")
	flags.StringVar(&o.detachKeys, "detach-keys", "", "Override the key sequence for detaching a container")
	flags.UintVar(&o.PreserveFDs, "preserve-fds", 0, "Pass so many file descriptors of the caller's, from 3 on")
	flags.BoolVar(&o.sigProxy, "sig-proxy", true, "Proxy received signals to the process")
	flags.BoolVar(&o.rmi, "rmi", false, "Remove the image after the container, unless another one uses it; implies --rm")
	o.complete(p, cmd)
	completeFlag(cmd, "detach-keys", "ctrl-p,ctrl-q")
	completeFlag(cmd, "preserve-fds")
	return cmd
}

var errNotTTY = errors.New("the input device is not a TTY")

func runRun(ctx context.Context, e *run.Engine, s *streams, o *runOptions) error {
	if !o.detach && o.TTY && o.attachesStdin() && !isTerminal(s.In) {
		return launching(codeFailed, &hinted{errNotTTY, "leave -t out where stdin is a pipe or a file"})
	}
	o.TLSVerify = o.pull.tlsVerify
	progress, done := o.pull.start(s)
	defer done()
	o.Progress = progress
	if o.detach {
		id, err := e.RunDetached(ctx, &o.CreateOptions)
		if err != nil {
			return launching(codeSkiff, err)
		}
		done()
		fmt.Fprintln(s.data(), id)
		tellLingering(e)
		return nil
	}
	_, out, err := e.Run(ctx, &o.CreateOptions, run.AttachOptions{
		Streams:    s.forRun(),
		NoStdin:    !o.attachesStdin(),
		DetachKeys: o.detachKeys,
		SigProxy:   o.sigProxy,
	})
	if err != nil {
		return launching(codeSkiff, err)
	}
	if o.rmi && !out.Detached {
		if _, err := e.RemoveImage(ctx, o.Image, false); err != nil {
			e.Notice(err.Error()) // another container uses it, mostly
		}
	}
	return s.ended(out)
}

// attachesStdin is Docker's rule: -i, unless -a names other streams only.
func (o *runOptions) attachesStdin() bool {
	if len(o.Attach) == 0 {
		return o.Interactive
	}
	for _, stream := range o.Attach {
		if stream == "stdin" {
			return true
		}
	}
	return false
}

// ended turns the end of an attached process into the exit code of this one.
func (s *streams) ended(out run.Outcome) error {
	s.terminalState().restore()
	if out.Detached {
		if isTerminal(s.Out) {
			fmt.Fprintln(s.Out) // the prompt begins on a line of its own
		}
		return nil
	}
	return outcome(out.ExitCode)
}
