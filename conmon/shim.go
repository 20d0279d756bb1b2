package conmon

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/oci"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
	"github.com/skiff-containers/skiff/wire"
	"golang.org/x/sys/unix"
)

// shimStage is argv[0] of the shim.
const shimStage = "skiff-shim"

// Stages are the stages of this package by argv[0]; each returns an exit code.
func Stages() map[string]func() int {
	return map[string]func() int{shimStage: shimMain}
}

// shim is the state of the stage "skiff-shim".
//
// It is root of the user's user namespace, in a mount namespace of its own and
// the host's others, a session leader. Its parent is the command that started it,
// soon dead. It mounts the root file system, starts the init stage (package oci)
// and stays until the container has ended for good: by its policy it starts it again.
// Next comes nobody: it is the last.
type shim struct {
	setup    Setup
	store    *store.Store
	control  *wire.Conn // to the one who started us
	direct   [3]*os.File
	preserve []*os.File // for the first process of the first life
	alive    *os.File   // the lock that says that we live; held by being open
	children children
	jobs     chan func() // run by the main goroutine, whose thread forks

	sharedPIDs bool     // orphans of the container come to the shim: it has no PID namespace of its own
	foreign    *foreign // another runtime; nil is skiff's own

	network  *network // nil: none, or the host's
	listener *listener
	policy   policy
	state    store.State       // the main goroutine's
	joined   []store.ProcessID // whose namespaces the first process of a further life has

	mu       sync.Mutex
	now      *life                   // nil where no first process runs
	coming   chan struct{}           // closed with the end of the start that is under way, if any
	clients  map[*wire.Conn]struct{} // who must be told the end
	starters []starter               // who wait for the next start
	execs    []*running
	last     bool          // somebody asked for the end: no other life follows
	forced   bool          // another life follows whatever the policy says
	shutdown bool          // and that was the host
	over     bool          // the container has ended for good
	poke     chan struct{} // ends the pause between two lives
}

// life is the container from one start to the end of its first process.
type life struct {
	spec    *specs.Spec
	ids     ids
	seccomp []byte
	mounted *store.Mounted
	log     *logWriter
	target  *target  // the container's first process
	init    *os.File // its pidfd
	pid     int

	paused  bool              // the main goroutine's
	stopped []store.ProcessID // by signals, where there is no cgroup to freeze
	memory  memory
	started time.Time
	health  *health       // nil: it is not asked for
	timers  []*time.Timer // stopped at the end
	expired atomic.Bool   // it ran for as long as it may
}

// shimMain is the entry of the stage. Its goroutine keeps the main thread: a
// parent-death signal is bound to the thread that forked the child, so the thread
// must live as long as the process (prctl(2), PR_SET_PDEATHSIG).
func shimMain() int {
	runtime.LockOSThread()
	if userns.AwaitMapping() != nil {
		return 125
	}
	unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) // a container in the host's PID namespace sees us
	unix.Umask(0o022)
	s := &shim{
		children: children{known: map[int]chan unix.WaitStatus{}},
		jobs:     make(chan func()),
		clients:  map[*wire.Conn]struct{}{},
		poke:     make(chan struct{}, 1),
	}
	if err := s.meet(); err != nil {
		s.vanish()
		return 125 // nobody to tell
	}
	l, err := s.first()
	if err != nil {
		s.abandon(l, err)
		return 1
	}
	s.release(l)
	for l != nil {
		l = s.finish(l, s.attendTo(l))
	}
	return 0
}

// attendTo runs what must run on the main thread until a life has ended.
func (s *shim) attendTo(l *life) unix.WaitStatus {
	for {
		select {
		case job := <-s.jobs:
			job()
		case status := <-l.target.ended:
			return status
		}
	}
}

// vanish takes the shim out of live/ where it never had its container: whoever
// started it may be dead, and the next command has swept already.
func (s *shim) vanish() {
	if len(os.Args) == 3 {
		(&store.Store{Root: os.Args[1]}).LeaveSelf(os.Args[2])
	}
}

