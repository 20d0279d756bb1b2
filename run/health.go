package run

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/skiff-containers/skiff/conmon"
	"github.com/skiff-containers/skiff/store"
)

// HealthOptions are the flags that say how a container's health is asked for, and
// how long it may live. Zero values take the image's, and then Docker's defaults.
type HealthOptions struct {
	HealthCommand       string // for a shell, or a JSON array of arguments; "none" as NoHealth
	HealthInterval      time.Duration
	HealthTimeout       time.Duration
	HealthStartPeriod   time.Duration
	HealthStartInterval time.Duration
	HealthRetries       int
	HealthOnFailure     string // "none", "kill", "restart" or "stop"
	NoHealth            bool

	Timeout uint // seconds, after which the container is killed; 0 is never
}

// The first words of a health check's test.
const (
	healthNone  = "NONE"
	healthArgs  = "CMD"
	healthShell = "CMD-SHELL"
)

// shortestHealth is Docker's lower bound of the durations that are given.
const shortestHealth = time.Millisecond

// healthcheck joins what was asked for with what the image says; nil is none.
func (o *HealthOptions) healthcheck(image *store.Healthcheck) (*store.Healthcheck, error) {
	asked := o.HealthCommand != "" || o.HealthInterval != 0 || o.HealthTimeout != 0 || o.HealthStartPeriod != 0 ||
		o.HealthStartInterval != 0 || o.HealthRetries != 0
	if o.NoHealth && asked {
		return nil, errors.New("--no-healthcheck conflicts with --health-* options")
	}
	if o.NoHealth || o.HealthCommand == "none" {
		return &store.Healthcheck{Test: []string{healthNone}}, nil
	}
	h := &store.Healthcheck{
		Test: healthTest(o.HealthCommand), Interval: o.HealthInterval, Timeout: o.HealthTimeout,
		StartPeriod: o.HealthStartPeriod, StartInterval: o.HealthStartInterval, Retries: o.HealthRetries,
	}
	if err := checkHealth(h); err != nil {
		return nil, err
	}
	if image != nil {
		inherit(h, image)
	}
	if len(h.Test) == 0 {
		if asked || o.HealthOnFailure != "" && o.HealthOnFailure != "none" {
			return nil, errors.New("a health check without a command: the image has none, so --health-cmd is needed")
		}
		return nil, nil
	}
	if h.OnFailure = o.HealthOnFailure; !slices.Contains([]string{"", "none", "kill", "restart", "stop"}, h.OnFailure) {
		return nil, fmt.Errorf("invalid --health-on-failure %q: use none, kill, restart or stop", h.OnFailure)
	}
	return h, nil
}

// healthTest reads --health-cmd.
func healthTest(command string) []string {
	var args []string
	if command == "" {
		return nil
	}
	if json.Unmarshal([]byte(command), &args) != nil || len(args) == 0 {
		return []string{healthShell, command}
	}
	if slices.Contains([]string{healthArgs, healthShell, healthNone}, args[0]) {
		return args
	}
	return append([]string{healthArgs}, args...)
}

func checkHealth(h *store.Healthcheck) error {
	for _, d := range []struct {
		value time.Duration
		flag  string
	}{
		{h.Interval, "interval"}, {h.Timeout, "timeout"}, {h.StartPeriod, "start-period"}, {h.StartInterval, "start-interval"},
	} {
		if d.value < 0 {
			return fmt.Errorf("--health-%s cannot be negative", d.flag)
		}
		if d.value != 0 && d.value < shortestHealth {
			return fmt.Errorf("--health-%s cannot be less than %v", d.flag, shortestHealth)
		}
	}
	if h.Retries < 0 {
		return errors.New("--health-retries cannot be negative")
	}
	return nil
}

// inherit takes what was not given from the image.
func inherit(h, image *store.Healthcheck) {
	if len(h.Test) == 0 {
		h.Test = image.Test
	}
	for _, d := range []struct{ own, image *time.Duration }{
		{&h.Interval, &image.Interval}, {&h.Timeout, &image.Timeout}, {&h.StartPeriod, &image.StartPeriod}, {&h.StartInterval, &image.StartInterval},
	} {
		if *d.own == 0 && *d.image >= shortestHealth {
			*d.own = *d.image
		}
	}
	if h.Retries == 0 && image.Retries > 0 {
		h.Retries = image.Retries
	}
}

// healthSetup is what the shim is told: nil where nothing is to be checked.
func healthSetup(h *store.Healthcheck) *conmon.Health {
	if h == nil || len(h.Test) < 2 {
		return nil
	}
	s := &conmon.Health{
		Interval: h.Interval, Timeout: h.Timeout, StartPeriod: h.StartPeriod, StartInterval: h.StartInterval,
		Retries: h.Retries, OnFailure: h.OnFailure,
	}
	switch h.Test[0] {
	case healthArgs:
		s.Args = h.Test[1:]
	case healthShell:
		s.Args = []string{"/bin/sh", "-c", h.Test[1]}
	default:
		return nil
	}
	for _, d := range []struct {
		value    *time.Duration
		fallback time.Duration
	}{
		{&s.Interval, 30 * time.Second}, {&s.Timeout, 30 * time.Second}, {&s.StartInterval, 5 * time.Second},
	} {
		if *d.value == 0 {
			*d.value = d.fallback
		}
	}
	if s.Retries == 0 {
		s.Retries = 3
	}
	return s
}

// HealthOf is a container's health as its shim last wrote it; nil where it has no
// health check, or has never run.
func (e *Engine) HealthOf(r *store.Record, s *store.State) *store.Health {
	if healthSetup(r.Config.Healthcheck) == nil {
		return nil
	}
	h, err := store.ReadHealth(filepath.Join(e.Store.Root, "containers", r.ID))
	if err != nil {
		return nil
	}
	if h == nil && s.Up() { // the shim has yet to ask for the first time
		h = &store.Health{Status: store.HealthStarting, Log: []store.HealthResult{}}
	}
	return h
}
