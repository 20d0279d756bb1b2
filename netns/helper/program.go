package helper

import (
	"github.com/skiff-containers/skiff/netns"
	"github.com/skiff-containers/skiff/netns/helper/driver"
	"github.com/skiff-containers/skiff/netns/helper/member"
	"github.com/skiff-containers/skiff/store"
)

// runProgram connects a container by the program that it wants instead of networks of
// ours. The caller holds a.mu. It runs as long as the container is attached, or as we
// live: a helper that takes over runs another one.
func (h *helper) runProgram(a *attachment, m *member.Member) error {
	if a.program != nil {
		return nil // there is nothing about it that changes
	}
	bound, err := store.ReadBound(a.dir)
	if err != nil {
		return err
	}
	program, err := driver.Start(driver.Config{
		Kind: m.Attachment.Driver, Options: m.Attachment.Options, Server: netns.ProgramServer(m.Attachment),
		Container: a.space.File(), Dir: a.dir, Ports: again(m.Attachment.Ports, bound),
	})
	if err != nil {
		return err
	}
	a.program = program
	a.member.Swap(m)
	h.directory.Put(m)
	h.arrived(a.id)
	go h.watchProgram(a, program, m.Attachment.Driver)
	return store.WriteBound(a.dir, program.Ports)
}

// watchProgram notes the end of a program that nobody has ended.
func (h *helper) watchProgram(a *attachment, program *driver.Running, name string) {
	<-program.Ended()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.program == program {
		h.logf("%s of container %.12s has ended: %v", name, a.id, program.Err())
	}
}

// stopProgram ends what runProgram has begun. The caller holds a.mu.
func (a *attachment) stopProgram() {
	if a.program != nil {
		program := a.program
		a.program = nil
		program.Stop()
	}
}

// again is what was asked for with the numbers that an earlier helper has found for it.
func again(asked, bound []store.Port) []store.Port {
	if len(asked) != len(bound) {
		return asked
	}
	for i, p := range asked {
		if b := bound[i]; b.ContainerPort != p.ContainerPort || b.Protocol != p.Protocol || b.HostIP != p.HostIP {
			return asked
		}
	}
	return bound
}
