package oci

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const testPasswd = `root:x:0:0:root:/root:/bin/sh
# a comment
daemon:x:1:1::/:/bin/false
app:x:1000:1001:App:/home/app:/bin/sh
homeless:x:1002:1002:::
1234:x:7:7::/seven:/bin/sh
broken:x:abc:0::/:
huge:x:4294967295:0::/:
short:x
`

const testGroup = `root:x:0:root
wheel:x:10:root,app
audio:x:29:app
app:x:1001:
late:x:77
broken:x:zz:app
`

func TestResolveUser(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		user     string
		add      []string
		uid, gid uint32
		groups   []uint32
		home     string
		err      string
	}{
		{user: "", groups: []uint32{0, 10}, home: "/root"},
		{user: "root", groups: []uint32{0, 10}, home: "/root"},
		{user: "0", groups: []uint32{0, 10}, home: "/root"},
		{user: "app", uid: 1000, gid: 1001, groups: []uint32{1001, 10, 29}, home: "/home/app"},
		{user: "1000", uid: 1000, gid: 1001, groups: []uint32{1001, 10, 29}, home: "/home/app"},
		{user: "app:wheel", uid: 1000, gid: 10, groups: []uint32{10}, home: "/home/app"},
		{user: "app:5", uid: 1000, gid: 5, groups: []uint32{5}, home: "/home/app"},
		{user: "app:", uid: 1000, gid: 1001, groups: []uint32{1001, 10, 29}, home: "/home/app"},
		{user: "4242", uid: 4242, groups: []uint32{0}, home: "/"},
		{user: "4242:4343", uid: 4242, gid: 4343, groups: []uint32{4343}, home: "/"},
		{user: "homeless", uid: 1002, gid: 1002, groups: []uint32{1002}, home: "/"},
		{user: "1234", uid: 1234, groups: []uint32{0}, home: "/"}, // a number is never a name
		{user: ":wheel", gid: 10, groups: []uint32{10}, home: "/root"},
		{user: "app", add: []string{"late", "99", "audio"}, uid: 1000, gid: 1001, groups: []uint32{1001, 10, 29, 77, 99}, home: "/home/app"},
		{user: "nobody", err: `looking up user "nobody": no user "nobody" in the container's /etc/passwd`},
		{user: "broken", err: "no user"},
		{user: "huge", err: "no user"},
		{user: "app:nogroup", err: `no group "nogroup" in the container's /etc/group`},
		{user: "app", add: []string{"nogroup"}, err: `adding group "nogroup"`},
		{user: "4294967296", err: "beyond"},
		{user: "2147483648", err: "beyond"},
		{user: "0:2147483648", err: "beyond"},
		{user: "-1", err: "no user"},
	} {
		u, home, err := resolveUser([]byte(testPasswd), []byte(testGroup), test.user, test.add)
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%q: %v, want an error with %q", test.user, err, test.err)
			}
			continue
		}
		if err != nil || u.UID != test.uid || u.GID != test.gid || !slices.Equal(u.AdditionalGids, test.groups) || home != test.home {
			t.Errorf("%q: %+v, home %q, %v", test.user, u, home, err)
		}
	}
}

// Without files a number is good and a name is not.
func TestResolveUserWithoutFiles(t *testing.T) {
	t.Parallel()
	if u, home, err := resolveUser(nil, nil, "", nil); err != nil || u.UID != 0 || u.GID != 0 || home != "/" {
		t.Errorf("%+v, %q, %v", u, home, err)
	}
	if _, _, err := resolveUser(nil, nil, "root", nil); err == nil {
		t.Error("a name was found in no file")
	}
}

// rootFile is a root directory in which etc/passwd is made by the caller.
func rootFile(t *testing.T, fill func(etc string)) *os.File {
	t.Helper()
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "etc"), 0o755))
	fill(filepath.Join(dir, "etc"))
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
	must(t, err)
	f := os.NewFile(uintptr(fd), dir)
	t.Cleanup(func() { f.Close() })
	return f
}

