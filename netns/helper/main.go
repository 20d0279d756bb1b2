package helper

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/skiff-containers/skiff/netns/client"
	"github.com/skiff-containers/skiff/netns/helper/space"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// Stages are the stages of this package by argv[0]; each returns an exit code.
func Stages() map[string]func() int {
	return map[string]func() int{client.Stage: main, holderStage: hold}
}

// main is the stage "skiff-network".
//
// It is root of the user's user namespace U (where root called: of root's own, see
// holder), in the host's network and mount namespaces (or, started by a shim, in a
// copy of the shim's mount namespace), a session leader, adopted by init. It ends some time after the last container was detached.
func main() int {
	listener, err := userns.Passed(client.ListenerName)
	if err != nil || len(os.Args) < 2 {
		return 125
	}
	unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) // a container in the host's PID namespace sees us
	unix.Umask(0o077)
	signal.Ignore(unix.SIGHUP, unix.SIGINT, unix.SIGQUIT) // of terminals that others sit at
	// Caught, not ignored: pasta, which would inherit that, does not start then.
	signal.Notify(make(chan os.Signal, 1), unix.SIGPIPE)
	h := &helper{store: &store.Store{Root: os.Args[1]}, listener: listener, logged: map[string]time.Time{}}
	if err := h.begin(os.Args[len(os.Args)-1]); err != nil {
		h.leave()
		h.refuse(err)
		return 1
	}
	if h.tookOver {
		time.AfterFunc(sweepAfter, func() { h.swept.Do(h.sweep) })
	}
	time.AfterFunc(trimAfter, func() {
		debug.SetGCPercent(garbage)
		if err := trim(); err != nil {
			h.logf("%v", err)
		}
	})
	h.serve()
	return 0
}

// leave takes the helper, or who stands in live/ for it, out of there.
func (h *helper) leave() {
	if h.holder != nil {
		h.store.Leave(client.Who)
		return
	}
	h.store.LeaveSelf(client.Who)
}

// sweepAfter is how long shims have to attach their containers to a new helper.
const sweepAfter = 10 * time.Second

const (
	// garbage is how much of it, in percent of what is in use, may pile up. A limit in
	// bytes would have the collector run all the time near it.
	garbage = 50
	// startGarbage is the same for the start, which makes less than lets the collector begin
	// then: it would stop all threads several times, while a container waits.
	startGarbage = 200
	// fewestProcessors is at least so many threads that Go lets run its code at a time.
	// Those that carry data spend their time in the kernel; coming back they shall
	// not wait for each other, whatever the number of cores.
	fewestProcessors = 6
)

// begin makes everything that is there before the first container.
func (h *helper) begin(where string) error {
	debug.SetGCPercent(startGarbage)
	runtime.GOMAXPROCS(max(runtime.NumCPU(), fewestProcessors))
	if where == client.Inside {
		if err := leaveMounts(filepath.Join(h.store.Root, "containers")); err != nil {
			return err
		}
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	var err error
	if h.folder, err = os.Open(filepath.Join(h.store.Root, "helper")); err != nil {
		return fmt.Errorf("opening the helper's folder: %w", err)
	}
	if err := h.openLog(); err != nil {
		return err
	}
	if err := h.holdAlive(); err != nil {
		return err
	}
	if where == client.Outside {
		if h.holder, err = h.startHolder(); err != nil {
			return err
		}
	}
	if h.space, err = h.findSpace(); err != nil {
		return err
	}
	return h.furnish()
}

// leaveMounts unmounts what a shim, whose mount namespace this one is a copy of, has
// mounted for its container: it would stay mounted for as long as we live.
func leaveMounts(containers string) error {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("reading the mounts: %w", err)
	}
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line) // proc_pid_mountinfo(5): the fifth is the mount point
		if len(fields) > 4 && strings.HasPrefix(unescape(fields[4]), containers+"/") {
			if err := unix.Unmount(unescape(fields[4]), unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
				return fmt.Errorf("leaving the mount %s: %w", fields[4], err)
			}
		}
	}
	return nil
}

