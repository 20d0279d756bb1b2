package userns

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/skiff-containers/skiff/userns/rlimit"
	"golang.org/x/sys/unix"
)

// Command describes a process that starts inside namespaces. It is what os/exec
// cannot do without cgo: wait for its id mappings before it runs, join the
// namespaces of another process while still single-threaded, start in a PID
// namespace that exists already, and run a program that nobody can write to.
//
// The child's descriptors 0, 1 and 2 are Stdin, Stdout and Stderr (nil means
// /dev/null); Files follow and are found again by name with [Passed]. Every
// other descriptor is closed by exec, as all of Go's are close-on-exec.
type Command struct {
	// Path is the program, an absolute path or /proc/self/exe.
	Path string
	// Program, where not nil, is run by descriptor instead (execveat), which works
	// where its path cannot be traversed.
	Program *os.File
	// ReadOnly runs Path through a private read-only clone of its mount, so that
	// /proc/PID/exe of the process cannot be opened for writing, neither while it
	// runs nor later (CVE-2019-5736). It needs CAP_SYS_ADMIN over the child's mount
	// namespace, which a Command with CLONE_NEWNS in a user namespace of its own has.
	ReadOnly bool
	Args     []string // with argv[0]
	Env      []string // exactly the child's environment, but for the names of Files

	Stdin, Stdout, Stderr *os.File
	Files                 []File

	// Before are namespaces to join before those of Create are made, while the child
	// still has the caller's capabilities: a user namespace made afterwards has no
	// rights over them. Where the caller has none either, they are joined once the
	// user namespace of Join is.
	Before []*os.File
	// Create are CLONE_NEW* flags for clone(2): namespaces made with the process.
	Create uintptr
	// Mapping must be set where Create has CLONE_NEWUSER: the child waits until its
	// identifiers are mapped.
	Mapping *Mapping
	// Early executes the program at once, with all capabilities but with ids that mean
	// nothing yet: it starts up while its ids are being mapped, and calls [AwaitMapping]
	// before it does anything. The program must be readable, as the helpers may not
	// touch a process whose program is not (PR_SET_DUMPABLE(2const)). It says nothing
	// without Mapping, which must map the caller's own ids to 0.
	Early bool
	// Join is a pidfd (or a namespace's descriptor) for setns(2) with JoinFlags.
	Join      *os.File
	JoinFlags int
	// Unshare are CLONE_NEW* flags for unshare(2) after Join.
	Unshare uintptr
	// Reparent forks once more after Join, so that the process is inside a joined
	// PID namespace and still the caller's child.
	Reparent bool
	// BecomeRoot sets all user and group ids to 0 of the user namespace entered:
	// otherwise exec drops every capability.
	BecomeRoot bool
	// Root are the user and group id to become instead, for a namespace that has no 0.
	// The capabilities are made ambient then, and so survive exec.
	Root [2]uint32
	// Session makes the child a session leader (setsid).
	Session bool
	// Group, where not nil, is the file cgroup.procs of a cgroup that the child enters
	// before it executes the program.
	Group *os.File
}

// File is a descriptor handed to a child under a name.
type File struct {
	Name string
	File *os.File
}

// passedVariable carries the names of a child's descriptors beyond 2, in order.
const passedVariable = "SKIFF_FDS"

// firstSource is where descriptors wait before the child lays them out from 0
// on: high enough that no source stands where another belongs.
const firstSource = 32

// Start runs the command and returns once the program was executed. When the
// child fails before that, the error names the step and wraps the errno, and no
// process is left. The caller's thread should be locked where the child asks for
// a parent-death signal, which is bound to the thread that forked it.
func (c *Command) Start() (*Process, error) {
	starting, err := c.Begin()
	if err != nil {
		return nil, err
	}
	return starting.Finish()
}

// Starting is a child that has been forked and has not been seen to execute its
// program yet. Finish must follow.
type Starting struct {
	process *Process
	report  *os.File
	early   bool
	gate    *os.File     // nil where the child waits for nothing
	mapped  func() error // waits for the mappings; nil where they are written already
}

