package run

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/skiff-containers/skiff/store"
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

// WaitConditions are the words that Wait and WaitState understand, Docker's first.
func WaitConditions() []string {
	words := []string{"not-running", "next-exit", "removed"}
	for word := range stateConditions {
		words = append(words, word)
	}
	slices.Sort(words[3:])
	return words
}

// WaitState blocks until a container is in one of the states, looking every interval,
// and returns its exit code, or -1 where it has not ended. Docker's conditions may stand
// alone only, for [Engine.Wait].
func (e *Engine) WaitState(ctx context.Context, ref string, conditions []string, interval time.Duration) (exitCode int, err error) {
	defer e.tidy()()
	if len(conditions) == 1 && stateConditions[conditions[0]] == nil {
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
			met := stateConditions[condition]
			if met == nil {
				return 0, fmt.Errorf("invalid condition %q: it stands alone, or is none of %v", condition, WaitConditions())
			}
			if met(state) && state.Status == store.Exited {
				return state.ExitCode, nil
			} else if met(state) {
				return -1, nil
			}
		}
		if err := pause(ctx, interval); err != nil {
			return 0, err
		}
	}
}
