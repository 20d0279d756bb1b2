package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// overlayPage is how much mount(2) takes of options: one page, less the end.
const overlayPage = 4095

// layerFolders are the folders of one overlay mount as open descriptors. Their
// paths below /proc/self/fd are short, so that more than two hundred layers fit
// into one page of options; they need no escaping, and what the container reads in
// its mountinfo tells nothing of the host.
type layerFolders struct {
	lowers      []*os.File // topmost first
	upper, work *os.File
}

func (l *layerFolders) all() []*os.File {
	return append(l.lowers[:len(l.lowers):len(l.lowers)], l.upper, l.work)
}

func (l *layerFolders) close() {
	for _, f := range l.all() {
		f.Close() // of one that was never opened it is an error, and no harm
	}
}

// folders opens what the stack is made of. An image without layers gets an empty
// one, as overlayfs wants at least one.
func (st Stack) folders() (l *layerFolders, err error) {
	l = &layerFolders{}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	paths := st.Lowers()
	if len(paths) == 0 {
		empty := filepath.Join(st.Dir, "empty")
		if err := mkdirForAll(empty); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, err
		}
		paths = []string{empty}
	}
	for _, path := range paths {
		f, err := openPath(path)
		if err != nil {
			return nil, err
		}
		l.lowers = append(l.lowers, f)
	}
	if l.upper, err = openPath(st.upper()); err != nil {
		return nil, err
	}
	l.work, err = openPath(filepath.Join(st.Dir, "work"))
	return l, err
}

func openPath(path string) (*os.File, error) {
	return os.OpenFile(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
}

// options are lowerdir, upperdir and workdir; fd tells the number that the i-th of
// all has where they are read.
func (l *layerFolders) options(fd func(i int) int) string {
	path := func(i int) string { return "/proc/self/fd/" + strconv.Itoa(fd(i)) }
	n := len(l.lowers)
	lowers := make([]string, n)
	for i := range lowers {
		lowers[i] = path(i)
	}
	return "lowerdir=" + strings.Join(lowers, ":") + ",upperdir=" + path(n) + ",workdir=" + path(n+1)
}

// mountOverlay mounts with the kernel's overlayfs. index=on refuses a second mount
// of one upper directory, should the first still be there after a crash, and keeps
// hard links whole when they are copied up.
func (st Stack) mountOverlay(target string) error {
	l, err := st.folders()
	if err != nil {
		return err
	}
	defer l.close()
	flags := []string{"userxattr", "index=on"}
	if st.Volatile {
		// The mark of an earlier volatile mount forbids the next one, for fear of a
		// crash in between. After a crash of the machine these containers are swept.
		if err := os.RemoveAll(filepath.Join(st.Dir, "work", "work", "incompat")); err != nil {
			return err
		}
		flags = append(flags, "volatile")
	}
	for {
		err := l.mount(target, flags)
		switch {
		case errors.Is(err, unix.EINVAL) && len(flags) > 1:
			flags = flags[:len(flags)-1] // volatile came with 5.10, index=on may lack a file system's help
		default:
			return err
		}
	}
}

func (l *layerFolders) mount(target string, flags []string) error {
	all := l.all()
	options := strings.Join(flags, ",") + "," + l.options(func(i int) int { return int(all[i].Fd()) })
	if len(options) > overlayPage {
		return l.mountByParts(target, flags)
	}
	return retryBusy(func() error { return unix.Mount("overlay", target, "overlay", 0, options) })
}

// retryBusy tries again while the upper directory belongs to another mount: that
// of the same container's last life, which the kernel takes away a moment after
// its last process has ended.
func retryBusy(mount func() error) error {
	deadline := time.Now().Add(unmountLimit)
	for {
		err := mount()
		if !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

// mountByParts gives the layers one at a time (fsconfig(2), "lowerdir+", Linux
// 6.8), for more of them than one page holds.
func (l *layerFolders) mountByParts(target string, flags []string) error {
	fs, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return fmt.Errorf("opening overlayfs: %w", err)
	}
	defer unix.Close(fs)
	set := func(key, value string) {
		if err == nil {
			if err = unix.FsconfigSetString(fs, key, value); err != nil {
				err = fmt.Errorf("setting %s of an overlay with %d layers: %w", key, len(l.lowers), err)
			}
		}
	}
	path := func(f *os.File) string { return "/proc/self/fd/" + strconv.Itoa(int(f.Fd())) }
	for _, f := range l.lowers {
		set("lowerdir+", path(f))
	}
	set("upperdir", path(l.upper))
	set("workdir", path(l.work))
	for _, flag := range flags {
		if key, value, found := strings.Cut(flag, "="); found {
			set(key, value)
		} else if err == nil {
			err = unix.FsconfigSetFlag(fs, key)
		}
	}
	if err != nil {
		return err
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return fmt.Errorf("making an overlay of %d layers: %w", len(l.lowers), err)
	}
	mount, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("mounting an overlay: %w", err)
	}
	defer unix.Close(mount)
	if err := unix.MoveMount(mount, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("attaching an overlay: %w", err)
	}
	return nil
}