func TestLookupUser(t *testing.T) {
	t.Parallel()
	root := rootFile(t, func(etc string) {
		must(t, os.WriteFile(filepath.Join(etc, "passwd"), []byte(testPasswd), 0o644))
		must(t, os.WriteFile(filepath.Join(etc, "group"), []byte(testGroup), 0o644))
	})
	if u, home, err := LookupUser(root, "app", nil); err != nil || u.UID != 1000 || u.GID != 1001 || home != "/home/app" {
		t.Errorf("%+v, %q, %v", u, home, err)
	}
	empty := rootFile(t, func(string) {})
	if u, home, err := LookupUser(empty, "5:6", nil); err != nil || u.UID != 5 || u.GID != 6 || home != "/" {
		t.Errorf("%+v, %q, %v", u, home, err)
	}
}

// A hostile image can neither make the look-up wait, nor eat memory, nor read the host's files.
func TestLookupUserHostile(t *testing.T) {
	t.Parallel()
	fifo := rootFile(t, func(etc string) { must(t, unix.Mkfifo(filepath.Join(etc, "passwd"), 0o644)) })
	if _, _, err := LookupUser(fifo, "", nil); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("FIFO: %v", err)
	}
	huge := rootFile(t, func(etc string) {
		must(t, os.WriteFile(filepath.Join(etc, "passwd"), nil, 0o644))
		must(t, os.Truncate(filepath.Join(etc, "passwd"), 1<<40))
	})
	if _, _, err := LookupUser(huge, "", nil); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("huge: %v", err)
	}
	secret := filepath.Join(t.TempDir(), "passwd")
	must(t, os.WriteFile(secret, []byte("secret:x:9:9::/:\n"), 0o644))
	for _, target := range []string{secret, "../../../../../.." + secret} {
		link := rootFile(t, func(etc string) { must(t, os.Symlink(target, filepath.Join(etc, "passwd"))) })
		if _, _, err := LookupUser(link, "secret", nil); err == nil {
			t.Errorf("the host's file was read through the link %q", target)
		}
	}
	loop := rootFile(t, func(etc string) { must(t, os.Symlink("passwd", filepath.Join(etc, "passwd"))) })
	if _, _, err := LookupUser(loop, "", nil); err == nil {
		t.Error("a loop of links was read")
	}
	magic := rootFile(t, func(etc string) { must(t, os.Symlink("/proc/self/fd/0", filepath.Join(etc, "passwd"))) })
	if _, _, err := LookupUser(magic, "name", nil); err == nil {
		t.Error("a descriptor of ours was read")
	}
}

func FuzzLookupUser(f *testing.F) {
	f.Add([]byte(testPasswd), []byte(testGroup), "app:wheel", "audio")
	f.Add([]byte("::::::\n:x:0:0"), []byte(":::\n\x00:x:1:,,,"), ":", "")
	f.Add([]byte("a:b:4294967295:-1:::"), []byte("a:b:99999999999999999999:a"), "4294967295:0", "-0")
	f.Fuzz(func(t *testing.T, passwd, group []byte, user, add string) {
		u, home, err := resolveUser(passwd, group, user, []string{add})
		if err != nil {
			return
		}
		if home == "" || u.UID > maxID || u.GID > maxID || len(u.AdditionalGids) == 0 || u.AdditionalGids[0] != u.GID {
			t.Errorf("%+v, home %q", u, home)
		}
		for i, gid := range u.AdditionalGids {
			if gid > maxID || slices.Contains(u.AdditionalGids[:i], gid) {
				t.Errorf("groups %v", u.AdditionalGids)
			}
		}
	})
}

// A file that is one line of separators costs who reads it little more than its size: it
// is read outside of the container, whose limits do not hold there.
func TestAccountsOfSeparatorsTakeNoMemory(t *testing.T) {
	passwd := []byte(strings.Repeat(":", maxUserFile))
	group := []byte("staff:x:50:" + strings.Repeat(",", maxUserFile))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _, err := resolveUser(append(passwd, "\nevil:x:1:1::/:\n"...), group, "evil", nil)
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	if taken := after.TotalAlloc - before.TotalAlloc; taken > 8*maxUserFile {
		t.Errorf("it took %d MiB", taken>>20)
	}
}
