package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/cgroups"
	"github.com/skiff-containers/skiff/store"
	"golang.org/x/sys/unix"
)

// Request says for whom a group is made.
type Request struct {
	Container string // id
	Parent    string // --cgroup-parent: a slice with a service manager, else a path; "" is skiff's own
	Limits    *cgroups.Resources
}

// defaultSlice holds the scopes of all containers: systemctl --user status skiff.slice.
const defaultSlice = "skiff.slice"

// The groups below a scope. The shim stays out of its container's: what freezes the
// one, or ends it for want of memory, must not hit the other.
const (
	containerGroup = "container"
	shimGroup      = "supervisor"
)

// patience is how long the service manager may take.
const patience = 10 * time.Second

// Making is a group on its way.
type Making struct {
	place   *Place
	request Request
	shim    chan int
	done    chan struct{}
	pid     int
	group   *store.Group
	err     error
}

// Begin has a group made for a container whose shim is about to be started. It
// returns at once, and speaks to the service manager already. [Making.For] and
// [Making.Wait], or [Making.Abandon], must follow.
//
// With a service manager the shim is moved into a scope of its own. It must not fork
// before that is done: an ordinary user cannot move processes from the group of a
// login into one of the manager's (cgroup-v2.rst, Delegation Containment).
func (p *Place) Begin(r Request) *Making {
	m := &Making{place: p, request: r, shim: make(chan int, 1), done: make(chan struct{})}
	if p.Driver == Cgroupfs { // quick, and to be taken back by whoever has waited only
		close(m.done)
		return m
	}
	go func() {
		defer close(m.done)
		m.group, m.err = p.make(r, m.shim)
	}()
	return m
}

// For tells the shim's process, which may not have executed anything yet.
func (m *Making) For(pid int) {
	m.pid = pid
	m.shim <- pid
}

// Abandon ends a making whose shim was not started.
func (m *Making) Abandon() { close(m.shim) }

// Wait returns the container's group, which has no processes yet, once it is there.
// Should the shim have become another process than For was told, it begins again.
func (m *Making) Wait(pid int) (*store.Group, error) {
	<-m.done
	if pid != m.pid || m.place.Driver == Cgroupfs {
		m.pid = pid
		again := make(chan int, 1)
		again <- pid
		m.group, m.err = m.place.make(m.request, again)
	}
	return m.group, m.err
}

// errAbandoned ends a making without a shim.
var errAbandoned = errors.New("there is no shim")

func (p *Place) make(r Request, shim <-chan int) (*store.Group, error) {
	var group *store.Group
	var err error
	switch p.Driver {
	case Systemd:
		group, err = p.makeScope(r, shim)
	case Cgroupfs:
		if _, wanted := <-shim; !wanted {
			return nil, errAbandoned
		}
		group, err = p.makeFolder(r)
	default:
		return nil, p.Why
	}
	if err != nil {
		return nil, fmt.Errorf("making the cgroup of container %.12s: %w", r.Container, err)
	}
	return group, nil
}