// Begin is the first half of Start: the child exists, and what maps its ids is at
// work. The caller may do other things before Finish; what it writes to its memory
// meanwhile is copied page by page, but for Early, where the program is executed by now.
func (c *Command) Begin() (*Starting, error) {
	p := plan{cloneFlags: c.Create, gate: -1, gateWrite: -1, join: -1, joinFlags: uintptr(c.JoinFlags), unshare: c.Unshare,
		reparent: c.Reparent, becomeRoot: c.BecomeRoot, session: c.Session, group: -1, itself: '0', readOnly: c.ReadOnly, programFile: -1,
		root: [2]uintptr{uintptr(c.Root[0]), uintptr(c.Root[1])}, pause: syscall.Timespec{Nsec: 1e6}}
	s := &Starting{early: c.Early && c.Create&unix.CLONE_NEWUSER != 0}
	var own descriptors
	defer own.close()
	var err error
	if c.Create&unix.CLONE_NEWUSER != 0 {
		if s.gate, err = own.gate(&p); err != nil {
			return nil, err
		}
	}
	if s.early {
		p.becomeRoot, p.early = false, true
	}
	if err = c.lay(&p, &own); err == nil {
		s.report, err = own.pipe(&p.report)
	}
	if err != nil {
		if s.gate != nil {
			s.gate.Close()
		}
		return nil, err
	}
	syscall.ForkLock.Lock()
	pid, errno := fork(&p)
	syscall.ForkLock.Unlock()
	s.process = &Process{PID: int(pid)}
	if errno != 0 {
		err = fmt.Errorf("creating namespaces: %w", errno)
	} else if p.twice() {
		err = s.process.reparented(s.report)
	}
	if err == nil && s.early && c.Mapping.direct() {
		own.close() // else the report would have no end
		s.settle()
	}
	if err == nil && s.gate != nil {
		if s.mapped, err = c.Mapping.write(s.process.PID); err == nil && s.mapped == nil {
			err = s.release() // nothing to wait for: the child may go on
		}
		if err != nil {
			own.close() // else the report would have no end
			err = s.fail(err)
		}
	}
	if err != nil {
		s.report.Close()
		if s.gate != nil {
			s.gate.Close()
		}
		return nil, err
	}
	return s, nil
}

// PID is the child's, before a Command with Reparent has forked once more.
func (s *Starting) PID() int { return s.process.PID }

// Finish is the second half of Start.
func (s *Starting) Finish() (*Process, error) {
	defer s.report.Close()
	if s.gate != nil {
		defer s.gate.Close()
	}
	if s.mapped != nil {
		err := s.mapped()
		if err == nil {
			err = s.release()
		}
		if err != nil {
			return nil, s.fail(err)
		}
	}
	if err := s.process.executed(s.report); err != nil {
		return nil, err
	}
	return s.process, nil
}

// release lets the child go on, whose ids are mapped.
func (s *Starting) release() error {
	if _, err := s.gate.Write([]byte{1}); err != nil {
		return fmt.Errorf("releasing the mapped child: %w", err)
	}
	return nil
}

// executed waits until the child's copy of the report pipe was closed by exec,
// or says what went wrong. It follows a re-parented grandchild, which may report
// its failure before the one in between has reported it.
func (p *Process) executed(report *os.File) error {
	var failed error
	for {
		var b [8]byte
		_, err := io.ReadFull(report, b[:])
		if err == io.EOF {
			break
		}
		if err != nil {
			failed = fmt.Errorf("starting a process: %w", err)
			break
		}
		if err := p.heed(b); err != nil {
			failed = err
		}
	}
	if failed != nil {
		p.Wait()
	}
	return failed
}

// reparented waits for the grandchild that makes the namespaces of a Command with Before.
func (p *Process) reparented(report *os.File) error {
	var b [8]byte
	_, err := io.ReadFull(report, b[:])
	if err != nil {
		err = fmt.Errorf("starting a process: %w", err)
	} else {
		err = p.heed(b)
	}
	if err != nil {
		p.Wait()
	}
	return err
}

