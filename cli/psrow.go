package cli

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/skiff-containers/skiff/run"
	"github.com/skiff-containers/skiff/store"
)

// containerRow is a container as --format sees it: Docker's fields, in the order
// of its JSON.
type containerRow struct {
	Command      string
	CreatedAt    string
	ID           string
	Image        string
	Labels       string
	LocalVolumes string
	Mounts       string
	Names        string
	Networks     string
	Platform     string
	Ports        string
	RunningFor   string
	Size         string
	State        string
	Status       string

	labels map[string]string
}

// Label is the value of one label, or empty.
func (r *containerRow) Label(name string) string { return cell(r.labels[name]) }

func containerHeadings() map[string]string {
	return map[string]string{
		"Command": "COMMAND", "CreatedAt": "CREATED AT", "ID": "CONTAINER ID", "Image": "IMAGE",
		"Labels": "LABELS", "LocalVolumes": "LOCAL VOLUMES", "Mounts": "MOUNTS", "Names": "NAMES",
		"Networks": "NETWORKS", "Platform": "PLATFORM", "Ports": "PORTS", "RunningFor": "CREATED",
		"Size": "SIZE", "State": "STATE", "Status": "STATUS",
	}
}

func containerRowOf(c run.Summary, whole bool) *containerRow {
	r := c.Record
	row := &containerRow{
		Command:      command(r, whole),
		CreatedAt:    createdAt(r.Created),
		ID:           r.ID,
		Image:        imageOf(r, whole),
		Labels:       labels(r.Config.Labels),
		LocalVolumes: "0",
		Mounts:       mounts(r.HostConfig, whole),
		Names:        cell(r.Name),
		Platform:     r.Image.Platform,
		Ports:        portsColumn(c),
		RunningFor:   ago(r.Created),
		Size:         "0B",
		State:        string(c.State.Status),
		Status:       statusText(c.State),
		labels:       r.Config.Labels,
	}
	if !whole {
		row.ID = shortID(row.ID)
	}
	return row
}

// statusText is the state in Docker's words: "Up 2 hours", "Exited (0) 3 minutes ago".
func statusText(s *store.State) string {
	switch s.Status {
	case store.Created:
		return "Created"
	case store.Running:
		return "Up " + units.HumanDuration(time.Since(s.StartedAt))
	case store.Exited:
		return fmt.Sprintf("Exited (%d) %s", s.ExitCode, ago(s.FinishedAt))
	case store.Removing:
		return "Removal In Progress"
	}
	return string(s.Status)
}

func ago(t time.Time) string { return units.HumanDuration(time.Since(t)) + " ago" }

// createdAt is how Docker writes a time in a column.
func createdAt(t time.Time) string {
	return t.Local().Truncate(time.Second).Format("2006-01-02 15:04:05 -0700 MST")
}

// command is the container's command as Docker shows it: arguments with a space
// stand in single quotes, and all of it in double ones.
func command(r *store.Record, whole bool) string {
	text := r.Path
	for _, arg := range r.Args {
		if strings.Contains(arg, " ") {
			arg = "'" + arg + "'"
		}
		text += " " + arg
	}
	if !whole {
		text = ellipsis(text, 20)
	}
	return strconv.Quote(text)
}

// imageOf is what the user called the image; without whole, a digest is left out
// of a name that has a tag.
func imageOf(r *store.Record, whole bool) string {
	name := r.Config.Image
	if name == "" {
		name = r.Image.Reference
	}
	if whole {
		return cell(name)
	}
	if before, _, found := strings.Cut(name, "@sha256:"); found {
		name = before
	}
	if strings.HasPrefix(name, "sha256:") {
		name = shortID(name)
	}
	return cell(name)
}

func labels(all map[string]string) string {
	var words []string
	for _, key := range slices.Sorted(maps.Keys(all)) {
		words = append(words, key+"="+all[key])
	}
	return cell(strings.Join(words, ","))
}

func mounts(h store.HostConfig, whole bool) string {
	var sources []string
	for _, m := range h.Mounts {
		if m.Source == "" {
			continue
		}
		if whole {
			sources = append(sources, m.Source)
		} else {
			sources = append(sources, ellipsis(m.Source, 15))
		}
	}
	return cell(strings.Join(sources, ","))
}
