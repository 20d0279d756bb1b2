package conmon

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/oci"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// foreign is another OCI runtime in place of package oci: crun, runc, runsc or one of
// their like. The shim is its caller and, as a subreaper, the parent of what it leaves
// behind. It finds the container's root mounted, its network namespace is served when
// it has made it, and it is in the container's cgroup itself, so that it needs to
// manage none, or is told which it is.
//
//	create   the container's namespaces and mounts are there, its program is not run
//	start    it is run
//	exec     a further process, which outlives the runtime's own
//	kill     a signal
//	delete   nothing of the container is left
type foreign struct {
	shim   *shim
	folder string // the bundle, the runtime's state, and its log
	count  int    // of what was started by it
}

// foreignRuntime is nil where the container is skiff's own.
func (s *shim) foreignRuntime() *foreign {
	if s.setup.Runtime == "" {
		return nil
	}
	return &foreign{shim: s, folder: filepath.Join(s.setup.Dir, store.RuntimeFolder)}
}

// globals are the options that every call of the runtime has.
func (f *foreign) globals() []string {
	args := []string{"--root", filepath.Join(f.folder, "state"), "--log", f.log(), "--log-format", "json"}
	return append(args, f.withoutGroups()...)
}

// withoutGroups are the options by which a known runtime leaves cgroups to its caller.
// Others are told the container's, and move its processes there themselves.
func (f *foreign) withoutGroups() []string {
	switch name := filepath.Base(f.shim.setup.Runtime); {
	case strings.HasPrefix(name, "crun"):
		return []string{"--cgroup-manager", "disabled"}
	case strings.HasPrefix(name, "runsc"):
		return []string{"--ignore-cgroups"}
	}
	return nil
}

func (f *foreign) log() string { return filepath.Join(f.folder, "log") }

// call runs the runtime and returns when its own process has ended. What it complains
// of is the error. Begun, where not nil, is told the process.
func (f *foreign) call(io [3]*os.File, begun func(pid int) error, args ...string) error {
	s := f.shim
	os.Remove(f.log())
	cmd := &userns.Command{
		Path: s.setup.Runtime, Args: append(append([]string{filepath.Base(s.setup.Runtime)}, f.globals()...), args...),
		Env: []string{"PATH=" + os.Getenv("PATH"), "XDG_RUNTIME_DIR=" + f.folder}, Stdin: io[0], Stdout: io[1], Stderr: io[2],
	}
	// What only signals or deletes stays out: the group may be frozen, and it with it.
	if f.withoutGroups() != nil && (args[0] == "create" || args[0] == "exec") {
		var err error
		if cmd.Group, err = s.openGroup(0); err != nil {
			return err
		}
		defer cmd.Group.Close()
	}
	ended, err := s.children.start(func() (int, error) {
		process, err := cmd.Start()
		if err != nil {
			return 0, err
		}
		if begun != nil {
			err = begun(process.PID)
		}
		return process.PID, err
	})
	if err != nil {
		return fmt.Errorf("starting the runtime %q: %w", s.setup.Runtime, err)
	}
	if code := exitCode(<-ended); code != 0 {
		return f.complaint(args[0], code)
	}
	return nil
}

// complaint is the last line of the runtime's log.
func (f *foreign) complaint(what string, code int) error {
	text := fmt.Sprintf("it exited with code %d", code)
	if data, err := os.ReadFile(f.log()); err == nil {
		lines := strings.Split(strings.TrimSpace(string(data)), "\n")
		var line struct{ Msg string }
		if json.Unmarshal([]byte(lines[len(lines)-1]), &line) == nil && line.Msg != "" {
			text = line.Msg
		}
	}
	return &Failure{Code: foreignCode(text), Text: fmt.Sprintf("%s %s: %s", filepath.Base(f.shim.setup.Runtime), what, text)}
}

// foreignCode is docker's exit code for a runtime's words: a program that is not there
// or that cannot be executed is the user's mistake.
func foreignCode(text string) int {
	low := strings.ToLower(text)
	switch {
	case strings.Contains(low, "not found"), strings.Contains(low, "no such file or directory"):
		return 127
	case strings.Contains(low, "permission denied"):
		return 126
	}
	return 125
}

// start brings the container up, as [oci.Launch.Start] does.
func (f *foreign) start(l *life, io *stdio) (ended <-chan unix.WaitStatus, console *os.File, err error) {
	s := f.shim
	if err := s.prepare(l, io); err != nil {
		return nil, nil, err
	}
	if err := f.writeBundle(l); err != nil {
		return nil, nil, err
	}
	if err := s.creates(); err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			f.delete(true)
		}
		s.state.Creating = false
	}()
	done := s.children.expect()
	var pid int
	ended, err = s.children.start(func() (int, error) {
		var err error
		pid, console, err = f.spawn(io, l.spec.Process.Terminal, nil, "create", "--bundle", f.folder)
		return pid, err
	})
	done()
	if err != nil {
		return nil, nil, err
	}
	if s.network != nil {
		if err = s.network.begin(pid); err == nil {
			err = s.network.await()
		}
	}
	if err == nil {
		err = s.identify(l, pid)
	}
	if err == nil {
		err = f.call([3]*os.File{}, nil, "start", s.setup.Container)
	}
	if err != nil && console != nil {
		console.Close()
	}
	l.pid = pid
	return ended, console, err
}