// heed acts on one word of the child's: it hands over to a grandchild, or has failed.
func (p *Process) heed(b [8]byte) error {
	at, value := step(binary.NativeEndian.Uint32(b[:4])), binary.NativeEndian.Uint32(b[4:])
	if at != stepReparented {
		return &StartError{Step: stepNames[at], Errno: syscall.Errno(value)}
	}
	p.Wait() // the one in between exits after this word
	p.PID, p.done = int(value), false
	return nil
}

// StartError is the failure of a child before its program ran.
type StartError struct {
	Step  string // what it was doing, in the present participle
	Errno syscall.Errno
}

func (e *StartError) Error() string {
	text := e.Step + ": " + e.Errno.Error()
	if e.Errno == unix.ENOENT && e.Step == stepNames[stepExec] {
		// In another root, only the loader of a dynamic one can be what is not there.
		text += " (skiff must be linked statically: build it with CGO_ENABLED=0)"
	}
	return text
}
func (e *StartError) Unwrap() error { return e.Errno }

// lay fills the plan with everything that needs memory.
func (c *Command) lay(p *plan, own *descriptors) error {
	var err error
	path := c.Path
	if c.ReadOnly && path == "/proc/self/exe" {
		// That link leads into the mount namespace of the caller, of which the child,
		// in its own, may clone nothing.
		if path, err = os.Readlink(path); err != nil {
			return fmt.Errorf("starting %q: %w", c.Path, err)
		}
	}
	if path != "" {
		if p.programPath, err = syscall.BytePtrFromString(path); err != nil {
			return fmt.Errorf("starting %q: %w", c.Path, err)
		}
	}
	if c.Program != nil {
		if p.programFile, err = own.high(c.Program); err != nil {
			return err
		}
	}
	argv, err := syscall.SlicePtrFromStrings(c.Args)
	if err != nil {
		return fmt.Errorf("starting %q: argument: %w", c.Path, err)
	}
	env := c.Env
	if len(c.Files) > 0 || p.early {
		var names []string
		for _, f := range c.Files {
			names = append(names, f.Name)
		}
		if p.early {
			names = append(names, mappedName)
		}
		env = append(env[:len(env):len(env)], passedVariable+"="+strings.Join(names, ","))
	}
	envv, err := syscall.SlicePtrFromStrings(env)
	if err != nil {
		return fmt.Errorf("starting %q: environment: %w", c.Path, err)
	}
	p.argv, p.envv = &argv[0], &envv[0]
	p.empty = new(byte)
	p.attr = &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	p.nofile = startLimit()
	if c.Join != nil {
		if p.join, err = own.high(c.Join); err != nil {
			return err
		}
	}
	if c.Group != nil {
		if p.group, err = own.high(c.Group); err != nil {
			return err
		}
	}
	for _, f := range c.Before {
		fd, err := own.high(f)
		if err != nil {
			return err
		}
		p.before = append(p.before, fd)
	}
	if p.early || p.becomeRoot && p.root[0] != 0 {
		p.capHeader = &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	}
	var null *os.File
	for _, f := range []*os.File{c.Stdin, c.Stdout, c.Stderr} {
		if f == nil {
			if null == nil {
				if null, err = os.OpenFile(os.DevNull, os.O_RDWR, 0); err != nil {
					return err
				}
				defer null.Close()
			}
			f = null
		}
		f.Fd() // as os/exec: a pipe that Go made non-blocking for itself would surprise the program
		if err := own.source(p, f); err != nil {
			return err
		}
	}
	for _, f := range c.Files {
		if err := own.source(p, f.File); err != nil {
			return err
		}
	}
	if !p.early {
		return nil
	}
	gate, err := unix.FcntlInt(uintptr(p.gate), unix.F_DUPFD_CLOEXEC, firstSource)
	if err != nil {
		return fmt.Errorf("passing a pipe: %w", err)
	}
	own.add(gate)
	p.sources, p.gate = append(p.sources, gate), -1
	return nil
}

