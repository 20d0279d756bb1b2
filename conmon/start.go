package conmon

import (
	"fmt"
	"os"

	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
	"github.com/skiff-containers/skiff/wire"
	"golang.org/x/sys/unix"
)

// Shim is the shim of a container that has been started, or is being so, and waits
// to be told what to do. Either [Shim.Begin] or [Shim.Abandon] must follow, once.
type Shim struct {
	store     *store.Store
	container string
	conn      *wire.Conn
	entered   chan entered
	forked    int
	group     func(pid int) (*store.Group, error)
	preserve  []*os.File
}

// entered is how the start of the shim's process went.
type entered struct {
	process *userns.Process
	entry   *store.Entry
	err     error
}

// Prepare starts the shim of a container, which need not exist yet, in the user's
// user namespace. It returns at once: to make a namespace and map its ids takes
// longer than to write the container's folder, so both are done at the same time.
//
// The program is what runs the shim: the path of the small program, or of this one.
func Prepare(s *store.Store, program, container string) (*Shim, error) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("starting a shim: %w", err)
	}
	theirs := os.NewFile(uintptr(ends[1]), "control")
	ours, err := wire.New(ends[0])
	if err != nil {
		theirs.Close()
		return nil, err
	}
	entering, err := s.BeginEnter(&userns.Command{
		Path:     program,
		ReadOnly: true,
		Args:     []string{shimStage, s.Root, container}, // to leave live/ by, should nobody come to speak to it
		// Nothing of the caller's environment is kept for the container's whole life
		// but the way to helpers such as fuse-overlayfs. One processor means fewer
		// threads asleep: a tenth of the shim's memory.
		Env:     []string{"PATH=" + os.Getenv("PATH"), "GOMAXPROCS=1"},
		Files:   []userns.File{{Name: "control", File: theirs}},
		Session: true,
		Early:   unix.Access(program, unix.R_OK) == nil,
	}, unix.CLONE_NEWNS, container)
	if err != nil {
		theirs.Close()
		ours.Close()
		return nil, err
	}
	shim := &Shim{store: s, container: container, conn: ours, entered: make(chan entered, 1), forked: entering.PID()}
	go func() {
		process, entry, err := entering.Finish()
		theirs.Close() // else the shim's end is never noticed
		shim.entered <- entered{process, entry, err}
	}()
	return shim, nil
}

// PID is the shim's process as far as it is known at once. The one that Expect's
// function is told later counts: where the user's namespace was just given up by
// others, a second attempt was made.
func (p *Shim) PID() int { return p.forked }

// Expect has the shim wait for its container's cgroup: [Shim.Begin] calls group with
// the shim's process once that is certain, and a container whose group has no path, or
// is nil, gets none. Where group fails the container is not started.
func (p *Shim) Expect(group func(pid int) (*store.Group, error)) { p.group = group }

// Preserve has the process of the first life have descriptors of the caller's from 3 on.
func (p *Shim) Preserve(files []*os.File) { p.preserve = files }

// Begin tells the shim of its container, which exists now, and returns once the
// container's process was executed. The session is attached as setup.Attach says;
// closing it leaves the container running. Direct descriptors become the
// container's own; helper is the connection to the network helper and the main
// program, or empty for a container without networks. The error is a *[Failure] where the shim or the runtime could
// not start the process.
func (p *Shim) Begin(setup Setup, direct [3]*os.File, helper ...*os.File) (*Session, *store.Entry, error) {
	files := helper
	setup.Network = len(helper) == 2
	for i, f := range direct {
		if setup.Direct[i] = f != nil; f != nil {
			files = append(files, f)
		}
	}
	files = append(files, p.preserve...)
	setup.Preserve = len(p.preserve)
	setup.Container, setup.Root = p.container, p.store.Root
	setup.Grouped = p.group != nil
	sendErr := p.conn.Send(kindSetup, setup, files...)
	started := <-p.entered
	if err := started.err; err != nil {
		p.conn.Close()
		return nil, nil, err
	}
	if p.group != nil && sendErr == nil {
		group, err := p.group(started.process.PID)
		if group == nil {
			group = &store.Group{}
		}
		if err != nil {
			p.conn.Close() // it reads the end, and exits
			group.Remove()
			return nil, started.entry, err
		}
		if p.conn.Send(kindGroup, group) != nil {
			defer group.Remove() // the shim has failed before it wanted it, and says why
		}
	}
	if sendErr != nil {
		p.conn.Close()
		return nil, started.entry, fmt.Errorf("starting a shim: %w", sendErr)
	}
	session, err := newSession(p.conn)
	return session, started.entry, err
}

// Abandon ends a shim that is not needed after all.
func (p *Shim) Abandon() {
	p.conn.Close() // the shim reads the end of the conversation and exits
	if started := <-p.entered; started.err == nil {
		started.process.Wait()
		p.store.Leave(p.container)
	}
}
