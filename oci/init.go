package oci

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// initStage makes the inside of a container and becomes its first process.
//
// It starts as root of the user namespace U with all capabilities in it, in fresh
// namespaces as the spec says (PID, IPC, UTS, network, cgroup mostly), leading a
// session; its mounts are its parent's until it makes itself a copy. The parent, a shim or
// runtime, waits at the other end of sync. Next comes the container's own program,
// or the reap stage, by execve.
func initStage() int {
	return runStage(initStageName, func(l link, c *config) error {
		unix.Umask(0) // the modes given below are exact
		m, err := c.Container.make(l, &c.Process)
		if err != nil {
			return err
		}
		return c.Process.become(l, m)
	})
}

// make carries out all that concerns the container rather than its process.
func (c *containerConfig) make(l link, p *processConfig) (*made, error) {
	// Of this thread alone, which is the one that stays. Not before now: the starter
	// mounted the root file system while this stage started up, and moved it into the
	// container's own cgroup.
	if err := unix.Unshare(int(c.Created & (unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWTIME))); err != nil {
		return nil, fmt.Errorf("making the namespaces of mounts and cgroups: %w", err)
	}
	if err := setTimeOffsets(c.TimeOffsets); err != nil {
		return nil, err
	}
	// Before all else, as what follows shows the namespaces of the one who does it.
	if err := joinNamespaces(c.Joined); err != nil {
		return nil, err
	}
	if err := c.identify(); err != nil {
		return nil, err
	}
	made, err := p.begin()
	if err != nil {
		return nil, err
	}
	if c.Init {
		// While /proc is the host's still.
		if made.program, err = unix.Open("/proc/self/exe", unix.O_PATH|unix.O_CLOEXEC, 0); err != nil {
			return nil, fmt.Errorf("opening this program: %w", err)
		}
	}
	null, err := openNull()
	if err != nil {
		return nil, err
	}
	passed, sources := c.splitTrees()
	r, err := enterRoot(c.Rootfs, passed, c.Created&unix.CLONE_NEWNS != 0)
	if err != nil {
		return nil, err
	}
	m := &mounter{root: r, trees: sources, created: c.Created, null: null, allCgroups: c.AllCgroups}
	for i := range c.Mounts {
		if err := m.mount(&c.Mounts[i]); err != nil {
			return nil, err
		}
	}
	// After the mounts, which may well include /dev itself.
	if len(c.Devices) > 0 {
		if err := m.devices(c.Devices); err != nil {
			return nil, err
		}
	}
	if p.Terminal {
		if err := m.console(l, p, c.Init); err != nil {
			return nil, err
		}
	}
	// As root of the namespace, while the root file system can be written, as Docker does.
	cwd, err := r.ensure(p.Cwd, false)
	if err != nil {
		return nil, fmt.Errorf("working directory: %w", err)
	}
	unix.Close(cwd)
	if c.Announce {
		if err := made.announce(l); err != nil {
			return nil, err
		}
	}
	if err := runHooks(c.Hooks); err != nil {
		return nil, err
	}
	if err := m.hide(c.Masked, c.ReadonlyPath); err != nil {
		return nil, err
	}
	if c.Readonly {
		if err := r.lock(); err != nil {
			return nil, err
		}
	}
	if c.NoPivot || c.Created&unix.CLONE_NEWNS == 0 {
		err = r.change(c.NoPivot)
	} else {
		err = r.pivot()
	}
	if err != nil {
		return nil, err
	}
	if c.Propagation != 0 {
		err = propagate(c.Propagation, c.PropagateBeneath)
	}
	return made, err
}

// begin opens what the process needs from where its stage starts.
func (p *processConfig) begin() (m *made, err error) {
	m = &made{program: -1, hold: -1}
	if m.hold, err = p.passedHold(); err != nil {
		return nil, err
	}
	m.labels, err = p.openLabels()
	return m, err
}

// announce has the starter run its hooks. The filter was sent before their answer.
func (m *made) announce(l link) (err error) {
	if m.filter, err = l.receiveFilter(); err != nil {
		return err
	}
	m.early = true
	l.send(messageHooks, nil, nil)
	_, err = l.block()
	return err
}

// identify sets what the new UTS, network and IPC namespaces begin with.
func (c *containerConfig) identify() error {
	if c.Created&unix.CLONE_NEWUTS != 0 {
		if c.Hostname != "" {
			if err := unix.Sethostname([]byte(c.Hostname)); err != nil {
				return fmt.Errorf("setting the host name to %q: %w", c.Hostname, err)
			}
		}
		if c.Domainname != "" {
			if err := unix.Setdomainname([]byte(c.Domainname)); err != nil {
				return fmt.Errorf("setting the domain name to %q: %w", c.Domainname, err)
			}
		}
	}
	if c.Created&unix.CLONE_NEWNET != 0 {
		if err := loopbackUp(); err != nil {
			return fmt.Errorf("setting the loopback interface up: %w", err)
		}
	}
	return setSysctls(c.Sysctls)
}

// loopbackUp is for a new network namespace, in which lo exists and is down
// (netdevice(7)). Its addresses come by themselves.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}

// console makes the container's terminal and sends its master to the starter. With
// the reap stage as PID 1 the session that owns the terminal is its child's.
func (m *mounter) console(l link, p *processConfig, reaped bool) error {
	c, err := openConsole(m.root, p.Size, p.UID)
	if err != nil {
		return err
	}
	defer c.close()
	tree, err := cloneTree(c.slave, "", false)
	if err != nil {
		return fmt.Errorf("making /dev/console: %w", err)
	}
	defer unix.Close(tree)
	if err := m.bindOnto(tree, "/dev/console", 0); err != nil {
		return fmt.Errorf("making /dev/console: %w", err)
	}
	l.sendConsole(c.master)
	return c.take(!reaped)
}

// execStage starts a further process in a container.
//
// It begins with all capabilities of the user namespace, inside the container's
// namespaces and root already, leading a session; the container's processes run
// beside it, so nothing in its file system is what its name says until it is
// checked. The parent waits at the other end of sync. Next comes execve.
func execStage() int {
	return runStage(execStageName, func(l link, c *config) error {
		unix.Umask(0)
		p := &c.Process
		if p.Terminal {
			here, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
			if err != nil {
				return fmt.Errorf("opening the container's root: %w", err)
			}
			terminal, err := openConsole(root{here}, p.Size, p.UID)
			if err != nil {
				return err
			}
			l.sendConsole(terminal.master)
			if err := terminal.take(true); err != nil {
				return err
			}
		}
		m, err := p.begin()
		if err != nil {
			return err
		}
		return p.become(l, m)
	})
}
