package oci

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// shimStageName is the stand-in for a shim: root of a user namespace with a mount
// namespace, which starts a container as a test asks and tells how it went.
const shimStageName = "test-shim"

func TestMain(m *testing.M) {
	stages := Stages()
	stages[shimStageName] = testShim
	if stage, ok := stages[os.Args[0]]; ok {
		os.Exit(stage())
	}
	os.Exit(m.Run())
}

// request is what a test asks of the stand-in.
type request struct {
	Rootfs  string
	Spec    *specs.Spec
	Seccomp []byte
	Init    bool
	Prepare []string                   // a command to run first, in the shim's own root
	Execs   []execRequest              // each is waited for
	Kill    int                        // signal for the first process when all execs have ended
	Repeat  int                        // start it so many times more, for benchmarks
	Peer    []specs.LinuxNamespaceType // join these of another container, which runs meanwhile
	PeerIn  bool                       // that other one has no user namespace of its own
	Filter  []byte                     // for the starter itself, and so for all that it starts
	Files   uint64                     // the soft limit on open files that it is started with
}

type execRequest struct {
	Process *specs.Process
	Seccomp []byte
}

// outcome is the stand-in's answer.
type outcome struct {
	Failure *Error
	Code    int
	Execs   []outcome       `json:",omitempty"`
	Starts  []time.Duration `json:",omitempty"` // how long each call of Start took
}

func testShim() int {
	runtime.LockOSThread()
	in, err := userns.Passed("request")
	if err != nil {
		return fail(err)
	}
	out, err := userns.Passed("result")
	if err != nil {
		return fail(err)
	}
	var r request
	if err := json.NewDecoder(in).Decode(&r); err != nil {
		return fail(err)
	}
	if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return fail(err)
	}
	if r.Prepare != nil {
		p, err := (&userns.Command{Path: r.Prepare[0], Args: r.Prepare, Stdout: os.Stderr, Stderr: os.Stderr}).Start()
		if err != nil {
			return fail(err)
		}
		if status, _ := p.Wait(); status.ExitStatus() != 0 {
			return fail(fmt.Errorf("preparing: exit code %d", status.ExitStatus()))
		}
	}
	if err := new(processConfig).installFilter(link{-1}, r.Filter); err != nil {
		return fail(err)
	}
	if r.Files > 0 {
		var have unix.Rlimit
		unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &have)
		if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: r.Files, Max: have.Max}, nil); err != nil {
			return fail(err)
		}
	}
	stop := func() {}
	if len(r.Peer) > 0 {
		var err error
		if stop, err = r.startPeer(); err != nil {
			return fail(err)
		}
	}
	var result outcome
	var starts []time.Duration
	for range 1 + r.Repeat {
		result = r.launch()
		starts = append(starts, result.Starts...)
	}
	result.Starts = starts
	stop()
	// Whatever a start leaves behind is a child, which would be found here.
	if pid, err := unix.Wait4(-1, nil, unix.WNOHANG|unix.WALL, nil); err != unix.ECHILD {
		return fail(fmt.Errorf("a child %d was left (%v)", pid, err))
	}
	if err := json.NewEncoder(out).Encode(result); err != nil {
		return fail(err)
	}
	return 0
}

// startPeer starts a container that sleeps, and has the other one join its namespaces.
func (r *request) startPeer() (stop func(), err error) {
	spec := *r.Spec
	spec.Process = &specs.Process{Args: []string{"sleep", "1000"}, Env: r.Spec.Process.Env}
	spec.Hostname = "peer"
	if r.PeerIn {
		linux := *r.Spec.Linux
		linux.Namespaces = slices.DeleteFunc(slices.Clone(linux.Namespaces), func(n specs.LinuxNamespace) bool { return n.Type == specs.UserNamespace })
		linux.UIDMappings, linux.GIDMappings = nil, nil
		spec.Linux = &linux
	}
	started, err := (&Launch{Spec: &spec, Rootfs: r.Rootfs}).Start()
	if err != nil {
		return nil, err
	}
	files := map[specs.LinuxNamespaceType]string{specs.NetworkNamespace: "net", specs.PIDNamespace: "pid", specs.IPCNamespace: "ipc", specs.UTSNamespace: "uts", specs.UserNamespace: "user"}
	namespaces := slices.Clone(r.Spec.Linux.Namespaces)
	for i, n := range namespaces {
		if slices.Contains(r.Peer, n.Type) {
			namespaces[i].Path = fmt.Sprintf("/proc/%d/ns/%s", started.Process.PID, files[n.Type])
		}
	}
	r.Spec.Linux.Namespaces = namespaces
	return func() {
		unix.Kill(started.Process.PID, unix.SIGKILL)
		started.Process.Wait()
	}, nil
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, "test-shim:", err)
	return 99
}

func (r *request) launch() outcome {
	l := Launch{Spec: r.Spec, Rootfs: r.Rootfs, Seccomp: r.Seccomp, Init: r.Init, Stdio: [3]*os.File{os.Stdin, os.Stdout, os.Stderr}}
	begin := time.Now()
	started, err := l.Start()
	if err != nil {
		return outcome{Failure: err.(*Error)}
	}
	result := outcome{Starts: []time.Duration{time.Since(begin)}}
	copied := show(started.Console)
	if len(r.Execs) > 0 {
		fd, err := unix.PidfdOpen(started.Process.PID, 0)
		if err != nil {
			return outcome{Failure: asError(err)}
		}
		init := os.NewFile(uintptr(fd), "init")
		for _, e := range r.Execs {
			result.Execs = append(result.Execs, e.run(init))
		}
		init.Close()
	}
	if r.Kill != 0 {
		unix.Kill(started.Process.PID, unix.Signal(r.Kill))
	}
	result.Code = code(started.Process)
	<-copied
	return result
}

func (e *execRequest) run(init *os.File) outcome {
	exec := Exec{Init: init, Process: e.Process, Seccomp: e.Seccomp, Stdio: [3]*os.File{os.Stdin, os.Stdout, os.Stderr}}
	begin := time.Now()
	started, err := exec.Start()
	if err != nil {
		return outcome{Failure: err.(*Error)}
	}
	took := time.Since(begin)
	copied := show(started.Console)
	defer func() { <-copied }()
	return outcome{Code: code(started.Process), Starts: []time.Duration{took}}
}

func code(p *userns.Process) int {
	status, err := p.Wait()
	switch {
	case err != nil:
		return -1
	case status.Signaled():
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

// show copies what a terminal shows to stdout, until its last slave is closed.
func show(console *os.File) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if console != nil {
			io.Copy(os.Stdout, ConsoleReader{Master: console})
			console.Close()
		}
	}()
	return done
}
