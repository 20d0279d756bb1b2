package escape

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// One container swaps, as fast as it can, a folder of a volume for a link that leads out,
// while others that share the volume are started with mounts, a working directory and
// masks in it (CVE-2021-30465, CVE-2025-31133, CVE-2024-21626). Nothing may come to be
// outside, and what is mounted must lie below the folder.
func TestMountsWhileTheirTargetIsSwapped(t *testing.T) {
	t.Parallel()
	shared, outside, payload := folder(t), folder(t), folder(t)
	for _, dir := range []string{filepath.Join(shared, "here"), filepath.Join(shared, "real")} {
		if err := os.Mkdir(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(payload, "payload"), "payload", 0o644)
	write(t, filepath.Join(payload, "file"), "payload", 0o644)
	if err := os.Symlink("/../../../../../../../.."+outside, filepath.Join(shared, "link")); err != nil {
		t.Fatal(err)
	}
	name := background(t, []string{"-v", shared + ":/v"}, "swap", "/v/here", "/v/link")
	started := 0
	for i := range 60 {
		o := skiff(inside([]string{"-v", shared + ":/v", "-v", fmt.Sprintf("%s:/v/here/made%d/mount", payload, i), "-v", fmt.Sprintf("%s/file:/v/here/file%d", payload, i),
			"-w", fmt.Sprintf("/v/here/work%d", i), "--security-opt", fmt.Sprintf("mask=/v/here/made%d", i), "--tmpfs", fmt.Sprintf("/v/here/tmp%d", i)}, "mounts", "/v", outside)...)
		switch {
		case o.code == 0:
			started++
			if strings.Contains(o.all, "outside") {
				t.Errorf("round %d: %s", i, o.all)
			}
		case o.code < 125:
			t.Errorf("round %d: exit code %d: %s", i, o.code, o.all)
		}
	}
	if started == 0 {
		t.Error("no container was started: nothing was tried")
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
		t.Errorf("made outside: %v %v", entries, err)
	}
	if found := findings(t, name); !strings.Contains(found, "swapped") {
		t.Error("nothing was swapped:", found)
	}
}

// swap exchanges two names until it has been seen enough.
func swap(args []string) error {
	n := 0
	for ; n%256 != 0 || !done(); n++ {
		if err := unix.Renameat2(unix.AT_FDCWD, args[0], unix.AT_FDCWD, args[1], unix.RENAME_EXCHANGE); err != nil {
			return fmt.Errorf("swapping: %w", err)
		}
	}
	fmt.Println("swapped", n, "times")
	return nil
}

// mounts tells which mounts lie outside of where they should be.
func mounts(args []string) error {
	list, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(list)) {
		f := strings.Fields(line) // proc_pid_mountinfo(5)
		if len(f) > 4 && strings.HasPrefix(f[4], args[1]) {
			continue // within the container's own root, where the link may lead
		}
		if len(f) > 4 && strings.Contains(f[3], args[1]) {
			fmt.Println("outside:", line)
		}
	}
	return nil
}

// What a process of a container may mount over or change is nothing: not what hides
// parts of the kernel, not what is read-only, not by a new instance of it.
func TestMountsCannotBeChanged(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	write(t, filepath.Join(dir, "file"), "", 0o666)
	for _, options := range [][]string{nil, {"--security-opt", "seccomp=unconfined"}} {
		if found := attacked(t, append(options, "-v", dir+":/ro:ro"), "mounts"); found != "" {
			t.Errorf("%q: %s", options, found)
		}
	}
}

func changeMounts(args []string) error {
	if len(args) > 0 {
		return mounts(args)
	}
	try := func(what string, err error) {
		if err == nil {
			fmt.Println("could", what)
		} else if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) && !errors.Is(err, unix.EROFS) {
			fmt.Println(what, err)
		}
	}
	try("unmount the mask of /proc/keys", unix.Unmount("/proc/keys", unix.MNT_DETACH))
	try("unmount /proc/sys", unix.Unmount("/proc/sys", unix.MNT_DETACH))
	try("remount /proc/sys", unix.Mount("", "/proc/sys", "", unix.MS_REMOUNT|unix.MS_BIND, ""))
	try("remount a volume", unix.Mount("", "/ro", "", unix.MS_REMOUNT|unix.MS_BIND, ""))
	try("mount proc", unix.Mount("proc", "/tmp", "proc", 0, ""))
	try("bind /", unix.Mount("/", "/tmp", "", unix.MS_BIND|unix.MS_REC, ""))
	try("change the root", unix.PivotRoot("/tmp", "/tmp"))
	_, err := unix.OpenTree(unix.AT_FDCWD, "/proc/sys", unix.OPEN_TREE_CLONE)
	try("clone /proc/sys", err)
	_, err = unix.Fsopen("proc", 0)
	try("make a proc", err)
	try("write to a read-only volume", os.WriteFile("/ro/file", []byte("x"), 0o666))
	return nil
}
