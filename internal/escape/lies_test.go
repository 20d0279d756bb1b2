package escape

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The first process of a container may change its mounts when it has the right to: what
// enters it afterwards finds pipes for files and files for folders, and neither hangs nor leaves.
func TestEnteringAContainerThatLies(t *testing.T) {
	t.Parallel()
	host := folder(t)
	write(t, filepath.Join(host, "accounts"), "evil:x:4321:4321::/:/bin/sh\n", 0o644)
	for _, about := range []string{"accounts", "pipes", "mounts"} {
		t.Run(about, func(t *testing.T) { enterLiar(t, host, about) })
	}
}

func enterLiar(t *testing.T, host, about string) {
	name := background(t, []string{"--privileged"}, "lie", about, host+"/accounts")
	eventually(t, "its lies", func() bool {
		said := skiff("logs", name).all
		if strings.Contains(said, "step") {
			t.Fatal(said)
		}
		return strings.Contains(said, "lying")
	})
	home := folder(t)
	for _, args := range [][]string{
		{"exec", name, "true"}, {"exec", "-u", "evil", name, "id"}, {"exec", "-w", "/proc/self/fd/3", name, "true"}, {"exec", "-w", "/proc/self/cwd", name, "/tool", attacker, "climb"},
		{"exec", "--privileged", name, "true"}, {"top", name}, {"cp", name + ":/etc/passwd", home}, {"cp", name + ":/dev/pts/ptmx", home}, {"cp", name + ":/proc/self/exe", home},
		{"stats", "--no-stream", name}, {"diff", name}, {"inspect", name},
	} {
		o := skiff(args...)
		orderly(t, o)
		if slices.Contains(args, "evil") && o.code == 0 || slices.Contains(args, "climb") && strings.Contains(o.all, "outside") {
			t.Errorf("%q: %d %s", args, o.code, o.all)
		}
	}
	if said := onTerminal(t, "exec", "-t", name, "true"); about == "mounts" && !strings.Contains(said, "opening a terminal") {
		t.Errorf("a terminal was had: %q", said)
	}
	if o := skiff("rm", "-f", "-t", "0", name); o.code != 0 {
		t.Error(o.all)
	}
}

func lie(args []string) error {
	pipe := func(path string) error { return unix.Mkfifo(path, 0o666) }
	var steps []error
	switch args[0] {
	case "accounts":
		steps = []error{os.Remove("/etc/passwd"), os.Symlink("/../../../.."+args[1], "/etc/passwd")}
	case "pipes":
		steps = []error{os.Remove("/etc/passwd"), pipe("/etc/passwd"), os.Remove("/etc/group"), pipe("/etc/group")}
	}
	steps = append(steps,
		unix.Mount("tmpfs", "/dev/pts", "tmpfs", 0, ""), pipe("/dev/pts/ptmx"), pipe("/dev/pts/0"),
		unix.Mount("tmpfs", "/proc", "tmpfs", 0, ""),
		os.MkdirAll("/proc/self/attr/apparmor", 0o755), os.MkdirAll("/proc/thread-self/attr/apparmor", 0o755),
		pipe("/proc/self/attr/exec"), pipe("/proc/thread-self/attr/exec"), pipe("/proc/self/exe"), pipe("/proc/self/uid_map"), pipe("/proc/self/setgroups"),
		os.Symlink("/", "/proc/self/fd"), os.Symlink("/", "/proc/self/cwd"), os.MkdirAll("/proc/sys/kernel", 0o755), pipe("/proc/sys/kernel/cap_last_cap"))
	for i, err := range steps {
		if err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	fmt.Println("lying")
	waitDone()
	return nil
}
