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

// The program that starts processes in a container cannot be written by one who gets
// hold of it there, neither while it runs nor afterwards (CVE-2019-5736). It is got
// hold of by a script whose interpreter is /proc/self/exe.
func TestProgramOfExecCannotBeWritten(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	bait(t, dir)
	name := background(t, []string{"-v", dir + ":/v"}, "program")
	catch(t, func() { skiff("exec", name, "/v/bait") }, func() string { return skiff("logs", name).all })
	if found := findings(t, name); strings.Contains(found, "written") {
		t.Error(found)
	}
}

// The same where the first process of a container is the bait.
func TestProgramOfRunCannotBeWritten(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	bait(t, dir)
	name := background(t, nil, "program")
	catch(t, func() {
		skiff("run", "--rm", "--network", "none", "--pid", "container:"+name, "-v", dir+":/v", imageRef, "/v/bait")
	}, func() string { return skiff("logs", name).all })
	if found := findings(t, name); strings.Contains(found, "written") {
		t.Error(found)
	}
}

// And under the name of skiff-runtime, with which root starts containers that have no
// user namespace.
func TestProgramOfRuntimeCannotBeWritten(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("bundles without a user namespace are root's")
	}
	bundle := newBundle(t, "program")
	bait(t, filepath.Join(bundle.dir, "rootfs"))
	output := bundle.start(t)
	catch(t, func() { bundle.runtime("exec", bundle.id, "/bait") }, output)
	orEnded(t, bundle.runtime("exec", bundle.id, "/bin/busybox", "touch", "/done"))
	eventually(t, "the attacker's end", func() bool { return strings.Contains(output(), "tried") })
	if found := output(); strings.Contains(found, "written") {
		t.Error(found)
	}
}

func bait(t *testing.T, dir string) {
	t.Helper()
	write(t, filepath.Join(dir, "bait"), "#!/proc/self/exe\n", 0o755)
}

// catch shows the bait until the attacker has the program.
func catch(t *testing.T, show func(), output func() string) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		show()
		if strings.Contains(output(), "caught") {
			return
		}
	}
	t.Fatal("the attacker never got hold of the program:", output())
}

// grabProgram opens the programs of other processes, and tries to write to those that
// no process of the container itself has.
func grabProgram([]string) error {
	known := map[[2]uint64]bool{}
	for _, path := range []string{"/proc/self/exe", "/bin/busybox"} {
		if st, ok := fileID(path); ok {
			known[st] = true
		}
	}
	var caught []int
	for round := 0; !(round%64 == 0 && done()); round++ {
		pids, _ := filepath.Glob("/proc/[0-9]*")
		for _, pid := range pids {
			exe := pid + "/exe"
			if id, ok := fileID(exe); !ok || known[id] {
				continue
			}
			fd, err := unix.Open(exe, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				continue
			}
			if len(caught) < 16 {
				fmt.Println("caught", pid)
				tell("while it ran", exe)
				caught = append(caught, fd)
			} else {
				unix.Close(fd)
			}
		}
	}
	for _, fd := range caught {
		tell("afterwards", fmt.Sprintf("/proc/self/fd/%d", fd))
		for _, flag := range []uintptr{0, unix.MOUNT_ATTR_NOEXEC} {
			err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY | uint64(flag)})
			if err == nil {
				tell("after a change of its mount", fmt.Sprintf("/proc/self/fd/%d", fd))
			}
		}
	}
	fmt.Println("tried")
	return nil
}

// tell tries whether a file can be written, and leaves it as it is: its first byte is
// written anew. Where that is refused as the file is being executed, a change of its mode, to
// what it is, shows whether the mount is in between. A copy in memory may have its mode changed.
func tell(when, path string) {
	if err := rewrite(path); err == nil {
		fmt.Printf("%s: could be written\n", when)
	} else if err != unix.ETXTBSY {
		fmt.Printf("%s: %v\n", when, err)
		return
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0); err == nil && seals&unix.F_SEAL_WRITE != 0 || unix.Fstat(fd, &st) != nil {
		return
	}
	if err := unix.Fchmod(fd, st.Mode&0o7777); err == nil {
		fmt.Printf("%s: its mode could be written\n", when)
	}
}

func rewrite(path string) error {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	b := make([]byte, 1)
	if _, err := unix.Pread(fd, b, 0); err != nil {
		return err
	}
	_, err = unix.Pwrite(fd, b, 0)
	return err
}

func fileID(path string) (id [2]uint64, ok bool) {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return id, false
	}
	return [2]uint64{st.Dev, st.Ino}, true
}