// startLimit is the limit on open files to give back to children: the one that this
// process was started with, where Go has raised it for itself and nobody has set
// another. Programs that close or select over all numbers suffer from the raised one.
func startLimit() *syscall.Rlimit {
	var now syscall.Rlimit
	start, ok := rlimit.Nofile()
	if !ok || syscall.Getrlimit(syscall.RLIMIT_NOFILE, &now) != nil {
		return nil
	}
	raised := now.Max == start.Max && now.Cur >= now.Max-1
	if !raised || now.Cur == start.Cur {
		return nil
	}
	return &syscall.Rlimit{Cur: start.Cur, Max: start.Max}
}

// descriptors are the raw descriptors of one Start, closed at its end.
type descriptors []int

func (d *descriptors) add(fd int) { *d = append(*d, fd) }

func (d *descriptors) close() {
	for _, fd := range *d {
		unix.Close(fd)
	}
	*d = nil
}

// source duplicates f to where the child picks it up.
func (d *descriptors) source(p *plan, f *os.File) error {
	fd, err := d.high(f)
	if err != nil {
		return err
	}
	p.sources = append(p.sources, fd)
	return nil
}

// high duplicates f to a number that the child's layout does not overwrite.
func (d *descriptors) high(f *os.File) (fd int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, fmt.Errorf("passing %s: %w", f.Name(), err)
	}
	if e := raw.Control(func(old uintptr) { fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, firstSource) }); e != nil {
		err = e
	}
	if err != nil {
		return -1, fmt.Errorf("passing %s: %w", f.Name(), err)
	}
	d.add(fd)
	return fd, nil
}

// pipe makes a close-on-exec pipe whose write end stands high in *write.
func (d *descriptors) pipe(write *int) (read *os.File, err error) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("opening a pipe: %w", err)
	}
	*write, err = unix.FcntlInt(uintptr(ends[1]), unix.F_DUPFD_CLOEXEC, firstSource)
	unix.Close(ends[1])
	if err != nil {
		unix.Close(ends[0])
		return nil, fmt.Errorf("opening a pipe: %w", err)
	}
	d.add(*write)
	return os.NewFile(uintptr(ends[0]), "report"), nil
}

// gate makes the pipe on which the child waits for its mappings.
func (d *descriptors) gate(p *plan) (write *os.File, err error) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("opening a pipe: %w", err)
	}
	d.add(ends[0])
	p.gate, p.gateWrite = ends[0], ends[1]
	return os.NewFile(uintptr(ends[1]), "gate"), nil
}

// Passed returns the descriptor that this process was handed under a name in
// [Command.Files]. It is close-on-exec from then on. It must be called at most
// once a name, before any other code may close or reuse low descriptors.
func Passed(name string) (*os.File, error) {
	for i, have := range strings.Split(os.Getenv(passedVariable), ",") {
		if have == name {
			fd := 3 + i
			unix.CloseOnExec(fd)
			return os.NewFile(uintptr(fd), name), nil
		}
	}
	return nil, fmt.Errorf("finding descriptor %q: not passed to this process", name)
}

// DieWithParent lets the kernel kill the calling process when its parent ends
// (PR_SET_PDEATHSIG(2const)): to be precise, the parent's thread that started it,
// and Go ends no thread unless a goroutine ends that had locked it. A parent that
// was dead before the call goes unnoticed.
func DieWithParent() error {
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("asking to die with the parent: %w", err)
	}
	return nil
}

// Process is a child of this process that a [Command] started.
type Process struct {
	PID    int // in the caller's PID namespace; ours until Wait returned
	done   bool
	status unix.WaitStatus
}

// Wait reaps the process and returns how it ended. It may be called once; the
// thread blocks in the kernel meanwhile.
func (p *Process) Wait() (unix.WaitStatus, error) {
	if p.done {
		return p.status, nil
	}
	for {
		_, err := unix.Wait4(p.PID, &p.status, unix.WALL, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("waiting for process %s: %w", strconv.Itoa(p.PID), err)
		}
		p.done = true
		return p.status, nil
	}
}
