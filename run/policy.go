package run

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/conmon"
	"github.com/skiff-containers/skiff/store"
)

// The restart policies.
const (
	restartNo            = "no"
	restartAlways        = "always"
	restartUnlessStopped = "unless-stopped"
	restartOnFailure     = "on-failure"
)

// parseRestart reads --restart: a policy's name, and after a colon how often
// on-failure starts the container again.
func parseRestart(text string, autoRemove bool) (p store.RestartPolicy, err error) {
	name, count, counted := strings.Cut(text, ":")
	p.Name = name
	switch {
	case text == "":
		p.Name = restartNo
	case name == "":
		return p, errors.New("invalid restart policy format: no policy provided before colon")
	}
	if count != "" {
		if p.MaximumRetryCount, err = strconv.Atoi(count); err != nil {
			return p, errors.New("invalid restart policy format: maximum retry count must be an integer")
		}
	}
	switch p.Name {
	case restartNo, restartAlways, restartUnlessStopped:
		if counted && p.MaximumRetryCount != 0 {
			return p, errors.New("invalid restart policy: maximum retry count can only be used with 'on-failure'")
		}
	case restartOnFailure:
		if p.MaximumRetryCount < 0 {
			return p, errors.New("invalid restart policy: maximum retry count cannot be negative")
		}
	default:
		return p, fmt.Errorf("invalid restart policy: unknown policy '%s'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'", p.Name)
	}
	if autoRemove && p.Name != restartNo {
		return p, errors.New("conflicting options: cannot specify both --restart and --rm")
	}
	return p, nil
}

// startsOnBoot tells whether a container's policy wants it back after a boot.
func startsOnBoot(s *Summary) bool {
	switch s.Record.HostConfig.RestartPolicy.Name {
	case restartAlways:
		return true
	case restartUnlessStopped:
		return !s.State.UserStopped && !s.State.StartedAt.IsZero()
	}
	return false
}

// longestAttributes bounds what a shim is told of labels, for its events.
const longestAttributes = 32 << 10

// live tells the shim what a container's life beyond its first process needs.
func live(setup *conmon.Setup, r *store.Record) (err error) {
	if setup.Runtime, err = runtimePath(r.HostConfig.Runtime); err != nil {
		return err
	}
	setup.Restart, setup.PidFile = r.HostConfig.RestartPolicy, r.HostConfig.PidFile
	setup.StopSignal, _ = stopSignal(r, "")
	for _, p := range peersOf(&r.HostConfig) {
		if setup.Joined == nil {
			setup.Joined = map[specs.LinuxNamespaceType]string{}
		}
		setup.Joined[p.kind] = p.id
	}
	setup.StopTimeout = stopTimeout(r, nil)
	setup.Health, setup.Timeout = healthSetup(r.Config.Healthcheck), time.Duration(r.Config.Timeout)*time.Second
	setup.Attributes = r.Event("").Attributes
	size := 0
	for key, value := range setup.Attributes {
		size += len(key) + len(value)
	}
	if size > longestAttributes {
		maps.DeleteFunc(setup.Attributes, func(key, _ string) bool { return key != "name" && key != "image" })
	}
	return nil
}
