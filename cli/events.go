package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/skiff-containers/skiff/run"
	"github.com/skiff-containers/skiff/store"
	"github.com/spf13/cobra"
)

type eventsOptions struct {
	run.EventOptions
	since, until string
	format       string
	stream       bool
	noTrunc      bool
}

func newEvents(p *program) *cobra.Command {
	o := eventsOptions{}
	cmd := &cobra.Command{
		Use:         "events [OPTIONS]",
		Short:       "Get events of containers, images and networks as they happen",
		Annotations: aliases("skiff system events, skiff events"),
		Example: `  skiff events -f type=container -f event=die
  skiff events --since 1h --stream=false        what happened in the last hour
  skiff events --format '{{.Action}} {{.Actor.Attributes.name}}'`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.parse(time.Now()); err != nil {
				return err
			}
			e, err := p.engine()
			if err != nil {
				return err
			}
			return runEvents(cmd.Context(), e, p.streams, &o)
		},
	}
	known := []string{"config", "container", "daemon", "event", "image", "label", "network", "node", "plugin", "scope", "secret", "service", "type", "volume"}
	flags := cmd.Flags()
	flags.VarP(filters{&o.Filters, known}, "filter", "f", "Filter output based on conditions provided")
	flags.StringVar(&o.format, "format", "", inspectFormatHelp)
	flags.BoolVar(&o.noTrunc, "no-trunc", true, "Do not truncate IDs")
	flags.StringVar(&o.since, "since", "", "Show all events created since timestamp")
	flags.BoolVar(&o.stream, "stream", true, "Go on with events as they happen; false only shows past ones")
	flags.StringVar(&o.until, "until", "", "Stream events until this timestamp")
	p.completeFilter(cmd, known)
	completeFlag(cmd, "format", "json", "{{.Type}}", "{{.Action}}", "{{.Actor.ID}}", "{{.Actor.Attributes.name}}", "{{json .}}")
	completeFlag(cmd, "since", "1m", "10m", "1h", "24h")
	completeFlag(cmd, "until", "0s", "1m", "10m", "1h")
	return cmd
}

func (o *eventsOptions) parse(now time.Time) (err error) {
	if o.Since, err = parseTime(o.since, now); err != nil {
		return fmt.Errorf("parsing --since: %w", err)
	}
	if o.Until, err = parseTime(o.until, now); err != nil {
		return fmt.Errorf("parsing --until: %w", err)
	}
	o.Past = !o.stream
	return nil
}

func runEvents(ctx context.Context, e *run.Engine, s *streams, o *eventsOptions) error {
	var format *template.Template
	if o.format != "" {
		text := o.format
		if text == "json" {
			text = "{{json .}}"
		}
		var err error
		if format, err = parseTemplate(text); err != nil {
			return err
		}
	}
	err := e.Events(ctx, o.EventOptions, func(event *store.Event) error {
		if !o.noTrunc {
			event.ID = shortID(event.ID)
		}
		if format == nil {
			_, err := fmt.Fprintln(s.data(), eventText(event))
			return err
		}
		if err := format.Execute(s.data(), messageOf(event)); err != nil {
			return fmt.Errorf("executing the template of --format: %w", err)
		}
		_, err := fmt.Fprintln(s.data())
		return err
	})
	return untilInterrupted(ctx, err)
}

// eventText is Docker's line: time, type, action, id, and the attributes by name.
func eventText(event *store.Event) string {
	var words []string
	for _, key := range slices.Sorted(maps.Keys(event.Attributes)) {
		words = append(words, key+"="+event.Attributes[key])
	}
	text := fmt.Sprintf("%s %s %s %s", event.Time.Local().Format("2006-01-02T15:04:05.000000000Z07:00"), event.Type, event.Action, event.ID)
	if len(words) > 0 {
		text += " (" + strings.Join(words, ", ") + ")"
	}
	return cell(text)
}

// eventMessage is an event as --format sees it: Docker's events.Message.
type eventMessage struct {
	Status   string `json:"status,omitempty"` // of containers and images, as before Docker 1.10
	ID       string `json:"id,omitempty"`
	From     string `json:"from,omitempty"`
	Type     string
	Action   string
	Actor    eventActor
	Scope    string `json:"scope,omitempty"`
	Time     int64  `json:"time,omitempty"`
	TimeNano int64  `json:"timeNano,omitempty"`
}

type eventActor struct {
	ID         string
	Attributes map[string]string
}

func messageOf(event *store.Event) *eventMessage {
	m := &eventMessage{
		Type: event.Type, Action: event.Action, Actor: eventActor{event.ID, event.Attributes},
		Scope: "local", Time: event.Time.Unix(), TimeNano: event.Time.UnixNano(),
	}
	if event.Type == "container" || event.Type == "image" {
		m.Status, m.ID, m.From = event.Action, event.ID, event.Attributes["image"]
	}
	return m
}
