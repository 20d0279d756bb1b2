package oci

import (
	"fmt"
	"os"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/userns"
)

// aside is what a start needs that most do not: hooks, a hold, descriptors to keep.
// A nil one is that of the others.
type aside struct {
	Extras
	launch   *Launch // nil for exec
	outlives bool
}

func (l *Launch) aside() *aside {
	a := &aside{Extras: l.Extras, launch: l, outlives: l.Hold != nil}
	if l.Spec.Hooks == nil && !a.outlives && a.empty() && !l.NoPivot && !l.AllCgroups {
		return nil
	}
	return a
}

func (e *Exec) aside() *aside {
	a := &aside{Extras: e.Extras, outlives: e.Outlives}
	if !a.outlives && a.empty() {
		return nil
	}
	return a
}

func (e *Extras) empty() bool {
	return e.Program == nil && e.Preserve == nil && !e.NoKeyring && e.FilterFlags == 0 && !e.Notify
}

// program is what the stage is executed from.
func (a *aside) program() (*os.File, error) {
	if a != nil && a.Program != nil {
		return a.Program()
	}
	return openProgram()
}

// pass adds the descriptors that the stage gets. Those to keep come first, so that
// they stand where the process looks for them.
func (a *aside) pass(cmd *userns.Command) {
	if a == nil {
		return
	}
	var kept []userns.File
	for i, f := range a.Preserve {
		kept = append(kept, userns.File{Name: fmt.Sprint("kept-", i), File: f})
	}
	cmd.Files = append(kept, cmd.Files...)
	if a.launch != nil && a.launch.Hold != nil {
		cmd.Files = append(cmd.Files, userns.File{Name: holdName, File: a.launch.Hold})
	}
}

// complete tells the stage of it. pid is the process's, as hooks are told it.
func (a *aside) complete(c *config, pid int) error {
	if a == nil {
		return nil
	}
	p := &c.Process
	p.Outlives, p.Preserved = a.outlives, len(a.Preserve)
	p.FilterFlags, p.Notify = a.FilterFlags, a.Notify
	if a.NoKeyring {
		if p.Rare == nil {
			p.Rare = new(rareConfig)
		}
		p.Rare.KeepKeyring = true
	}
	if a.launch == nil {
		return nil
	}
	p.Hold = a.launch.Hold != nil
	c.Container.NoPivot, c.Container.AllCgroups = a.launch.NoPivot, a.launch.AllCgroups
	hooks := a.launch.Spec.Hooks
	if hooks == nil {
		return nil
	}
	c.Container.Announce = len(runtimeHooks(hooks)) > 0
	var err error
	if c.Container.Hooks, err = compileHooks("createContainer", hooks.CreateContainer, a.launch.State(pid, specs.StateCreating)); err != nil {
		return err
	}
	p.Hooks, err = compileHooks("startContainer", hooks.StartContainer, a.launch.State(pid, specs.StateCreated))
	return err
}

// runtimeHooks are those that run in the runtime's namespaces during create.
func runtimeHooks(h *specs.Hooks) []specs.Hook {
	//lint:ignore SA1019 old configs have prestart hooks, and none is to be passed over
	return slices.Concat(h.Prestart, h.CreateRuntime)
}

func (a *aside) answers(pid int) *answers {
	if a == nil {
		return nil
	}
	return &answers{listen: a.Listener, hooks: func() error {
		return RunHooks("createRuntime", runtimeHooks(a.launch.Spec.Hooks), a.launch.State(pid, specs.StateCreating))
	}}
}

// State is what hooks are told of the container (runtime-spec, "State").
func (l *Launch) State(pid int, status specs.ContainerState) *specs.State {
	return &specs.State{Version: specs.Version, ID: l.ID, Status: status, Pid: pid, Bundle: l.Bundle, Annotations: l.Spec.Annotations}
}

// ReleaseTo is [Release] for a process whose filter has a listener, which is handed
// to listen before the program is executed.
func ReleaseTo(conn *os.File, listen func(listener *os.File) error) error {
	return release(conn, &answers{listen: listen})
}
