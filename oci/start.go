package oci

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// stageEnv is a stage's whole environment: it lives for two milliseconds, so it
// needs neither a collector of garbage nor a second processor.
func stageEnv() []string { return []string{"GOGC=off", "GOMAXPROCS=1"} }

// Start starts the container's first process and returns once it was executed, or
// with an [*Error]; then no process, mount or descriptor is left.
//
// The process dies with the thread that called Start (PR_SET_PDEATHSIG is bound to
// the thread, not the process): call it on a locked thread that lives as long as
// the container should, the main one (runtime.LockOSThread).
func (l *Launch) Start() (*Started, error) {
	if err := l.check(); err != nil {
		return nil, asError(err)
	}
	spaces, err := compileNamespaces(l.Spec.Linux.Namespaces, l.SharedMounts)
	if err != nil {
		return nil, asError(err)
	}
	defer spaces.close()
	if err := spaces.compileUserNamespace(l.Spec.Linux); err != nil {
		return nil, asError(err)
	}
	begin := beginning{cmd: spaces.command(), late: spaces.user != nil, spec: l.Spec.Process, stdio: l.Stdio, filter: l.Seccomp, forked: l.Forked, created: l.Created, gate: l.Gate, cgroup: l.Cgroup, aside: l.aside(),
		early: namesInterface(l.Spec.Linux.Sysctl)}
	return begin.start(func(pid int) (*config, error) {
		if l.Prepare != nil {
			if err := l.Prepare(); err != nil {
				return nil, err
			}
		}
		mapping, err := spaces.mappingOf(pid)
		if err != nil {
			return nil, err
		}
		c, err := l.compile(mapping, spaces)
		if err == nil {
			c.Process.SetGroups = !KeepsGroups(l.Spec) && setgroupsAllowed(pid)
			if mapping.Shifts() && spaces.own&unix.CLONE_NEWUSER != 0 {
				err = c.Container.openTrees()
			}
			if err == nil {
				err = c.Container.mapTrees(l.Spec.Mounts, pid, spaces.own&unix.CLONE_NEWUSER != 0)
			}
		}
		return c, err
	})
}

// Start starts a further process in a running container. What is said of
// [Launch.Start] holds here as well.
func (e *Exec) Start() (*Started, error) {
	pid, err := pidOf(e.Init)
	if err != nil {
		return nil, asError(notRunning(err))
	}
	mapping, err := userns.Of(pid)
	if err != nil {
		return nil, asError(notRunning(err))
	}
	process, err := compileProcess(e.Process, mapping)
	if err != nil {
		return nil, asError(err)
	}
	process.SetGroups = !e.KeepGroups && setgroupsAllowed(pid)
	flags, err := toJoin(e.Init, pid)
	if err != nil {
		return nil, asError(notRunning(err))
	}
	cmd := &userns.Command{
		Args: []string{execStageName},
		Join: e.Init, JoinFlags: flags,
		Reparent:   flags&unix.CLONE_NEWPID != 0,
		BecomeRoot: flags&unix.CLONE_NEWUSER != 0, // in another user namespace, exec as anyone else drops all capabilities
		Root:       mapping.Root(),
	}
	if flags == 0 {
		cmd.Join = nil
	}
	begin := beginning{cmd: cmd, spec: e.Process, stdio: e.Stdio, filter: e.Seccomp, created: e.Created, cgroup: e.Cgroup, aside: e.aside()}
	return begin.start(func(int) (*config, error) { return &config{Process: process}, nil })
}

// notRunning says in words what a process that has ended looks like from here.
func notRunning(err error) error {
	var stage *userns.StartError
	if errors.As(err, &stage) && !errors.Is(err, unix.ESRCH) {
		return err // a program that is not found, say
	}
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENOENT) {
		return hinted("start it first", "the container is not running")
	}
	return err
}

// beginning is the start of a stage.
type beginning struct {
	cmd             *userns.Command
	spec            *specs.Process
	stdio           [3]*os.File
	filter          []byte
	forked, created func(pid int) error
	gate            func() error
	cgroup          *os.File
	aside           *aside // what few starts need
	early           bool   // the gate comes before the config already
	late            bool   // the namespaces exist once the stage was executed, not when it is forked
}