// makeScope has the service manager make a scope around the shim, and divides it.
func (p *Place) makeScope(r Request, shim <-chan int) (*store.Group, error) {
	slice := r.Parent
	if slice == "" {
		slice = defaultSlice
	}
	if !strings.HasSuffix(slice, ".slice") || strings.Contains(slice, "/") {
		return nil, fmt.Errorf("cgroup-parent %q must be the name of a slice: name.slice", slice)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := dial(ctx, p.sockets)
	if err != nil {
		return nil, err
	}
	defer conn.close()
	pid, wanted := <-shim
	if !wanted {
		return nil, errAbandoned
	}
	properties := []property{
		prop("Description", "skiff container "+short(r.Container)),
		prop("Slice", slice),
		prop("PIDs", []uint32{uint32(pid)}),
		prop("Delegate", true),
		prop("CollectMode", "inactive-or-failed"),
		prop("TimeoutStopUSec", uint64(stopLimit/time.Microsecond)),
	}
	if r.Limits != nil {
		properties = append(properties, shares(r.Limits)...)
	}
	unit := "skiff-" + short(r.Container) + ".scope"
	err = startScope(ctx, conn, unit, properties)
	if errors.Is(err, errUnitExists) { // of the start before, which the manager still clears away
		unit = fmt.Sprintf("skiff-%s-%d.scope", short(r.Container), pid)
		err = startScope(ctx, conn, unit, properties)
	}
	if err != nil {
		return nil, err
	}
	scope, err := groupOf(strconv.Itoa(pid))
	if err != nil {
		return nil, err
	}
	if path.Base(scope) != unit {
		return nil, fmt.Errorf("the service manager started %q and left the shim in %q", unit, scope)
	}
	if err := empty(scope, path.Join(scope, shimGroup)); err != nil {
		return nil, err
	}
	if err := vacate(scope, shimGroup); err != nil {
		return nil, err
	}
	return &store.Group{Path: path.Join(scope, containerGroup), Unit: unit}, fresh(path.Join(scope, containerGroup))
}

// stopLimit is how long a container may take to end when the service manager stops
// its scope, at the end of a session or of the machine: Docker's default.
const stopLimit = 10 * time.Second

func short(id string) string { return fmt.Sprintf("%.12s", id) }

// makeFolder makes the container's group where groups may be made by hand.
func (p *Place) makeFolder(r Request) (*store.Group, error) {
	base := p.base
	if r.Parent != "" {
		if strings.HasSuffix(r.Parent, ".slice") {
			return nil, fmt.Errorf("cgroup-parent %q is a slice, and there is no service manager", r.Parent)
		}
		// Below what is ours, whatever it says.
		base = path.Join(p.base, path.Join("/", r.Parent))
	}
	for folder := p.base; ; {
		if err := vacate(folder, hostGroup); err != nil {
			return nil, err
		}
		rest, _ := strings.CutPrefix(base, folder)
		if rest = strings.Trim(rest, "/"); rest == "" {
			break
		}
		name, _, _ := strings.Cut(rest, "/")
		folder = path.Join(folder, name)
		if err := os.Mkdir(folder, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, err
		}
	}
	group := path.Join(base, "skiff-"+short(r.Container))
	return &store.Group{Path: group}, fresh(group)
}

// fresh makes a group, in place of one that a killed shim left.
func fresh(folder string) error {
	err := unix.Mkdir(folder, 0o755)
	if errors.Is(err, unix.EEXIST) {
		store.RemoveGroup(folder)
		err = unix.Mkdir(folder, 0o755)
	}
	if err != nil {
		return &os.PathError{Op: "mkdir", Path: folder, Err: err}
	}
	return nil
}

// vacate lets a group have others below it that are limited by all controllers which
// it has itself. Processes in it are moved into a group below, as only the root of
// the hierarchy may have both (cgroup-v2.rst, No Internal Process Constraint).
func vacate(folder, below string) error {
	for try := 0; ; try++ {
		busy, err := enable(folder)
		if err != nil || !busy {
			return err
		}
		if try == 100 {
			return fmt.Errorf("moving processes out of %q: others keep coming", folder)
		}
		if err := empty(folder, path.Join(folder, below)); err != nil {
			return err
		}
	}
}

// enable turns on for the groups below a folder whatever controller it has. busy
// says that it has processes itself. A controller that cannot be turned on is missed
// where a limit needs it.
func enable(folder string) (busy bool, err error) {
	on, err := os.ReadFile(path.Join(folder, "cgroup.subtree_control"))
	if err != nil {
		return false, err
	}
	var wanted []string
	for _, name := range controllers(folder) {
		if !slices.Contains(strings.Fields(string(on)), name) {
			wanted = append(wanted, "+"+name)
		}
	}
	if len(wanted) == 0 {
		return false, nil
	}
	err = write(folder, "cgroup.subtree_control", strings.Join(wanted, " "))
	if errors.Is(err, unix.EBUSY) {
		return true, nil
	}
	if err != nil {
		for _, one := range wanted {
			write(folder, "cgroup.subtree_control", one)
		}
	}
	return false, nil
}

// empty moves the processes of one group into another, which it makes.
func empty(from, to string) error {
	if err := os.Mkdir(to, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	data, err := os.ReadFile(path.Join(from, "cgroup.procs"))
	if err != nil {
		return err
	}
	for _, pid := range strings.Fields(string(data)) {
		if err := write(to, "cgroup.procs", pid); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return nil
}

// write sets a group's file. Nothing is created: what is not there is no controller's.
func write(folder, name, value string) error {
	f, err := os.OpenFile(path.Join(folder, name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}
