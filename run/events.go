package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/skiff-containers/skiff/store"
)

// EventOptions select events. Zero times are no bounds; without Since and Until only
// what happens from now on is told, unless Past.
type EventOptions struct {
	Since, Until time.Time
	Past         bool                // only what has happened already
	Filters      map[string][]string // type, event, scope, label, and container, image, network and so on
}

// Events hands on what happens, until o.Until, or else until ctx ends, whose error
// it returns then. It ends early with the error of each.
func (e *Engine) Events(ctx context.Context, o EventOptions, each func(*store.Event) error) error {
	if !o.Since.IsZero() && !o.Until.IsZero() && o.Until.Before(o.Since) {
		return fmt.Errorf("`since` time (%s) cannot be after `until` time (%s)", o.Since.Format(time.RFC3339), o.Until.Format(time.RFC3339))
	}
	if err := e.Store.Sweep(); err != nil { // a killed shim could not tell of its container's end
		e.say("clearing away leftovers: " + err.Error())
	}
	j, err := e.Store.OpenJournal(!o.Past && o.Since.IsZero() && o.Until.IsZero())
	if err != nil {
		return err
	}
	defer j.Close()
	wanted := func(event *store.Event) error {
		if event.Time.Before(o.Since) || !o.Until.IsZero() && event.Time.After(o.Until) || !matchesEvent(o.Filters, event) {
			return nil
		}
		return each(event)
	}
	if o.Past || !o.Until.IsZero() && o.Until.Before(time.Now()) {
		return j.Read(wanted)
	}
	until := ctx
	if !o.Until.IsZero() {
		var cancel context.CancelFunc
		until, cancel = context.WithDeadline(ctx, o.Until)
		defer cancel()
	}
	for {
		if err := j.Read(wanted); err != nil {
			return err
		}
		switch err := j.Wait(until); {
		case err == nil:
		case ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded):
			return j.Read(wanted)
		default:
			return err
		}
	}
}

// matchesEvent follows Docker's daemon (moby, daemon/events/filter.go): of one
// filter's values any must match, but all labels; of the filters all.
func matchesEvent(filters map[string][]string, event *store.Event) bool {
	for key, values := range filters {
		any := func(match func(value string) bool) bool {
			return len(values) == 0 || slices.ContainsFunc(values, match)
		}
		ok := true
		switch key {
		case "type":
			ok = any(func(v string) bool { return v == event.Type })
		case "scope":
			ok = any(func(v string) bool { return v == "local" })
		case "event":
			ok = any(func(v string) bool { return isAction(event.Action, v) })
		case "label":
			ok = !slices.ContainsFunc(values, func(v string) bool { return !hasLabel(event.Attributes, v) })
		case "image":
			ok = any(func(v string) bool { return ofImage(event, v) })
		default: // a type: its objects by the beginning of their ids or names
			ok = any(func(v string) bool {
				return event.Type == key && v != "" && (strings.HasPrefix(event.ID, v) || strings.HasPrefix(event.Attributes["name"], v))
			})
		}
		if !ok {
			return false
		}
	}
	return true
}

// isAction matches "exec_create: sh" by "exec_create" as well.
func isAction(action, wanted string) bool {
	word, _, _ := strings.Cut(action, ":")
	return action == wanted || word == wanted
}

// ofImage matches events of an image, and of containers made from it, by id or name,
// with or without a tag.
func ofImage(event *store.Event, wanted string) bool {
	name, id := event.Attributes["image"], ""
	if event.Type == "image" {
		name, id = event.Attributes["name"], event.ID
	}
	for _, have := range []string{name, id} {
		if have != "" && (have == wanted || withoutTag(have) == wanted) {
			return true
		}
	}
	return false
}

func withoutTag(name string) string {
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		return name[:i]
	}
	return name
}
