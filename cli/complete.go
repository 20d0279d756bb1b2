package cli

import (
	"context"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/skiff-containers/skiff/completions"
	"github.com/skiff-containers/skiff/run"
	"github.com/skiff-containers/skiff/store"
	"github.com/spf13/cobra"
)

// words are what cobra asks for when a shell completes: candidates, and whether
// files are candidates too.
type words = func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective)

// completeFlag says which words may follow a flag; without any, files are not offered either.
func completeFlag(cmd *cobra.Command, name string, candidates ...string) {
	completeFlagBy(cmd, name, func() []string { return candidates })
}

// completeFlagBy is completeFlag for candidates that are only made when asked for.
func completeFlagBy(cmd *cobra.Command, name string, candidates func() []string) {
	must(cmd.RegisterFlagCompletionFunc(name, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		found := candidates()
		directive := cobra.ShellCompDirectiveNoFileComp
		if slices.ContainsFunc(found, func(w string) bool { return strings.HasSuffix(w, "=") || strings.HasSuffix(w, ",") }) {
			directive |= cobra.ShellCompDirectiveNoSpace
		}
		return found, directive
	}))
}

// must is for errors that only a wrong program can cause, and that the first test meets.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func completeFormat(cmd *cobra.Command, fields map[string]string) {
	completeFlagBy(cmd, "format", func() []string {
		candidates := []string{"json", "table"}
		for _, field := range slices.Sorted(maps.Keys(fields)) {
			candidates = append(candidates, "{{."+field+"}}")
		}
		return candidates
	})
}

// completeFilter offers the names of filters, and the values of those that have few.
func (p *program) completeFilter(cmd *cobra.Command, known []string) {
	must(cmd.RegisterFlagCompletionFunc("filter", func(cmd *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
		name, _, valued := strings.Cut(word, "=")
		if !valued {
			var names []string
			for _, name := range known {
				names = append(names, name+"=")
			}
			return names, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
		}
		return prefixed(name+"=", p.filterValues(cmd.Context(), name)), cobra.ShellCompDirectiveNoFileComp
	}))
}

func (p *program) filterValues(ctx context.Context, name string) []string {
	switch name {
	case "status":
		return []string{"created", "exited", "paused", "removing", "restarting", "running"}
	case "health":
		return []string{"healthy", "none", "starting", "unhealthy"}
	case "restart-policy":
		return []string{"always", "no", "on-failure", "unless-stopped"}
	case "event":
		return strings.Fields("archive-path attach connect create delete destroy detach die disconnect exec_create exec_detach exec_die exec_start export extract-to-dir health_status kill mount oom pause prune pull rename resize restart start stop tag top unmount unpause untag update")
	case "container", "before", "since":
		return p.containers(ctx, "", nil)
	case "image":
		return p.images(ctx, nil)
	case "dangling":
		return []string{"false", "true"}
	case "network":
		return p.networks(ctx, nil, true)
	case "driver":
		return []string{"bridge", "host", "macvlan", "null", "overlay"}
	case "type":
		return []string{"builtin", "custom"}
	case "scope":
		return []string{"local"}
	case "name":
		return p.containers(ctx, "", nil)
	case "is-task":
		return []string{"false", "true"}
	case "ancestor", "reference":
		return p.images(ctx, nil)
	}
	return nil
}

func prefixed(prefix string, words []string) []string {
	for i := range words {
		words[i] = prefix + words[i]
	}
	return words
}

// completeContainers offers containers in one of the states (none: any) for every
// operand, or for the first most; 0 is no limit. The operands after that are files.
func (p *program) completeContainers(most int, states ...store.Status) words {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if most > 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return p.containers(cmd.Context(), word, args, states...), cobra.ShellCompDirectiveNoFileComp
	}
}

// orContainer offers words, and running containers behind "container:". No space follows
// that where it is the only word left.
func (p *program) orContainer(ctx context.Context, word string, words []string) ([]string, cobra.ShellCompDirective) {
	const prefix = "container:"
	directive := cobra.ShellCompDirectiveNoFileComp
	if strings.HasPrefix(word, prefix) {
		return prefixed(prefix, p.containers(ctx, "", nil, store.Running)), directive
	}
	if word != "" && strings.HasPrefix(prefix, word) {
		directive |= cobra.ShellCompDirectiveNoSpace
	}
	return append(slices.Clone(words), prefix), directive
}

// completeImage offers images for the first operand; further ones are files where rest is set.
func (p *program) completeImage(rest bool) words {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		switch {
		case len(args) == 0:
			return p.images(cmd.Context(), nil), cobra.ShellCompDirectiveNoFileComp
		case rest:
			return nil, cobra.ShellCompDirectiveDefault
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeImages offers images for every operand.
func (p *program) completeImages() words {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		return p.images(cmd.Context(), args), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeObjects offers containers, images and networks.
func (p *program) completeObjects() words {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		found := append(p.containers(cmd.Context(), word, args), p.images(cmd.Context(), args)...)
		found = append(found, p.networks(cmd.Context(), args, false)...)
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeNetworks offers networks for every operand, or for the first most; those
// that cannot be removed among them where predefined is set.
func (p *program) completeNetworks(most int, predefined bool) words {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if most > 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return p.networks(cmd.Context(), args, predefined), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeNetworkThenContainer offers a network and then a container.
func (p *program) completeNetworkThenContainer() words {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		switch len(args) {
		case 0:
			return p.networks(cmd.Context(), nil, true), cobra.ShellCompDirectiveNoFileComp
		case 1:
			return p.containers(cmd.Context(), word, nil), cobra.ShellCompDirectiveNoFileComp
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
}

func (p *program) networks(ctx context.Context, used []string, predefined bool) []string {
	e := p.quietEngine()
	if e == nil {
		return nil
	}
	return completions.Networks(ctx, e, used, predefined)
}

func (p *program) containers(ctx context.Context, word string, used []string, states ...store.Status) []string {
	e := p.quietEngine()
	if e == nil {
		return nil
	}
	return completions.Containers(ctx, e, word, used, states...)
}

func (p *program) images(ctx context.Context, used []string) []string {
	e := p.quietEngine()
	if e == nil {
		return nil
	}
	return completions.Images(ctx, e, used)
}

// quietEngine is the engine while a shell completes: nothing may be printed, and
// where there is no store there is nothing to offer.
func (p *program) quietEngine() *run.Engine {
	e, err := p.engine()
	if err != nil {
		return nil
	}
	e.Notice = func(string) {}
	return e
}

// writeCompletion writes the static script of a shell.
func writeCompletion(root *cobra.Command, shell string, w io.Writer) error {
	switch shell {
	case "bash":
		return root.GenBashCompletionV2(w, true)
	case "zsh":
		return root.GenZshCompletion(w)
	case "fish":
		return root.GenFishCompletion(w, true)
	}
	return root.GenPowerShellCompletionWithDesc(w)
}