// unescape undoes how the kernel writes spaces and the like in a path.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace

// maxLog is where the log of errors is begun anew.
const maxLog = 256 << 10

// openLog makes helper/log what is written to standard error, by Go's runtime too.
func (h *helper) openLog() error {
	path := filepath.Join(h.folder.Name(), client.LogName)
	if info, err := os.Stat(path); err == nil && info.Size() > maxLog {
		os.Rename(path, path+".1")
	}
	log, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("opening the helper's log: %w", err)
	}
	defer log.Close()
	return unix.Dup3(int(log.Fd()), 2, 0)
}

// logf notes an error that nobody waits for. The log is bounded: one line a kind in a second.
func (h *helper) logf(format string, args ...any) {
	h.logMu.Lock()
	defer h.logMu.Unlock()
	now := time.Now()
	if now.Sub(h.logged[format]) < time.Second {
		return
	}
	h.logged[format] = now
	fmt.Fprintf(os.Stderr, now.UTC().Format(time.RFC3339)+" "+format+"\n", args...)
}

// aliveLimit is how long an earlier helper may take to end.
const aliveLimit = 5 * time.Second

// holdAlive takes the lock that says that a helper lives; there is never a second one.
func (h *helper) holdAlive() error {
	f, err := os.OpenFile(filepath.Join(h.folder.Name(), client.AliveName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("holding the helper alive: %w", err)
	}
	h.alive = f
	deadline := time.Now().Add(aliveLimit)
	for {
		whole := unix.Flock_t{Type: unix.F_WRLCK}
		err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &whole)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EACCES) && !errors.Is(err, unix.EINTR) || time.Now().After(deadline) {
			return fmt.Errorf("holding the helper alive, while another one may be: %w", err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// findSpace returns N: the one that a shim holds by being in it, or a new one.
func (h *helper) findSpace() (*space.Space, error) {
	live, err := h.store.Live()
	if err != nil {
		return nil, err
	}
	own, err := os.Stat("/proc/thread-self/ns/net")
	if err != nil {
		return nil, fmt.Errorf("looking at our network namespace: %w", err)
	}
	owner, err := os.Stat(h.userNamespace())
	if err != nil {
		return nil, fmt.Errorf("looking at our user namespace: %w", err)
	}
	for who, id := range live {
		if who == client.Who {
			continue
		}
		pidfd, err := id.Open()
		if err != nil || pidfd == nil {
			continue
		}
		file, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", id.PID))
		pidfd.Close()
		if err != nil {
			continue // ending, or of another user namespace
		}
		info, err := file.Stat()
		if err != nil || os.SameFile(info, own) || !ownedBy(file, owner) {
			file.Close()
			continue
		}
		n, err := space.Open(file)
		file.Close()
		if err == nil {
			h.tookOver = true
			return n, nil
		}
	}
	if h.holder != nil {
		return space.OpenProcess(h.holder.PID)
	}
	return space.New()
}

// userNamespace is the file of U.
func (h *helper) userNamespace() string {
	if h.holder != nil {
		return fmt.Sprintf("/proc/%d/ns/user", h.holder.PID)
	}
	return "/proc/self/ns/user"
}

// ownedBy tells whether a namespace belongs to a user namespace: a command that was
// started inside another container tool's network has one that does not.
func ownedBy(namespace *os.File, user os.FileInfo) bool {
	fd, err := unix.IoctlRetInt(int(namespace.Fd()), unix.NS_GET_USERNS)
	if err != nil {
		return false
	}
	owner := os.NewFile(uintptr(fd), "owner")
	defer owner.Close()
	theirs, err := owner.Stat()
	if err != nil {
		return false
	}
	return os.SameFile(theirs, user)
}
