package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/skiff-containers/skiff/run"
	"github.com/skiff-containers/skiff/store"
	"github.com/spf13/cobra"
)

// selection are podman's ways to name containers by something else than operands.
// A command adds the flags that podman's has, with podman's shorthands where docker
// means nothing else by them.
type selection struct {
	all, latest, ignore bool
	cidFiles            []string
	filters             map[string][]string
	most                int // operands; 0 is no limit
}

// containerFilters are the names that --filter of ps and of selections takes.
func containerFilters() []string {
	return []string{"ancestor", "before", "exited", "expose", "health", "id", "is-task", "label", "label!", "name", "network",
		"publish", "restart-policy", "should-start-on-boot", "since", "status", "until", "volume"}
}

func (s *selection) addAll(cmd *cobra.Command, shorthand, usage string) {
	cmd.Flags().BoolVarP(&s.all, "all", shorthand, false, usage)
}

func (s *selection) addLatest(cmd *cobra.Command, shorthand string) {
	cmd.Flags().BoolVarP(&s.latest, "latest", shorthand, false, "Take the container that was created last")
}

func (s *selection) addCIDFile(cmd *cobra.Command) {
	listVar(cmd.Flags(), &s.cidFiles, "cidfile", "", "Read the container ID from the file")
}

func (s *selection) addIgnore(cmd *cobra.Command, shorthand string) {
	cmd.Flags().BoolVarP(&s.ignore, "ignore", shorthand, false, "Ignore containers that are missing")
}

func (s *selection) addFilter(p *program, cmd *cobra.Command, shorthand string) {
	cmd.Flags().VarP(filters{&s.filters, containerFilters()}, "filter", shorthand, "Take the containers that meet the conditions")
	p.completeFilter(cmd, containerFilters())
}

// empty tells whether none of the flags is used.
func (s *selection) empty() bool {
	return !s.all && !s.latest && len(s.cidFiles) == 0 && len(s.filters) == 0
}

// operands is the Args function of commands with a selection: at least one operand, or
// at most s.most of them, or none and one of the flags.
func (s *selection) operands(cmd *cobra.Command, args []string) error {
	switch {
	case s.empty() && s.most == 1:
		return exactArgs(1)(cmd, args)
	case s.empty():
		return minArgs(1)(cmd, args)
	case len(args) > 0:
		return badFlag(cmd, "conflicting options: containers are named or selected by flags, not both")
	case s.all && s.latest:
		return badFlag(cmd, "conflicting options: --all and --latest")
	}
	return nil
}

// names are the containers to work on: the operands, or the ids of those that were
// selected and, where they are many, that fit.
func (s *selection) names(ctx context.Context, e *run.Engine, args []string, fits func(*store.State) bool) ([]string, error) {
	if s.empty() {
		return args, nil
	}
	names, err := s.fromFiles()
	if err != nil || !s.all && !s.latest && len(s.filters) == 0 {
		return names, err
	}
	o := run.ListOptions{All: true, Filters: s.filters}
	if s.latest {
		o.Last = 1
	}
	found, err := e.List(ctx, o)
	if err != nil {
		return nil, err
	}
	if s.latest && len(found) == 0 {
		return nil, errors.New("there is no container")
	}
	for _, c := range found {
		if s.latest || fits == nil || fits(c.State) {
			names = append(names, c.Record.ID)
		}
	}
	return names, nil
}

// fromFiles reads the files of --cidfile.
func (s *selection) fromFiles() (ids []string, err error) {
	for _, path := range s.cidFiles {
		text, err := os.ReadFile(path)
		if s.ignore && errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading the container ID file: %w", err)
		}
		id, _, _ := strings.Cut(string(text), "\n")
		if id = strings.TrimSpace(id); id == "" {
			return nil, fmt.Errorf("reading the container ID file: %q is empty", path)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// one is names for commands that take one container.
func (s *selection) one(ctx context.Context, e *run.Engine, args []string) (string, error) {
	names, err := s.names(ctx, e, args, nil)
	if err != nil {
		return "", err
	}
	if len(names) != 1 {
		return "", errors.New("exactly one container is needed")
	}
	return names[0], nil
}

// missing takes the absence of a container for what was wanted, with --ignore.
func (s *selection) missing(err error) error {
	if s.ignore && errors.Is(err, store.ErrNoContainer) {
		return nil
	}
	return err
}

// States that commands on many containers look for.
func alive(s *store.State) bool { return s.Alive() || s.Status == store.Restarting }
func ended(s *store.State) bool { return !alive(s) }
