package run

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/skiff-containers/skiff/netns"
	"github.com/skiff-containers/skiff/registry"
	"github.com/skiff-containers/skiff/store"
)

// rowFilter selects rows of ps: of one key's values any must match, of the keys all.
type rowFilter struct {
	status bool // it asks for states, so that all containers are looked at
	ids    []string
	tests  []func(*Summary) bool
}

// mayBe tells by the id alone whether a container can match.
func (f *rowFilter) mayBe(id string) bool {
	return len(f.ids) == 0 || slices.ContainsFunc(f.ids, func(part string) bool { return strings.Contains(id, part) })
}

func (f *rowFilter) row(s *Summary) bool {
	for _, test := range f.tests {
		if !test(s) {
			return false
		}
	}
	return true
}

// filters reads --filter key=value pairs by Docker's rules.
func (e *Engine) filters(asked map[string][]string) (*rowFilter, error) {
	f := &rowFilter{}
	for key, values := range asked {
		if len(values) == 0 {
			continue
		}
		if key == "id" {
			f.ids = values
			continue
		}
		tests := make([]func(*Summary) bool, len(values))
		for i, value := range values {
			test, err := e.filter(key, value)
			if err != nil {
				return nil, err
			}
			tests[i] = test
		}
		every := key == "label" || key == "label!" // several labels must all be there
		f.status = f.status || key == "status" || key == "exited" || key == "health" && slices.Contains(values, "none")
		f.tests = append(f.tests, func(s *Summary) bool {
			for _, test := range tests {
				if test(s) != every {
					return !every
				}
			}
			return every
		})
	}
	return f, nil
}

func (e *Engine) filter(key, value string) (func(*Summary) bool, error) {
	switch key {
	case "name":
		pattern, err := regexp.Compile(value)
		if err != nil {
			return nil, fmt.Errorf("parsing filter %q: %w", key+"="+value, err)
		}
		return func(s *Summary) bool {
			return pattern.MatchString(s.Record.Name) || pattern.MatchString("/"+s.Record.Name)
		}, nil
	case "label!":
		return func(s *Summary) bool { return !hasLabel(s.Record.Config.Labels, value) }, nil
	case "label":
		return func(s *Summary) bool { return hasLabel(s.Record.Config.Labels, value) }, nil
	case "status":
		if !slices.Contains([]string{"created", "restarting", "running", "removing", "paused", "exited", "dead", "configured", "stopped"}, value) {
			return nil, fmt.Errorf("invalid filter %q: no such status", key+"="+value)
		}
		podmans := map[string]string{"configured": "created", "stopped": "exited"}
		return func(s *Summary) bool {
			return string(s.State.Status) == value || string(s.State.Status) == podmans[value]
		}, nil
	case "health":
		if !slices.Contains([]string{"starting", "healthy", "unhealthy", "none"}, value) {
			return nil, fmt.Errorf("invalid filter %q: no such health", key+"="+value)
		}
		return func(s *Summary) bool { return s.Health == value || s.Health == "" && value == "none" }, nil
	case "is-task": // of a swarm, which no container here is
		task, err := strconv.ParseBool(value)
		if err != nil {
			return nil, fmt.Errorf("invalid filter %q: neither true nor false", key+"="+value)
		}
		return func(*Summary) bool { return !task }, nil
	case "should-start-on-boot":
		wanted, err := strconv.ParseBool(value)
		if err != nil {
			return nil, fmt.Errorf("invalid filter %q: neither true nor false", key+"="+value)
		}
		return func(s *Summary) bool { return startsOnBoot(s) == wanted }, nil
	case "restart-policy":
		return func(s *Summary) bool {
			have := s.Record.HostConfig.RestartPolicy.Name
			return have == value || have == "" && value == "no"
		}, nil
	case "until":
		then, err := ParseTime(value, time.Now())
		if err != nil {
			return nil, fmt.Errorf("invalid filter %q: %w", key+"="+value, err)
		}
		return func(s *Summary) bool { return s.Record.Created.Before(then) }, nil
	case "exited":
		code, err := strconv.Atoi(value)
		if err != nil {
			return nil, fmt.Errorf("invalid filter %q: not an exit code", key+"="+value)
		}
		return func(s *Summary) bool { return s.State.Status == store.Exited && s.State.ExitCode == code }, nil
	case "ancestor":
		return e.ancestor(value), nil
	case "before", "since":
		return e.relative(key, value)
	case "network":
		return e.inNetwork(value), nil
	case "publish", "expose":
		return portFilter(key, value)
	case "volume":
		return func(s *Summary) bool {
			return slices.ContainsFunc(s.Record.HostConfig.Mounts, func(m store.Mount) bool { return m.Source == value || m.Target == path.Clean(value) })
		}, nil
	}
	return nil, fmt.Errorf("invalid filter %q", key)
}

// portFilter matches running containers by a port that the host has for them
// (publish) or that they have or expose themselves (expose), as <number>[-<number>][/<protocol>].
func portFilter(key, value string) (func(*Summary) bool, error) {
	numbers, protocol, found := strings.Cut(value, "/")
	if !found {
		protocol = "tcp"
	}
	from, to, ranged := strings.Cut(numbers, "-")
	if !ranged {
		to = from
	}
	first, err := strconv.ParseUint(from, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("invalid filter %q: no such port", key+"="+value)
	}
	last, err := strconv.ParseUint(to, 10, 16)
	if err != nil || last < first {
		return nil, fmt.Errorf("invalid filter %q: no such range of ports", key+"="+value)
	}
	is := func(port uint16, of string) bool {
		return uint64(port) >= first && uint64(port) <= last && strings.EqualFold(of, protocol)
	}
	return func(s *Summary) bool {
		if slices.ContainsFunc(s.Ports, func(p store.Port) bool {
			if key == "publish" {
				return is(p.HostPort, p.Protocol)
			}
			return is(p.ContainerPort, p.Protocol)
		}) {
			return true
		}
		if key == "publish" || !s.State.Alive() {
			return false
		}
		for exposed := range s.Record.Config.ExposedPorts {
			if port, of, err := netns.ParsePortKey(exposed); err == nil && is(port, of) {
				return true
			}
		}
		return false
	}, nil
}

func hasLabel(labels map[string]string, want string) bool {
	key, value, valued := strings.Cut(want, "=")
	have, ok := labels[key]
	return ok && (!valued || have == value)
}

// ancestor matches containers of an image or of one that is built on it.
func (e *Engine) ancestor(text string) func(*Summary) bool {
	img, _, err := registry.Find(e.Store, text)
	if err != nil {
		// The image may have been removed or given another name since.
		return func(s *Summary) bool { return s.Record.Image.Reference == text || s.Record.Image.ID == text }
	}
	return func(s *Summary) bool {
		have := &s.Record.Image
		return have.ID == img.ID || len(img.Layers) > 0 && len(have.Layers) > len(img.Layers) && slices.Equal(have.Layers[:len(img.Layers)], img.Layers)
	}
}

func (e *Engine) relative(key, ref string) (func(*Summary) bool, error) {
	_, r, err := e.find(ref)
	if err != nil {
		return nil, err
	}
	then := r.Created
	if key == "before" {
		return func(s *Summary) bool { return s.Record.Created.Before(then) }, nil
	}
	return func(s *Summary) bool { return s.Record.Created.After(then) }, nil
}
