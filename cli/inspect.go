package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/template"

	"github.com/skiff-containers/skiff/run"
	"github.com/skiff-containers/skiff/store"
	"github.com/spf13/cobra"
)

type inspectOptions struct {
	format string
	kind   string // "container", "image", "network", or empty for whichever has that name
	size   bool
	chosen *selection // nil where no containers are inspected
}

func newInspect(p *program) *cobra.Command {
	o := inspectOptions{chosen: &selection{}}
	cmd := &cobra.Command{
		Use:   "inspect [OPTIONS] NAME|ID [NAME|ID...]",
		Short: "Return low-level information on containers, images and networks",
		Example: `  skiff inspect web
  skiff inspect -f '{{.State.Pid}}' web
  skiff inspect --type image -f '{{json .Config.Env}}' alpine`,
		Args:              o.chosen.operands,
		ValidArgsFunction: p.completeObjects(),
	}
	o.add(p, cmd)
	o.chosen.addLatest(cmd, "l")
	cmd.Flags().BoolVarP(&o.size, "size", "s", false, "Display total file sizes if the type is container")
	kinds := []string{"container", "image", "network"}
	cmd.Flags().Var(choice{&o.kind, kinds}, "type", "Only inspect objects of the given type")
	completeFlag(cmd, "type", kinds...)
	return cmd
}

func newContainerInspect(p *program) *cobra.Command {
	o := inspectOptions{kind: "container", chosen: &selection{}}
	cmd := &cobra.Command{
		Use:               "inspect [OPTIONS] CONTAINER [CONTAINER...]",
		Short:             "Display detailed information on one or more containers",
		Example:           `  skiff container inspect -f '{{.State.Status}}' web`,
		Args:              o.chosen.operands,
		ValidArgsFunction: p.completeContainers(0),
	}
	o.add(p, cmd)
	o.chosen.addLatest(cmd, "l")
	cmd.Flags().BoolVarP(&o.size, "size", "s", false, "Display total file sizes")
	return cmd
}

func newImageInspect(p *program) *cobra.Command {
	o := inspectOptions{kind: "image"}
	cmd := &cobra.Command{
		Use:               "inspect [OPTIONS] IMAGE [IMAGE...]",
		Short:             "Display detailed information on one or more images",
		Example:           `  skiff image inspect -f '{{join .RepoTags " "}}' alpine`,
		Args:              minArgs(1),
		ValidArgsFunction: p.completeImages(),
	}
	o.add(p, cmd)
	return cmd
}

func (o *inspectOptions) add(p *program, cmd *cobra.Command) {
	cmd.Flags().StringVarP(&o.format, "format", "f", "", inspectFormatHelp)
	completeFlag(cmd, "format", "json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		e, err := p.engine()
		if err != nil {
			return err
		}
		if o.chosen != nil {
			if args, err = o.chosen.names(cmd.Context(), e, args, nil); err != nil {
				return err
			}
		}
		return runInspect(cmd.Context(), e, p.streams, args, *o)
	}
}

func runInspect(ctx context.Context, e *run.Engine, s *streams, refs []string, o inspectOptions) error {
	var format *template.Template
	if o.format != "" && o.format != "json" {
		var err error
		if format, err = parseTemplate(o.format); err != nil {
			return err
		}
	}
	found := []any{}
	var failed []error
	for _, ref := range refs {
		object, err := inspectOne(ctx, e, ref, o)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		found = append(found, object)
	}
	var err error
	if format == nil {
		err = s.printJSON(found, o.format == "json")
	} else {
		for _, object := range found {
			err = errors.Join(err, s.printTemplate(format, object))
		}
	}
	return errors.Join(append(failed, err)...)
}

// sizedContainer is a container as inspect -s shows it.
type sizedContainer struct {
	*run.ContainerInspect
	SizeRw     int64
	SizeRootFs int64
}

// inspectOne looks for a container first, as Docker does.
func inspectOne(ctx context.Context, e *run.Engine, ref string, o inspectOptions) (any, error) {
	if o.kind == "network" {
		return e.NetworkInspect(ctx, ref)
	}
	if o.kind != "image" {
		c, err := e.Inspect(ctx, ref)
		if err == nil && o.size {
			sized := &sizedContainer{ContainerInspect: c}
			record := &store.Record{ID: c.ID, Image: store.ImageRef{ID: c.Image}}
			sized.SizeRw, sized.SizeRootFs, err = containerSizes(ctx, e, record)
			return sized, err
		}
		if err == nil {
			return c, nil
		}
		if o.kind == "container" || !errors.Is(err, store.ErrNoContainer) {
			return nil, err
		}
	}
	i, err := e.InspectImage(ctx, ref)
	if err == nil {
		return i, nil
	}
	if o.kind == "image" || !errors.Is(err, store.ErrNoImage) {
		return nil, err
	}
	n, err := e.NetworkInspect(ctx, ref)
	if err == nil {
		return n, nil
	}
	if errors.Is(err, store.ErrNoNetwork) {
		return nil, fmt.Errorf("no such object: %s", ref)
	}
	return nil, err
}

func (s *streams) printJSON(v any, compact bool) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if !compact {
		enc.SetIndent("", "    ")
	}
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := s.data().Write(b.Bytes())
	return err
}

// printTemplate executes a template on a value, and where that has no such field
// on its JSON, so that {{.Id}} and {{.ID}} both are understood.
func (s *streams) printTemplate(t *template.Template, v any) error {
	var b bytes.Buffer
	typed := t.Execute(&b, v)
	if typed != nil {
		b.Reset()
		raw, err := rawJSON(v)
		if err != nil {
			return err
		}
		copied, err := t.Clone()
		if err != nil {
			return err
		}
		if err := copied.Option("missingkey=error").Execute(&b, raw); err != nil {
			return fmt.Errorf("executing the template of --format: %w", err)
		}
	}
	if !strings.HasSuffix(b.String(), "\n") || b.Len() == 0 {
		b.WriteByte('\n')
	}
	_, err := s.data().Write(b.Bytes())
	return err
}

func rawJSON(v any) (raw any, err error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	return raw, dec.Decode(&raw)
}
