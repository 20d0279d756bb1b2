package store

import (
	"errors"
	"io/fs"
	"path/filepath"
	"time"
)

// The states of a container's health (Docker's words).
const (
	HealthStarting  = "starting"
	HealthHealthy   = "healthy"
	HealthUnhealthy = "unhealthy"
)

// Health is health.json: how a container's health check went. The shim writes it
// after each; the field names are Docker's.
type Health struct {
	Status        string
	FailingStreak int
	Log           []HealthResult // the last ones, the oldest first
}

// HealthResult is how one check went.
type HealthResult struct {
	Start, End time.Time
	ExitCode   int // 0 is healthy; -1 where it did not come to an end or could not be started
	Output     string
}

const healthFile = "health.json"

// WriteHealth replaces health.json in a container's folder. It is not synced: a
// container that a power cut has ended has no health.
func WriteHealth(dir string, h *Health) error {
	return WriteJSON(filepath.Join(dir, healthFile), h, Fleeting)
}

// ReadHealth reads health.json; nil where there is none.
func ReadHealth(dir string) (*Health, error) {
	var h Health
	err := ReadJSON(filepath.Join(dir, healthFile), &h)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &h, nil
}
