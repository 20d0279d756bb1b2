package conmon

import (
	"time"

	"github.com/skiff-containers/skiff/store"
)

// The words of a restart policy that ask for another start (docker run --restart).
const (
	always        = "always"
	unlessStopped = "unless-stopped"
	onFailure     = "on-failure"
)

// How long a container that has ended waits for its next start: at first, and at
// most, as in Docker. Each time it doubles, until a life has lasted settled.
const (
	shortestPause = 100 * time.Millisecond
	longestPause  = time.Minute
	settled       = 10 * time.Second
)

// policy says whether a container that has ended by itself is started again.
type policy struct {
	store.RestartPolicy
	count int // starts that it has asked for
	pause time.Duration
}

// after tells whether another start follows an end with an exit code, and after
// what pause.
func (p *policy) after(code int, lasted time.Duration) (pause time.Duration, again bool) {
	switch p.Name {
	case always, unlessStopped:
		again = true
	case onFailure:
		again = code != 0 && (p.MaximumRetryCount == 0 || p.count < p.MaximumRetryCount)
	}
	if !again {
		return 0, false
	}
	p.count++
	return p.backOff(lasted), true
}

// backOff is the pause before the next start.
func (p *policy) backOff(lasted time.Duration) time.Duration {
	if lasted >= settled {
		p.pause = 0
	}
	p.pause = min(max(2*p.pause, shortestPause), longestPause)
	return p.pause
}
