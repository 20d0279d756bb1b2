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

	labels  map[string]string
	summary run.Summary
	written int64 // what Size begins with
}

// Label is the value of one label, or empty.
func (r *containerRow) Label(name string) string { return cell(r.labels[name]) }

// Podman's further fields. They are methods, as JSON has Docker's alone.

// Pid is the first process's id on the host, 0 where none runs.
func (r *containerRow) Pid() int {
	if !r.summary.State.Alive() {
		return 0
	}
	return r.summary.State.Init.PID
}

// ExitCode is that of the last end.
func (r *containerRow) ExitCode() int { return r.summary.State.ExitCode }

// Exited tells whether the container has run and ended.
func (r *containerRow) Exited() bool { return r.summary.State.Status == store.Exited }

// ExitedAt and StartedAt are in seconds since 1970.
func (r *containerRow) ExitedAt() int64  { return r.summary.State.FinishedAt.Unix() }
func (r *containerRow) StartedAt() int64 { return r.summary.State.StartedAt.Unix() }

// Created is how long ago it was made.
func (r *containerRow) Created() string { return r.RunningFor }

// ImageID is the image's, short.
func (r *containerRow) ImageID() string { return shortID(r.summary.Record.Image.ID) }

// CIDFile is where --cidfile had the id written.
func (r *containerRow) CIDFile() string { return cell(r.summary.Record.HostConfig.ContainerIDFile) }

// Restarts is how often its policy started it again.
func (r *containerRow) Restarts() int { return r.summary.State.RestartCount }

// HealthStatus is "starting", "healthy" or "unhealthy".
func (r *containerRow) HealthStatus() string { return cell(r.summary.Health) }

func containerHeadings() map[string]string {
	return map[string]string{
		"Command": "COMMAND", "CreatedAt": "CREATED AT", "ID": "CONTAINER ID", "Image": "IMAGE",
		"Labels": "LABELS", "LocalVolumes": "LOCAL VOLUMES", "Mounts": "MOUNTS", "Names": "NAMES",
		"Networks": "NETWORKS", "Platform": "PLATFORM", "Ports": "PORTS", "RunningFor": "CREATED",
		"Size": "SIZE", "State": "STATE", "Status": "STATUS",
		"Pid": "PID", "ExitCode": "EXIT CODE", "Exited": "EXITED", "ExitedAt": "EXITED AT", "StartedAt": "STARTED AT",
		"Created": "CREATED", "ImageID": "IMAGE ID", "CIDFile": "CIDFILE", "Restarts": "RESTARTS", "HealthStatus": "HEALTH",
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
		Status:       statusText(c.State, c.Health),
		labels:       r.Config.Labels,
		summary:      c,
	}
	if !whole {
		row.ID = shortID(row.ID)
	}
	return row
}

// statusText is the state in Docker's words: "Up 2 hours (healthy)", "Exited (0) 3 minutes ago".
func statusText(s *store.State, health string) string {
	switch s.Status {
	case store.Created:
		return "Created"
	case store.Paused:
		return "Up " + units.HumanDuration(time.Since(s.StartedAt)) + " (Paused)"
	case store.Restarting:
		return fmt.Sprintf("Restarting (%d) %s", s.ExitCode, ago(s.FinishedAt))
	case store.Running:
		text := "Up " + units.HumanDuration(time.Since(s.StartedAt))
		switch health {
		case "":
		case store.HealthStarting:
			text += " (health: starting)"
		default:
			text += " (" + cell(health) + ")"
		}
		return text
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
