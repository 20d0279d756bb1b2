package escape

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// withFolders runs skiff with folders of the host open from 3 on, inherited by all that
// does not close them, and one as its standard input.
func withFolders(t *testing.T, args ...string) outcome {
	t.Helper()
	cmd := command(args...)
	for range 12 {
		d, err := os.Open("/etc")
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, d)
	}
	cmd.Stdin = cmd.ExtraFiles[0]
	return finish(cmd)
}

// No descriptor of skiff's or of who called it is open in a container, be it the first
// process, the built-in init, or a further one (CVE-2024-21626, CVE-2016-9962).
func TestNoDescriptorIsLeft(t *testing.T) {
	t.Parallel()
	if o := withFolders(t, inside([]string{"-i", "--init"}, "descriptors")...); o.code != 0 || o.all != "" {
		t.Errorf("run: %d %s", o.code, o.all)
	}
	name := backgroundBy(t, func(args ...string) outcome { return withFolders(t, args...) }, nil, "sleep")
	if o := withFolders(t, "exec", "-i", name, "/tool", attacker, "descriptors"); o.code != 0 || o.all != "" {
		t.Errorf("exec: %d %s", o.code, o.all)
	}
	// The attack itself works.
	cmd := command("exec", "--preserve-fds", "1", name, "/tool", attacker, "descriptors")
	d, err := os.Open("/etc")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	cmd.ExtraFiles = []*os.File{d}
	if o := finish(cmd); !strings.Contains(o.all, "/etc") {
		t.Errorf("a descriptor that was to be kept: %d %s", o.code, o.all)
	}
}

// descriptors prints those that are no pipe or socket and not this program's own, of itself and of
// PID 1.
func descriptors([]string) error {
	for _, pid := range []string{"self", "1"} {
		open, err := filepath.Glob("/proc/" + pid + "/fd/*")
		if err != nil {
			return err
		}
		for _, fd := range open {
			var st unix.Stat_t
			target, err := os.Readlink(fd)
			if err != nil || strings.HasPrefix(target, "anon_inode:[event") || unix.Stat(fd, &st) != nil {
				continue
			}
			n := filepath.Base(fd)
			kind := st.Mode & unix.S_IFMT
			null := kind == unix.S_IFCHR && uint64(st.Rdev) == unix.Mkdev(1, 3)
			if streams := n == "0" || n == "1" || n == "2"; streams && (null || kind == unix.S_IFIFO || kind == unix.S_IFSOCK) {
				continue
			}
			if pid == "1" && (kind == unix.S_IFIFO || kind == unix.S_IFSOCK) && goes(fd, target) {
				continue // by which the built-in init learns, and tells, that this program is executed
			}
			fmt.Println(fd, target)
		}
	}
	return nil
}

// goes waits until a descriptor is closed.
func goes(fd, target string) bool {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if now, err := os.Readlink(fd); err != nil || now != target {
			return true
		}
	}
	return false
}

// A working directory that leads through a descriptor of ours to the host's files is
// refused, or is one of the container's (CVE-2024-21626).
func TestWorkingDirectoryThroughADescriptor(t *testing.T) {
	t.Parallel()
	name := backgroundBy(t, func(args ...string) outcome { return withFolders(t, args...) }, nil, "sleep")
	for n := range 24 {
		for _, dir := range []string{fmt.Sprintf("/proc/self/fd/%d", n), fmt.Sprintf("/proc/1/fd/%d", n), fmt.Sprintf("/proc/thread-self/fd/%d/../..", n)} {
			for _, o := range []outcome{
				withFolders(t, inside([]string{"-i", "-w", dir}, "climb")...),
				withFolders(t, "exec", "-i", "-w", dir, name, "/tool", attacker, "climb"),
			} {
				if o.code == 0 && o.out != "inside" || o.code != 0 && o.code < 125 {
					t.Errorf("%s: %d %s", dir, o.code, o.all)
				}
			}
		}
	}
}

// climb tells whether the way up from the working directory ends at the root.
func climb([]string) error {
	var root, here, above unix.Stat_t
	if err := unix.Stat("/", &root); err != nil {
		return err
	}
	path := "."
	for range 64 {
		if err := unix.Stat(path, &here); err != nil {
			return err
		}
		path += "/.."
		if err := unix.Stat(path, &above); err != nil {
			return err
		}
		if above.Dev == here.Dev && above.Ino == here.Ino {
			break
		}
	}
	if here.Dev == root.Dev && here.Ino == root.Ino {
		fmt.Println("inside")
		return nil
	}
	fmt.Println("outside")
	return nil
}

func waitDone() {
	for !done() {
		time.Sleep(10 * time.Millisecond)
	}
}
