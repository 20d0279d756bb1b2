package run

import (
	"fmt"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/netns"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
)

// peer is a namespace that a container shares with another one.
type peer struct {
	kind specs.LinuxNamespaceType
	file string // its name in /proc/PID/ns
	id   string // of the other container
}

// peersOf lists the namespaces of other containers that one joins.
func peersOf(h *store.HostConfig) []peer {
	var all []peer
	if id := netns.Mode(h.NetworkMode).Container(); id != "" {
		all = append(all, peer{specs.NetworkNamespace, "net", id})
	}
	if id, ok := strings.CutPrefix(h.IpcMode, modeContainer); ok {
		all = append(all, peer{specs.IPCNamespace, "ipc", id})
	}
	if id, ok := strings.CutPrefix(h.PidMode, modeContainer); ok {
		all = append(all, peer{specs.PIDNamespace, "pid", id})
	}
	if id, ok := strings.CutPrefix(h.UsernsMode, modeContainer); ok {
		all = append(all, peer{specs.UserNamespace, "user", id})
	}
	return all
}

// joinPeers makes the config of a container that shares namespaces of others lead to
// those as they run now. Check tells afterwards whether they still did so when the
// namespaces were entered: as long as a process lives, its number means no other.
func (e *Engine) joinPeers(c *store.Container, r *store.Record) (check func() error, err error) {
	peers := peersOf(&r.HostConfig)
	if len(peers) == 0 {
		return func() error { return nil }, nil
	}
	paths := map[specs.LinuxNamespaceType]string{}
	var checks []func() error
	for _, p := range peers {
		init, err := e.peerInit(p)
		if err != nil {
			return nil, err
		}
		if err := stillThere(p, init); err != nil {
			return nil, err
		}
		paths[p.kind] = fmt.Sprintf("/proc/%d/ns/%s", init.PID, p.file)
		checks = append(checks, func() error { return stillThere(p, init) })
	}
	err = rewriteSpec(c.Dir, func(s *specs.Spec) {
		for i := range s.Linux.Namespaces {
			if n := &s.Linux.Namespaces[i]; paths[n.Type] != "" {
				n.Path = paths[n.Type]
			}
		}
	})
	return func() error {
		for _, check := range checks {
			if err := check(); err != nil {
				return err
			}
		}
		return nil
	}, err
}

// peerInit is the first process of the container that a namespace is shared with.
func (e *Engine) peerInit(p peer) (store.ProcessID, error) {
	other, err := e.Store.Find(p.id)
	if err != nil {
		return store.ProcessID{}, fmt.Errorf("joining the %s of a container: %w", p.what(), err)
	}
	state, err := other.State()
	if err != nil {
		return store.ProcessID{}, err
	}
	if !state.Alive() {
		return store.ProcessID{}, p.refusal()
	}
	return state.Init, nil
}

func stillThere(p peer, init store.ProcessID) error {
	pidfd, err := init.Open()
	if err != nil {
		return err
	}
	if pidfd == nil {
		return p.refusal()
	}
	return pidfd.Close()
}

func (p peer) what() string {
	if p.kind == specs.NetworkNamespace {
		return "network"
	}
	return p.file + " namespace"
}

func (p peer) refusal() error {
	return &userns.HostError{
		What: fmt.Sprintf("cannot join %s of a non running container: %.12s", p.what(), p.id),
		Hint: fmt.Sprintf("skiff start %.12s", p.id),
	}
}