// meet takes the setup from the control connection.
func (s *shim) meet() error {
	control, err := passedConn("control")
	if err != nil {
		return err
	}
	k, body, files, err := control.Recv()
	if err != nil || k != kindSetup {
		return errors.Join(err, unix.EPROTO)
	}
	s.control = control
	if s.setup, err = decodeSetup(body); err != nil {
		return err
	}
	s.store = &store.Store{Root: s.setup.Root}
	s.policy.RestartPolicy = s.setup.Restart
	s.foreign = s.foreignRuntime()
	if s.setup.Network && len(files) >= 2 {
		if s.network, err = s.newNetwork(files[0], files[1]); err != nil {
			return err
		}
		files = files[2:]
	}
	for i, wanted := range s.setup.Direct {
		if wanted && len(files) > 0 {
			s.direct[i], files = files[0], files[1:]
		}
	}
	if n := min(max(s.setup.Preserve, 0), len(files)); n > 0 {
		s.preserve, files = files[:n], files[n:]
	}
	wire.CloseAll(files)
	return nil
}

// calm is how long after a start the signals are seen to: what ends at once never
// pays for it.
const calm = 50 * time.Millisecond

// handleSignals keeps the shim alive through a hang-up or a log-out. Handlers,
// unlike ignored signals, do not pass to the container by exec.
func (s *shim) handleSignals() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM)
	if s.sharedPIDs {
		signal.Notify(signals, unix.SIGCHLD)
		s.children.reapOrphans()
	}
	for received := range signals {
		switch received {
		case unix.SIGCHLD:
			s.children.reapOrphans()
		case unix.SIGTERM: // a log-out or shutdown: the container may end in its own way
			s.shutDown()
		}
	}
}

// shutDown ends the container as the host's end comes near: what its policy wants after
// the next boot is still to be told then.
func (s *shim) shutDown() {
	s.mu.Lock()
	s.shutdown = s.shutdown || !s.last
	s.mu.Unlock()
	s.signal(unix.SIGTERM, true)
}

// hold takes the container, which from then on is alive.
func (s *shim) hold() (err error) {
	if s.alive, err = store.HoldAlive(s.setup.Dir); err != nil {
		if errors.Is(err, store.ErrRunning) || errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
			return &Failure{Code: 125, Text: "the container is running already"}
		}
		return err
	}
	// Slave, not private: private would keep every mount of the host busy for as
	// long as the container lives.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("leaving the host's mount propagation: %w", err)
	}
	return nil
}

// first is begin for the first life. What needs no cgroup is done while that is made.
func (s *shim) first() (*life, error) {
	l := new(life)
	if err := s.hold(); err != nil {
		return l, err
	}
	if err := s.load(l); err != nil {
		return l, err
	}
	if err := s.meetGroup(l); err != nil {
		return l, err
	}
	return l, s.launch(l)
}

// begin brings the container up to the execution of its first process. Where that
// goes wrong, what there is of the life comes back with the error.
func (s *shim) begin() (*life, error) {
	l := new(life)
	if err := s.load(l); err != nil {
		return l, err
	}
	return l, s.launch(l)
}

// prepare makes the container's root and completes its config, while the init stage starts up.
func (s *shim) prepare(l *life, io *stdio) (err error) {
	if err := s.mount(l); err != nil {
		return err
	}
	if err := s.setup.Identity.addTo(l.mounted.Path); err != nil {
		return err
	}
	if err := completeUser(l.spec.Process, l.mounted.Path, s.setup.User, s.setup.GroupAdd); err != nil {
		return err
	}
	io.own(l.ids.outside(l.spec.Process.User))
	if s.listener == nil {
		s.listener, err = listen(s.setup.Dir)
	}
	return err
}

