package cli

import (
	"context"
	"fmt"

	"github.com/skiff-containers/skiff/completions"
	"github.com/skiff-containers/skiff/registry"
	"github.com/skiff-containers/skiff/run"
	"github.com/spf13/cobra"
)

type pullOptions struct {
	registry.PullOptions
	pull pullFlags
}

func newPull(p *program) *cobra.Command {
	var o pullOptions
	cmd := &cobra.Command{
		Use:         "pull [OPTIONS] NAME[:TAG|@DIGEST]",
		Short:       "Download an image from a registry",
		Annotations: aliases("skiff image pull, skiff pull"),
		Example: `  skiff pull alpine
  skiff pull --platform linux/arm64 ghcr.io/owner/image:1.2
  skiff pull --tls-verify=false registry.lan:5000/image`,
		Args:              exactArgs(1),
		ValidArgsFunction: p.completeImage(false),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Reference = args[0]
			e, err := p.engine()
			if err != nil {
				return err
			}
			return runPull(cmd.Context(), e, p.streams, &o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.AuthFile, "authfile", "", "Path of the credentials file (default: podman's and docker's)")
	flags.StringVar(&o.Platform, "platform", platformDefault(), "Set platform if server is multi-platform capable")
	flags.Lookup("platform").DefValue = ""
	addContentTrust(flags)
	o.pull.add(flags, "Suppress verbose output")
	o.pull.complete(cmd)
	completeFlagBy(cmd, "platform", completions.Platforms)
	return cmd
}

func runPull(ctx context.Context, e *run.Engine, s *streams, o *pullOptions) error {
	o.TLSVerify = o.pull.tlsVerify
	progress, done := o.pull.start(s)
	defer done()
	o.Progress = progress
	if _, err := e.Pull(ctx, o.PullOptions); err != nil {
		return err
	}
	done()
	ref, err := registry.ParseReference(o.Reference)
	if err != nil {
		return err
	}
	fmt.Fprintln(s.data(), ref)
	return nil
}
