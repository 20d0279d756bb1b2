package escape

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A container swaps a folder for a link that leads out while files are copied to and from
// it: what comes is never the host's, and nothing comes to be there (CVE-2018-15664).
func TestCopyWhileItsPathIsSwapped(t *testing.T) {
	t.Parallel()
	outside, home := folder(t), folder(t)
	write(t, filepath.Join(outside, "secret"), "the host's", 0o644)
	write(t, filepath.Join(home, "file"), "the user's", 0o644)
	name := background(t, nil, "sleep")
	setup := fmt.Sprintf("mkdir /here && echo inside > /here/secret && ln -s /../../../../../../..%s /link", outside)
	must(t, "exec", name, "sh", "-c", setup)
	must(t, "exec", "-d", name, "/tool", attacker, "swap", "/here", "/link")
	copied := 0
	for i := range 60 {
		to := filepath.Join(home, fmt.Sprintf("to%d", i))
		out := skiff("cp", name+":/here/secret", to)
		orderly(t, out)
		if data, err := os.ReadFile(to); err == nil {
			if copied++; string(data) != "inside\n" {
				t.Errorf("round %d: %q came out", i, data)
			}
		}
		orderly(t, skiff("cp", filepath.Join(home, "file"), fmt.Sprintf("%s:/here/made%d", name, i)))
		orderly(t, skiff("cp", home+"/.", fmt.Sprintf("%s:/here", name)))
		whole := skiff("cp", name+":/here/.", filepath.Join(home, fmt.Sprintf("all%d", i)))
		orderly(t, whole)
	}
	if copied == 0 {
		t.Error("nothing was copied: nothing was tried")
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 1 {
		t.Errorf("made outside: %v %v", entries, err)
	}
	if now := hostFile(t, filepath.Join(outside, "secret")); now != "the host's" {
		t.Errorf("the host's file holds %q", now)
	}
	found, _ := filepath.Glob(filepath.Join(home, "*", "secret"))
	for _, path := range append(found, filepath.Join(home, "secret")) {
		if data, err := os.ReadFile(path); err == nil && strings.Contains(string(data), "host") {
			t.Errorf("%s came out: %q", path, data)
		}
	}
}

// What is copied out lands in the destination, whatever links and names a container has
// put there before.
func TestCopyOutDoesNotFollowLinks(t *testing.T) {
	t.Parallel()
	outside, home := folder(t), folder(t)
	name := background(t, nil, "sleep")
	must(t, "exec", name, "sh", "-c", fmt.Sprintf("mkdir -p /d/a && ln -s %s /d/link && ln -s %s/made /d/file && mkfifo /d/pipe && echo x > /d/a/x", outside, outside))
	for range 2 { // the second time what came the first time is there
		orderly(t, skiff("cp", name+":/d/.", home))
		must(t, "exec", name, "sh", "-c", "rm -rf /d/link /d/file && mkdir -p /d/link && echo x > /d/link/through && echo x > /d/file")
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
		t.Errorf("made outside: %v %v", entries, err)
	}
}

// Copying reads nothing of the container's but what is copied: no library, no list of users and
// no time zone is looked for in it (CVE-2019-14271).
func TestCopyReadsNothingElse(t *testing.T) {
	t.Parallel()
	home, marks := folder(t), folder(t)
	write(t, filepath.Join(home, "file"), "x", 0o644)
	name := background(t, []string{"-v", marks + ":/watched"}, "watch")
	must(t, "exec", name, "sh", "-c", "mkdir -p /d && echo inside > /d/file")
	eventually(t, "watching", func() bool { return strings.Contains(skiff("logs", name).all, "watching") })
	mark := func(what string) { // seen by the watcher in its turn
		write(t, filepath.Join(marks, what), "", 0o644)
		eventually(t, what, func() bool { return strings.Contains(skiff("logs", name).all, "opened "+what) })
	}
	mark("begin")
	for _, args := range [][]string{{name + ":/d/file", home + "/out"}, {name + ":/d", home + "/tree"}, {"-a", home + "/file", name + ":/d/in"}, {home, name + ":/d/all"}, {"-a", name + ":/d/.", home + "/again"}} {
		must(t, append([]string{"cp"}, args...)...)
	}
	mark("end")
	_, seen, _ := strings.Cut(skiff("logs", name).all, "opened begin\n")
	if seen = strings.ReplaceAll(seen, "opened begin\n", ""); !strings.HasPrefix(seen, "opened end") {
		t.Error(seen)
	}
	// The watch itself works.
	must(t, "exec", name, "cat", "/etc/group")
	if found := findings(t, name); !strings.Contains(found, "opened group") {
		t.Error("the watcher saw nothing:", found)
	}
}

// watch tells what is opened in the folders in which a library looks for things.
func watch([]string) error {
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK)
	if err != nil {
		return err
	}
	for _, dir := range []string{"/etc", "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo", "/watched"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_OPEN|unix.IN_CREATE); err != nil {
			return fmt.Errorf("watching %s: %w", dir, err)
		}
	}
	for _, name := range []string{"/etc/nsswitch.conf", "/etc/localtime", "/etc/ld.so.cache", "/etc/ld.so.preload", "/lib/libnss_files.so.2", "/lib64/libc.so.6"} {
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			return err
		}
	}
	fmt.Println("watching")
	b := make([]byte, 64<<10)
	for !done() {
		if _, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 20); err != nil && err != unix.EINTR {
			return err
		}
		n, _ := unix.Read(fd, b)
		for rest := b[:max(n, 0)]; len(rest) >= unix.SizeofInotifyEvent; {
			size := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(rest[12:])) // inotify(7)
			if name := bytes.TrimRight(rest[unix.SizeofInotifyEvent:size], "\x00"); len(name) > 0 {
				fmt.Println("opened", string(name))
			}
			rest = rest[size:]
		}
	}
	return nil
}
