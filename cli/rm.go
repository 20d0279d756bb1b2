package cli

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/skiff-containers/skiff/run"
	"github.com/skiff-containers/skiff/store"
	"github.com/spf13/cobra"
)

func newRm(p *program) *cobra.Command {
	var o rmOptions
	var chosen selection
	cmd := &cobra.Command{
		Use:         "rm [OPTIONS] CONTAINER [CONTAINER...]",
		Aliases:     []string{"remove"},
		Short:       "Remove one or more containers",
		Annotations: aliases("skiff container rm, skiff container remove, skiff rm"),
		Example: `  skiff rm job
  skiff rm -f web                  also if it runs
  skiff rm -f --depend db          and what requires it or shares its namespaces
  skiff rm $(skiff ps -aq -f status=exited)
  skiff rm -f -a -t 0              all there are, at once`,
		Args: chosen.operands,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(cmd); err != nil {
				return err
			}
			e, err := p.engine()
			if err != nil {
				return err
			}
			names, err := chosen.names(cmd.Context(), e, args, nil)
			if err != nil {
				return err
			}
			return runRm(cmd.Context(), e, p.streams, names, o.RemoveOptions, &chosen)
		},
	}
	o.add(cmd)
	chosen.addAll(cmd, "a", "Remove all containers")
	chosen.addCIDFile(cmd)
	chosen.addFilter(p, cmd, "")
	chosen.addIgnore(cmd, "i")
	chosen.addLatest(cmd, "")
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if o.Force {
			return p.completeContainers(0)(cmd, args, word)
		}
		return p.completeContainers(0, store.Created, store.Exited)(cmd, args, word)
	}
	return cmd
}

type rmOptions struct {
	run.RemoveOptions
	link    bool
	seconds *int
}

func (o *rmOptions) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&o.Depend, "depend", false, "Remove the containers too that share namespaces of it or require it")
	flags.BoolVarP(&o.Force, "force", "f", false, "Force the removal of a running container (uses SIGKILL)")
	flags.BoolVarP(&o.link, "link", "l", false, "Remove the specified link")
	flags.VarP(optionalInt{&o.seconds}, "time", "t", "Seconds to wait for its end before SIGKILL, with --force")
	flags.BoolVarP(&o.Volumes, "volumes", "v", false, "Remove anonymous volumes associated with the container")
}

func (o *rmOptions) check(cmd *cobra.Command) error {
	switch {
	case o.link:
		return &hinted{errors.New("removing a link: a link goes with the container that has it"), "take the container out of the network by skiff network disconnect"}
	case o.seconds != nil && !o.Force:
		return badFlag(cmd, "--time needs --force")
	case o.seconds != nil:
		timeout := time.Duration(*o.seconds) * time.Second
		o.Timeout = &timeout
	}
	return nil
}

// runRm removes containers, several at a time. What others of them require goes after those.
func runRm(ctx context.Context, e *run.Engine, s *streams, refs []string, o run.RemoveOptions, chosen *selection) error {
	var failed []error
	for len(refs) > 0 {
		var mu sync.Mutex
		var required []string
		var refused []error
		failed = append(failed, each(s.data(), refs, func(ref string) (string, error) {
			line, err := removeOne(ctx, e, s, ref, o, chosen)
			if !errors.Is(err, run.ErrRequired) {
				return line, err
			}
			mu.Lock()
			defer mu.Unlock()
			required, refused = append(required, ref), append(refused, err)
			return "", nil
		}))
		if len(required) == len(refs) {
			return errors.Join(append(failed, refused...)...)
		}
		refs = required
	}
	return errors.Join(failed...)
}

func removeOne(ctx context.Context, e *run.Engine, s *streams, ref string, o run.RemoveOptions, chosen *selection) (line string, err error) {
	err = e.Remove(ctx, strings.TrimPrefix(ref, "/"), o)
	if err == nil {
		return ref, nil
	}
	if chosen.missing(err) == nil {
		return "", nil // as podman: it was not removed
	}
	if o.Force && errors.Is(err, store.ErrNoContainer) {
		// As docker since 23: forced removal of what is not there is told, not failed.
		s.note(err.Error())
		return "", nil
	}
	return ref, err
}