// creates writes that the runtime is about to leave a process that is not known yet: whoever
// finds this shim killed looks for that one.
func (s *shim) creates() (err error) {
	if s.state.Status == "" {
		s.state.Status = store.Created
	}
	if s.state.Shim, err = store.Identify(os.Getpid()); err != nil {
		return err
	}
	s.state.Creating = true
	return store.WriteState(s.setup.Dir, &s.state, store.Fleeting)
}

// foreignVersion is the version of the runtime spec that a config claims: older runtimes
// refuse a newer one unread, and nothing that came later is in it.
const foreignVersion = "1.0.2"

// writeBundle writes the container's config as any runtime takes it.
func (f *foreign) writeBundle(l *life) error {
	os.RemoveAll(f.folder)
	if err := os.MkdirAll(filepath.Join(f.folder, "state"), 0o700); err != nil {
		return err
	}
	own := *l.spec
	own.Version = foreignVersion
	own.Root = &specs.Root{Path: filepath.Join(f.shim.setup.Dir, "merged")}
	if l.spec.Root != nil {
		own.Root.Readonly = l.spec.Root.Readonly
	}
	fitSysctls(&own, l.ids.mapping.GIDs)
	fitMounts(&own)
	if group := f.shim.state.Cgroup; group != nil && f.withoutGroups() == nil {
		linux := *own.Linux
		linux.CgroupsPath = strings.TrimPrefix(group.Path, "/sys/fs/cgroup")
		own.Linux = &linux
	}
	return store.WriteJSON(filepath.Join(f.folder, "config.json"), &own, store.Fleeting)
}

// spawn has the runtime start a process, and returns it and its terminal.
func (f *foreign) spawn(io *stdio, terminal bool, begun func(pid int) error, args ...string) (pid int, console *os.File, err error) {
	f.count++
	name := filepath.Join(f.folder, strconv.Itoa(f.count))
	pidFile := name + ".pid"
	defer os.Remove(pidFile)
	args = append(args, "--pid-file", pidFile)
	streams := io.theirs
	var socket *consoleSocket
	if terminal {
		if socket, err = listenForConsole(name + ".sock"); err != nil {
			return 0, nil, err
		}
		defer socket.close()
		args = append(args, "--console-socket", socket.path)
		streams = [3]*os.File{}
	}
	if err := f.call(streams, begun, append(args, f.shim.setup.Container)...); err != nil {
		return 0, nil, err
	}
	text, err := os.ReadFile(pidFile)
	if err == nil {
		pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
	}
	if err != nil {
		return 0, nil, fmt.Errorf("reading what process the runtime has started: %w", err)
	}
	if socket != nil {
		console, err = socket.receive()
	}
	return pid, console, err
}

// exec starts a further process.
func (f *foreign) exec(p *spawning) (started *oci.Started, err error) {
	process := filepath.Join(f.folder, strconv.Itoa(f.count)+".process")
	if err := store.WriteJSON(process, p.exec.Process, store.Fleeting); err != nil {
		return nil, err
	}
	defer os.Remove(process)
	pid, console, err := f.spawn(p.io, p.exec.Process.Terminal, p.exec.Created, "exec", "--detach", "--process", process)
	if err != nil {
		return nil, err
	}
	return &oci.Started{Process: &userns.Process{PID: pid}, Console: console}, nil
}

// signal has the runtime send a signal to the first process, which may be inside of
// something that stands for a kernel.
func (f *foreign) signal(l *life, n unix.Signal) error {
	err := f.call([3]*os.File{}, nil, "kill", f.shim.setup.Container, strconv.Itoa(int(n)))
	if err == nil {
		return nil
	}
	return f.shim.children.signal(l.pid, n)
}

// delete has the runtime forget the container. One that was told the container's cgroup
// deletes that as well; where another life follows it is made again.
func (f *foreign) delete(again bool) {
	if f == nil {
		return
	}
	var group *keptGroup
	if again && f.shim.state.Cgroup != nil && f.withoutGroups() == nil {
		group = keepGroup(f.shim.state.Cgroup.Path)
	}
	f.call([3]*os.File{}, nil, "delete", "--force", f.shim.setup.Container)
	os.RemoveAll(f.folder)
	group.restore()
}
