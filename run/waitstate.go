package run

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/skiff-containers/skiff/conmon"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
)

// stateConditions are podman's conditions of wait: states that a container is looked at for.
var stateConditions = map[string]func(*store.State) bool{
	"configured":  func(s *store.State) bool { return s.Status == store.Created },
	"created":     func(s *store.State) bool { return s.Status == store.Created },
	"initialized": func(s *store.State) bool { return s.Status == store.Created && s.Init.PID != 0 },
	"running":     func(s *store.State) bool { return s.Status == store.Running },
	"paused":      func(s *store.State) bool { return s.Status == store.Paused },
	"restarting":  func(s *store.State) bool { return s.Status == store.Restarting },
	"exited":      func(s *store.State) bool { return s.Status == store.Exited },
	"stopped":     func(s *store.State) bool { return s.Status == store.Exited },
	"removing":    func(s *store.State) bool { return s.Status == store.Removing },
}

// healthConditions are the states of health that wait understands.
var healthConditions = []string{store.HealthHealthy, store.HealthUnhealthy}

// WaitConditions are the words that Wait and WaitState understand, Docker's first.
func WaitConditions() []string {
	words := []string{"not-running", "next-exit", "removed"}
	for word := range stateConditions {
		words = append(words, word)
	}
	words = append(words, healthConditions...)
	slices.Sort(words[3:])
	return words
}

// WaitState blocks until a container is in one of the states, looking every interval,
// and returns its exit code, or -1 where it has not ended. Docker's conditions may stand
// alone only, for [Engine.Wait].
func (e *Engine) WaitState(ctx context.Context, ref string, conditions []string, interval time.Duration) (exitCode int, err error) {
	defer e.tidy()()
	if len(conditions) == 1 && stateConditions[conditions[0]] == nil && !slices.Contains(healthConditions, conditions[0]) {
		return e.Wait(ctx, ref, conditions[0])
	}
	c, err := e.Store.Find(ref)
	if err != nil {
		return 0, err
	}
	for {
		state, err := c.State()
		if err != nil {
			return 0, err
		}
		for _, condition := range conditions {
			met, err := e.meets(c, state, condition)
			switch {
			case err != nil:
				return 0, err
			case met && state.Status == store.Exited:
				return state.ExitCode, nil
			case met:
				return -1, nil
			}
		}
		if err := pause(ctx, interval); err != nil {
			return 0, err
		}
	}
}

// meets tells whether a container meets one of podman's conditions. One that has ended
// gets no other health.
func (e *Engine) meets(c *store.Container, state *store.State, condition string) (bool, error) {
	if met := stateConditions[condition]; met != nil {
		return met(state), nil
	}
	if !slices.Contains(healthConditions, condition) {
		return false, fmt.Errorf("invalid condition %q: it stands alone, or is none of %v", condition, WaitConditions())
	}
	r, err := c.Record()
	switch {
	case err != nil:
		return false, err
	case healthSetup(r.Config.Healthcheck) == nil:
		return false, &userns.HostError{What: fmt.Sprintf("container %q has no health check", r.Name), Hint: "give it one by --health-cmd"}
	case !state.Up() && state.Status != store.Created:
		return false, notRunning(r, "wait for the health of", conmon.ErrGone)
	}
	h := e.HealthOf(r, state)
	return state.Alive() && h != nil && h.Status == condition, nil
}