// start starts the stage, tells it what to do and hears how it went. The config is
// completed while the stage starts up, by its process id.
func (b *beginning) start(complete func(pid int) (*config, error)) (*Started, error) {
	if err := checkFilter(b.filter); err != nil {
		return nil, asError(err)
	}
	program, err := b.aside.program()
	if err != nil {
		return nil, asError(err)
	}
	defer program.Close()
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, asError(err)
	}
	defer ours.close()
	defer theirs.Close()
	cmd := b.cmd
	if !b.spec.Terminal {
		cmd.Stdin, cmd.Stdout, cmd.Stderr = b.stdio[0], b.stdio[1], b.stdio[2]
	}
	cmd.Program = program
	cmd.Env = stageEnv()
	cmd.Early = cmd.Early && readable(program)
	cmd.Session = true
	b.aside.pass(cmd)
	cmd.Files = append(cmd.Files, userns.File{Name: syncName, File: theirs})
	if b.cgroup != nil {
		cmd.Files = append(cmd.Files, userns.File{Name: cgroupName, File: b.cgroup})
	}
	starting, err := cmd.Begin()
	if err != nil {
		return nil, asError(notRunning(err))
	}
	theirs.Close() // else the end of the stage's side would never be seen
	var c *config
	defer func() { c.close() }()
	var early error
	if !b.late {
		c, early = b.meanwhile(starting.PID(), complete)
	}
	process, err := starting.Finish()
	if err != nil {
		return nil, asError(notRunning(err))
	}
	if err = early; b.late {
		c, err = b.meanwhile(process.PID, complete)
	}
	var console *os.File
	if err == nil && b.created != nil {
		err = b.created(process.PID)
	}
	if err == nil {
		console, err = b.talk(ours, process, c)
	}
	if err != nil {
		if console != nil {
			console.Close()
		}
		// Its end is near where it reported, and made so where it did not.
		unix.Kill(process.PID, unix.SIGKILL)
		process.Wait()
		return nil, asError(err)
	}
	return &Started{Process: process, Console: console}, nil
}

// meanwhile is what is done from outside once the process's namespaces exist.
func (b *beginning) meanwhile(pid int, complete func(pid int) (*config, error)) (*config, error) {
	var forkedErr error
	if b.forked != nil {
		forkedErr = b.forked(pid)
	}
	c, err := complete(pid)
	if forkedErr != nil {
		err = forkedErr
	}
	return c, err
}

func (b *beginning) talk(l link, process *userns.Process, c *config) (*os.File, error) {
	if b.spec.OOMScoreAdj != nil {
		if err := setOOMScore(process.PID, *b.spec.OOMScoreAdj); err != nil {
			return nil, err
		}
	}
	if b.gate != nil && b.early {
		if err := b.gate(); err != nil {
			return nil, err
		}
	}
	if err := b.aside.complete(c, process.PID); err != nil {
		return nil, err
	}
	if err := l.sendBlock(c.encode()); err != nil {
		return nil, err
	}
	if c.Container != nil {
		if err := l.sendTrees(c.Container.Trees); err != nil {
			return nil, err
		}
	}
	if b.gate != nil && !b.early {
		if err := b.gate(); err != nil {
			return nil, err
		}
	}
	if err := l.sendBlock(b.filter); err != nil {
		return nil, err
	}
	return l.await(b.aside.answers(process.PID))
}

// setOOMScore is done from outside, as the stage of exec has no /proc that it could trust.
func setOOMScore(pid, score int) error {
	name := "/proc/" + strconv.Itoa(pid) + "/oom_score_adj"
	fd, err := unix.Open(name, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("setting the OOM score: %w", err)
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte(strconv.Itoa(score)))
	if errors.Is(err, unix.EACCES) {
		return because(err, "an ordinary user may raise it only, never lower it", "setting the OOM score to %d", score)
	}
	if err != nil {
		return fmt.Errorf("setting the OOM score to %d: %w", score, err)
	}
	return nil
}
