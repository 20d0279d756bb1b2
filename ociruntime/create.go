package ociruntime

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/oci"
	"github.com/skiff-containers/skiff/run/seccomp"
	"github.com/skiff-containers/skiff/store"
	"golang.org/x/sys/unix"
)

// CreateOptions say how a container is made.
type CreateOptions struct {
	ID     string
	Bundle string
	Owner  string      // name of the caller, for the list
	Stdio  [3]*os.File // the process's, without a terminal
	ProcessOptions
	NoPivot      bool
	NoNewKeyring bool
	// Attached says that the caller waits for the end of the container, and copies its
	// terminal where there is no console socket.
	Attached bool
}

// ProcessOptions are those that create and exec share.
type ProcessOptions struct {
	PIDFile       string
	ConsoleSocket string // where the master of the terminal is sent, by SCM_RIGHTS
	Preserve      int    // descriptors from 3 on that the process keeps
	// TerminalSize is that of the caller's terminal, which shows the process's; nil
	// leaves what the config says. A process may ask before anybody could resize it.
	TerminalSize *specs.Box

	kept []*os.File // in place of those, for tests
}

// Create makes a container, whose first process then waits for [Runtime.Start]. What
// a failed one leaves is cleared away.
func (r *Runtime) Create(o *CreateOptions) error {
	_, _, err := r.create(o)
	return err
}

// Run is Create and Start.
func (r *Runtime) Run(o *CreateOptions) (*oci.Started, error) {
	c, started, err := r.create(o)
	if err != nil {
		return nil, err
	}
	if err := r.Start(o.ID); err != nil {
		if deleteErr := r.Delete(o.ID, true); deleteErr != nil {
			c.runtime.warn("%v", deleteErr)
		}
		return nil, err
	}
	return started, nil
}

func (r *Runtime) create(o *CreateOptions) (c *Container, started *oci.Started, err error) {
	if err := checkID(o.ID); err != nil {
		return nil, nil, err
	}
	bundle, err := filepath.Abs(o.Bundle)
	if err != nil {
		return nil, nil, err
	}
	spec, err := LoadBundle(bundle)
	if err != nil {
		return nil, nil, err
	}
	if err := r.settle(spec); err != nil {
		return nil, nil, err
	}
	rootfs, err := rootfsOf(bundle, spec)
	if err != nil {
		return nil, nil, err
	}
	if !o.Attached || o.ConsoleSocket != "" {
		if err := o.checkConsole(spec.Process); err != nil {
			return nil, nil, err
		}
	}
	filter, err := seccomp.CompileFilter(spec.Linux.Seccomp)
	if err != nil {
		return nil, nil, err
	}
	c = &Container{runtime: r, spec: spec, record: record{ID: o.ID, Creating: true, Bundle: bundle, Rootfs: rootfs, Created: time.Now().UTC(), Owner: o.Owner,
		Shared: !ownMounts(spec), Notify: filter.Notify}}
	unlock, err := r.reserve(o.ID)
	if err != nil {
		return nil, nil, err
	}
	defer unlock()
	defer func() {
		if err != nil {
			c.abandon()
		}
	}()
	if err := c.write(filter); err != nil {
		return nil, nil, err
	}
	started, err = c.launch(o, filter)
	return c, started, err
}

// ownMounts tells whether a spec asks for a mount namespace of the container's own.
func ownMounts(s *specs.Spec) bool {
	for _, n := range s.Linux.Namespaces {
		if n.Type == specs.MountNamespace {
			return n.Path == ""
		}
	}
	return false
}

