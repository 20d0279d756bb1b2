package store

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// daemon is fuse-overlayfs at work for one container: a child of the caller, in
// its namespaces. It ends with the mount; and when the caller dies the kernel
// kills it (PR_SET_PDEATHSIG), or it would hold the mount namespace for ever.
type daemon struct {
	pid   int
	ended chan struct{} // closed at its end
	err   error         // read after ended
	log   *os.File
}

// fuseUsable tells why fuse-overlayfs cannot be used, or nil.
func fuseUsable() error {
	if _, err := exec.LookPath(FuseOverlay); err != nil {
		return &userns.HostError{What: "fuse-overlayfs is not installed", Hint: "install the package fuse-overlayfs"}
	}
	if err := unix.Access("/dev/fuse", unix.R_OK|unix.W_OK); err != nil {
		return &userns.HostError{What: "/dev/fuse cannot be opened", Hint: "sudo modprobe fuse && sudo chmod 666 /dev/fuse", Err: err}
	}
	return nil
}

// mountFuse starts fuse-overlayfs and returns when its mount is there.
func (st Stack) mountFuse(target string) (*daemon, error) {
	program, err := exec.LookPath(FuseOverlay)
	if err != nil {
		return nil, fuseUsable()
	}
	if strings.Contains(st.Dir, ":") { // it resolves paths, and then splits them
		return nil, &userns.HostError{What: fmt.Sprintf("fuse-overlayfs cannot mount below %q, for its colon", st.Dir), Hint: "choose another place for the store by SKIFF_ROOT"}
	}
	folders, err := st.folders()
	if err != nil {
		return nil, err
	}
	defer folders.close()
	options := folders.options(func(i int) int { return 3 + i }) // the child's numbers
	if st.Volatile {
		options += ",volatile"
	}
	d := &daemon{ended: make(chan struct{})}
	// What it complains about goes to a file without a name, read if it fails.
	if d.log, err = os.OpenFile(st.Dir, unix.O_TMPFILE|os.O_RDWR, 0o600); err != nil {
		return nil, err
	}
	started := make(chan error, 1)
	cmd := exec.Command(program, "-f", "-o", options, target)
	cmd.ExtraFiles = folders.all()
	go d.run(cmd, started)
	if err := <-started; err != nil {
		return nil, err
	}
	if err := d.awaitMount(target); err != nil {
		return nil, err
	}
	return d, nil
}

// run starts the child and waits for its end on one thread, which is never given
// back before: the parent-death signal fires when the thread that forked ends.
func (d *daemon) run(cmd *exec.Cmd, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.Stdout, cmd.Stderr = d.log, d.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err := cmd.Start()
	if err == nil {
		d.pid = cmd.Process.Pid
	}
	started <- err
	if err == nil {
		d.err = cmd.Wait()
	}
	close(d.ended)
}

// Server is the process that serves the file system, a child of the caller's; 0 where that
// is the kernel.
func (m *Mounted) Server() int {
	if m.daemon == nil {
		return 0
	}
	return m.daemon.pid
}

// awaitMount returns when a FUSE file system is at target, or the child has ended.
func (d *daemon) awaitMount(target string) error {
	for {
		var st unix.Statfs_t
		if err := unix.Statfs(target, &st); err == nil && st.Type == unix.FUSE_SUPER_MAGIC {
			return nil
		}
		select {
		case <-d.ended:
			return fmt.Errorf("starting fuse-overlayfs: %w: %s", d.err, d.complaint())
		case <-time.After(time.Millisecond): // it tells nobody when it has mounted
		}
	}
}

func (d *daemon) complaint() string {
	buffer := make([]byte, 1024)
	n, _ := d.log.ReadAt(buffer, 0)
	return strings.TrimSpace(string(buffer[:n]))
}

// wait returns when the child has ended after its mount was taken away.
func (d *daemon) wait() error {
	if d == nil {
		return nil
	}
	<-d.ended
	d.log.Close()
	return nil
}

// ServesRoot tells whether a child of a shim, of the name name, is the server of its
// container's root file system. That one shares the mount namespace of the shim; a
// name is what any process of a container can give itself.
func ServesRoot(pid int, name string, shim int) bool {
	if name != FuseOverlay {
		return false
	}
	its, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", pid))
	if err != nil {
		return false
	}
	ours, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", shim))
	return err == nil && its == ours
}