// mount makes the container's root file system, unless it is there.
func (s *shim) mount(l *life) (err error) {
	if l.mounted != nil {
		return nil
	}
	if l.mounted, err = s.setup.Stack.Mount(); err != nil {
		return err
	}
	if server := l.mounted.Server(); server != 0 {
		return s.children.spare(server)
	}
	return nil
}

// load reads what run has written for the runtime.
func (s *shim) load(l *life) error {
	config, err := os.ReadFile(filepath.Join(s.setup.Dir, "config.json"))
	if err != nil {
		return fmt.Errorf("reading the OCI config: %w", err)
	}
	if l.spec, err = oci.DecodeSpec(config); err != nil {
		return err
	}
	if l.spec.Process == nil || l.spec.Linux == nil {
		return fmt.Errorf("reading config.json: no process or no linux part")
	}
	s.sharedPIDs = sharesPIDs(l.spec) || s.foreign != nil
	if s.state.RestartCount > 0 {
		if err := s.rejoin(l.spec); err != nil {
			return err
		}
	}
	if l.ids, err = idsOf(l.spec.Linux); err != nil {
		return err
	}
	if !s.setup.Seccomp {
		return nil
	}
	if l.seccomp, err = os.ReadFile(filepath.Join(s.setup.Dir, "seccomp.bpf")); err != nil {
		return fmt.Errorf("reading the seccomp filter: %w", err)
	}
	return nil
}

// completeUser puts the user's ids and home into the process, from the files in
// the container's root.
func completeUser(process *specs.Process, root, user string, groups []string) error {
	fd, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening the root file system: %w", err)
	}
	folder := os.NewFile(uintptr(fd), root)
	defer folder.Close()
	umask := process.User.Umask
	found, home, err := oci.LookupUser(folder, user, groups)
	if err != nil {
		return err
	}
	found.Umask = umask
	process.User = found
	if !slices.ContainsFunc(process.Env, func(e string) bool { return strings.HasPrefix(e, "HOME=") }) {
		process.Env = append(process.Env, "HOME="+home)
	}
	return nil
}

// launch starts the first process and records that it runs.
func (s *shim) launch(l *life) (err error) {
	if s.sharedPIDs {
		if err := adoptOrphans(); err != nil {
			return err
		}
	}
	if s.setup.Log.Type != "none" && s.direct[1] == nil && s.direct[2] == nil {
		if l.log, err = openLog(s.setup.Dir, s.setup.Log.Config); err != nil {
			return err
		}
	}
	group, err := s.openGroup(0)
	if err != nil {
		return err
	}
	defer group.Close()
	io, err := newStdio(l.spec.Process, s.setup.OpenStdin, s.direct)
	if err != nil {
		return err
	}
	defer io.closeTheirs()
	s.setup.Attach.Size.giveTo(l.spec.Process)
	drop, err := s.joinShm(l.spec)
	if err != nil {
		io.closeOurs()
		return err
	}
	defer drop()
	ended, console, err := s.startFirst(l, io, group)
	if err != nil {
		io.closeOurs()
		return err
	}
	l.target = newTarget(io, console, l.log, ended, func(n unix.Signal) error { return s.signalFirst(l, n) })
	l.started = time.Now()
	if path := s.setup.PidFile; path != "" {
		if err := store.WriteFile(path, strconv.AppendInt(nil, int64(l.pid), 10), store.Fleeting); err != nil {
			return err
		}
	}
	return s.record()
}