// reserve makes the container's folder, which only one create can, and locks it.
func (r *Runtime) reserve(id string) (unlock func(), err error) {
	if err := r.refuseForeign(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(r.Root, 0o711); err != nil {
		return nil, fmt.Errorf("making the folder of containers: %w", err)
	}
	for {
		err := os.Mkdir(r.folder(id), 0o700)
		if errors.Is(err, os.ErrExist) {
			return nil, fmt.Errorf("container %q: %w", id, ErrExists)
		}
		if err != nil {
			return nil, fmt.Errorf("making the container's folder: %w", err)
		}
		unlock, err := r.lock(id)
		if errors.Is(err, ErrNotFound) {
			continue // a delete with force came between
		}
		if errors.Is(err, errCreating) { // ... and a further create
			return nil, fmt.Errorf("container %q: %w", id, ErrExists)
		}
		if err != nil {
			return nil, err
		}
		// A further create may have come as well, and have got the lock first.
		entries, err := os.ReadDir(r.folder(id))
		if err == nil && len(entries) > 0 {
			err = fmt.Errorf("container %q: %w", id, ErrExists)
		}
		if err != nil {
			unlock()
			return nil, err
		}
		return unlock, nil
	}
}

// write puts down what later commands need, before there is a process.
func (c *Container) write(filter *seccomp.Filter) error {
	data, err := json.Marshal(c.spec)
	if err != nil {
		return fmt.Errorf("writing the config: %w", err)
	}
	if err := store.WriteFile(c.path(fileConfig), data, store.Fleeting); err != nil {
		return err
	}
	if len(filter.Program) == 0 {
		return nil
	}
	return store.WriteFile(c.path(fileSeccomp), filter.Program, store.Fleeting)
}

// launch starts the first process, which waits when all is made.
func (c *Container) launch(o *CreateOptions, filter *seccomp.Filter) (*oci.Started, error) {
	dir, err := os.Open(c.path("."))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	hold, err := listen(dir)
	if err != nil {
		return nil, err
	}
	defer hold.Close()
	group, err := c.runtime.newGroup(c.record.ID, c.spec)
	if err != nil {
		return nil, err
	}
	kept, err := o.preserved()
	if err != nil {
		return nil, err
	}
	defer closeAll(kept)
	socketActivation(c.spec.Process, o.Preserve)
	o.sizeTerminal(c.spec.Process)
	l := &oci.Launch{
		Spec: c.spec, Rootfs: c.record.Rootfs, Seccomp: filter.Program, Stdio: o.Stdio,
		ID: c.record.ID, Bundle: c.record.Bundle, Hold: hold,
		NoPivot: o.NoPivot, Nodes: InitialRoot() && !hasUserNamespace(c.spec), SharedMounts: c.record.Shared, AllCgroups: true,
		Extras: oci.Extras{Program: stages(), Preserve: kept, NoKeyring: o.NoNewKeyring, FilterFlags: filter.Flags, Notify: filter.Notify},
		Created: func(pid int) error {
			if err := c.begun(pid, group); err != nil {
				return err
			}
			return c.ownPipes(o.Stdio, c.spec.Process, pid)
		},
	}
	started, err := l.Start()
	if err != nil {
		return nil, err
	}
	c.record.Creating = false
	if err := c.save(); err != nil {
		return nil, err
	}
	return started, o.handOver(started, c.record.Process.PID)
}

// begun notes the first process, before it makes anything, and puts it into its cgroup,
// whose namespace it is about to make.
func (c *Container) begun(pid int, group *group) (err error) {
	if c.record.Process, err = store.Identify(pid); err != nil {
		return err
	}
	c.record.Group = group.record()
	if err := c.save(); err != nil {
		return err
	}
	if err := group.apply(pid, c.runtime); err != nil {
		return err
	}
	if err := c.moveDevices(pid); err != nil {
		return err
	}
	c.record.Group = group.record() // paths are final when the group was made
	return c.save()
}

// handOver tells the caller of a new process.
func (o *ProcessOptions) handOver(started *oci.Started, pid int) error {
	if started.Console != nil && o.ConsoleSocket != "" {
		err := sendConsole(o.ConsoleSocket, started.Console)
		started.Console.Close()
		started.Console = nil
		if err != nil {
			return err
		}
	}
	return o.writePID(pid)
}

func (o *ProcessOptions) writePID(pid int) error {
	if o.PIDFile == "" {
		return nil
	}
	// In one step: whoever waits for the file reads a number, not the beginning of one. By a
	// name of its own: in a folder for all somebody else may have laid a link at one that is known.
	f, err := os.CreateTemp(filepath.Dir(o.PIDFile), "."+filepath.Base(o.PIDFile)+"-*")
	if err != nil {
		return fmt.Errorf("writing the pid file: %w", err)
	}
	_, err = f.WriteString(strconv.Itoa(pid))
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err == nil {
		err = os.Rename(f.Name(), o.PIDFile)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("writing the pid file: %w", err)
	}
	return nil
}

func (o *ProcessOptions) sizeTerminal(p *specs.Process) {
	if p != nil && p.Terminal && o.ConsoleSocket == "" && o.TerminalSize != nil {
		p.ConsoleSize = o.TerminalSize
	}
}

func (o *ProcessOptions) checkConsole(p *specs.Process) error {
	switch {
	case p.Terminal && o.ConsoleSocket == "":
		return errors.New("the process wants a terminal: --console-socket says where to send it")
	case !p.Terminal && o.ConsoleSocket != "":
		return errors.New("the process wants no terminal: leave --console-socket out")
	}
	return nil
}

func hasUserNamespace(s *specs.Spec) bool {
	for _, n := range s.Linux.Namespaces {
		if n.Type == specs.UserNamespace {
			return true
		}
	}
	return false
}

// preserved duplicates the caller's descriptors from 3 on.
func (o *ProcessOptions) preserved() ([]*os.File, error) {
	all, n := o.kept, o.Preserve
	for fd := 3; fd < 3+n; fd++ {
		kept, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3+n)
		if err != nil {
			closeAll(all)
			return nil, fmt.Errorf("passing descriptor %d on: %w", fd, err)
		}
		all = append(all, os.NewFile(uintptr(kept), strconv.Itoa(fd)))
	}
	return all, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// abandon clears away what a create that failed has made.
func (c *Container) abandon() {
	if c.record.Process.PID != 0 {
		c.record.Process.KillAndWait(10 * time.Second)
	}
	if err := c.remove(); err != nil {
		c.runtime.warn("%v", err)
	}
}