// startFirst starts the first process, by skiff's own runtime or another one.
func (s *shim) startFirst(l *life, io *stdio, group *os.File) (ended <-chan unix.WaitStatus, console *os.File, err error) {
	if s.foreign != nil {
		return s.foreign.start(l, io)
	}
	launch := &oci.Launch{ID: s.setup.Container, Bundle: s.setup.Dir, Spec: l.spec, Rootfs: filepath.Join(s.setup.Dir, "merged"), Seccomp: l.seccomp, Stdio: io.theirs, Init: s.setup.Init,
		Prepare: func() error { return s.prepare(l, io) }, Created: func(pid int) error { return s.identify(l, pid) }, Cgroup: group}
	launch.Preserve, launch.FilterFlags = s.preserve, s.setup.SeccompFlags
	if s.network != nil {
		launch.Forked, launch.Gate = s.network.begin, s.network.await
	}
	var started *oci.Started
	ended, err = s.children.start(func() (int, error) {
		var err error
		if started, err = launch.Start(); err != nil {
			return 0, err
		}
		return started.Process.PID, nil
	})
	if err != nil {
		return nil, nil, err
	}
	l.pid = started.Process.PID
	return ended, started.Console, nil
}

// signalFirst sends a signal to the first process.
func (s *shim) signalFirst(l *life, n unix.Signal) error {
	if s.foreign != nil {
		return s.foreign.signal(l, n)
	}
	return s.children.signal(l.pid, n)
}

// identify notes who the shim and the first process are, before that one executes
// its program: should the shim be killed from here on, the next command knows whom
// to end. Only a parent-death signal covers the time before, and a set-id program
// would be free of that.
func (s *shim) identify(l *life, pid int) error {
	if err := s.stillJoined(); err != nil {
		return err
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("opening process %d: %w", pid, err)
	}
	l.init = os.NewFile(uintptr(fd), "init")
	s.countOOM(l)
	if s.state.Shim, err = store.Identify(os.Getpid()); err != nil {
		return err
	}
	if s.state.Init, err = store.Identify(pid); err != nil {
		return err
	}
	if s.state.Status != store.Restarting { // else it is up all the time, for whoever asks
		s.state.Status = store.Created
	}
	s.state.Creating = false
	return store.WriteState(s.setup.Dir, &s.state, store.Fleeting)
}

// record writes that the container runs. From here on exec and attach are served.
func (s *shim) record() error {
	s.state.Status, s.state.StartedAt, s.state.Error = store.Running, time.Now().UTC(), ""
	return store.WriteState(s.setup.Dir, &s.state, s.durability())
}

func (s *shim) durability() store.Durability {
	return store.Durability(!s.setup.AutoRemove)
}

// sharesPIDs tells whether the container has no PID namespace of its own.
func sharesPIDs(spec *specs.Spec) bool {
	return !slices.ContainsFunc(spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool {
		return n.Type == specs.PIDNamespace && n.Path == ""
	})
}

// release tells the starter that the process was executed and begins to serve.
func (s *shim) release(l *life) {
	wire.CloseAll(s.direct[:])
	s.direct = [3]*os.File{}
	wire.CloseAll(s.preserve)
	s.preserve = nil
	s.tell("start")
	s.now = l // nobody else looks yet
	s.join(s.control)
	l.target.hub.add(s.control, s.setup.Attach)
	if s.control.Send(kindStarted, Started{l.pid}) != nil {
		s.leave(s.control)
	}
	l.target.pump() // after the word that it started, which comes first
	s.tellSize(l.target, s.setup.Attach.Size)
	go s.attend(s.control, l.target, s.setup.Attach)
	s.accompany(l)
	go s.listener.serve(s.converse)
	if s.network != nil {
		go s.network.watch()
	}
	time.AfterFunc(calm, s.handleSignals)
}

// accompany begins what goes on beside a life until its end.
func (s *shim) accompany(l *life) {
	s.watchHealth(l)
	s.watchOOM(l)
	l.timers = append(l.timers, time.AfterFunc(trimAfter, trim))
	if s.setup.Timeout > 0 {
		l.timers = append(l.timers, time.AfterFunc(s.setup.Timeout, func() {
			l.expired.Store(true)
			l.target.signal(unix.SIGKILL)
		}))
	}
}

// onMainThread runs f where children may be forked, and returns when it has run.
func (s *shim) onMainThread(f func()) {
	done := make(chan struct{})
	s.jobs <- func() { f(); close(done) }
	<-done
}
