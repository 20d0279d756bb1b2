package oci

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func (c *container) mount(m specs.Mount) { c.Spec.Mounts = append(c.Spec.Mounts, m) }

func (c *container) bind(source, destination string, options ...string) {
	c.mount(specs.Mount{Destination: destination, Type: "bind", Source: source, Options: options})
}

// volume is a directory of the host with a file in it.
func volume(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "file"), []byte("content\n"), 0o644))
	return dir
}

func TestBind(t *testing.T) {
	c := newContainer(t, script("cat /vol/sub/file /one", "echo new > /vol/sub/new; echo more >> /one; stat -c %u:%g:%a /vol")...)
	dir := volume(t)
	c.bind(dir, "/vol/sub", "rbind", "rprivate")
	c.bind(filepath.Join(dir, "file"), "/one")
	want(t, c.output(), "content", "content", "0:0:755")
	if data, err := os.ReadFile(filepath.Join(dir, "new")); err != nil || string(data) != "new\n" {
		t.Errorf("%q %v", data, err)
	}
	if st, err := os.Stat(filepath.Join(dir, "new")); err != nil || int(st.Sys().(*syscall.Stat_t).Uid) != os.Getuid() {
		t.Errorf("the file does not belong to the user: %v", err)
	}
}

func TestBindReadOnly(t *testing.T) {
	c := newContainer(t, script("cat /vol/file; echo x > /vol/file || echo refused")...)
	c.bind(volume(t), "/vol", "rbind", "ro")
	if out := c.output(); out != "content\nrefused\n" {
		t.Error(out)
	}
}

// A remount would fail with EPERM here, as it would have to give up what the source has.
func TestBindReadOnlyOverRestrictedSource(t *testing.T) {
	c := newContainer(t, script("grep ' /vol ' /proc/self/mountinfo | cut -d' ' -f6; touch /vol/x || echo refused")...)
	dir := t.TempDir()
	c.Prepare = []string{"/bin/busybox", "mount", "-t", "tmpfs", "-o", "nosuid,nodev,noexec,noatime", "none", dir}
	c.bind(dir, "/vol", "rbind", "ro")
	if out := c.output(); out != "ro,nosuid,nodev,noexec,noatime\nrefused\n" {
		t.Error(out)
	}
}

func TestBindBeneath(t *testing.T) {
	for _, test := range []struct{ option, want string }{{"ro", "written"}, {"rro", "refused"}} {
		t.Run(test.option, func(t *testing.T) {
			c := newContainer(t, script("touch /vol/sub/x 2>/dev/null && echo written || echo refused", "touch /vol/x || true")...)
			dir := t.TempDir()
			must(t, os.Mkdir(filepath.Join(dir, "sub"), 0o755))
			c.Prepare = []string{"/bin/busybox", "mount", "-t", "tmpfs", "none", filepath.Join(dir, "sub")}
			c.bind(dir, "/vol", "rbind", test.option)
			want(t, c.output(), test.want)
		})
	}
}

func TestBindOptions(t *testing.T) {
	c := newContainer(t, script("grep ' /vol ' /proc/self/mountinfo | cut -d' ' -f6-7")...)
	c.bind(volume(t), "/vol", "bind", "nosuid", "nodev", "noexec", "rw", "z", "private")
	want(t, c.output(), "rw,nosuid,nodev,noexec,relatime -")
}

func TestBindRefused(t *testing.T) {
	for _, test := range []struct {
		name   string
		m      specs.Mount
		text   string
		source bool
	}{
		{"no source", specs.Mount{Destination: "/vol", Type: "bind", Source: "/nonesuch/x"}, `mounting "/nonesuch/x" at "/vol": opening "/nonesuch/x": no such file or directory`, false},
		{"relative", specs.Mount{Destination: "/vol", Type: "bind", Source: "x"}, `mounting at "/vol": source "x" is not an absolute path`, false},
		{"option", specs.Mount{Destination: "/vol", Type: "bind", Source: "/tmp", Options: []string{"shiny"}}, `mounting "/tmp" at "/vol": unknown option "shiny"`, false},
		{"root", specs.Mount{Destination: "/", Type: "tmpfs"}, `mounting on the root "/" is not possible`, false},
		{"on a file", specs.Mount{Destination: "/etc/passwd", Type: "bind", Source: "/tmp"}, `mounting "/tmp" at "/etc/passwd": a directory can be mounted on a directory only, and a file on a file: not a directory`, false},
		{"filesystem", specs.Mount{Destination: "/vol", Type: "nonesuchfs"}, `mounting nonesuchfs at "/vol": this kernel has no file system "nonesuchfs": no such device`, false},
		{"tmpfs option", specs.Mount{Destination: "/vol", Type: "tmpfs", Options: []string{"size=x"}}, `mounting tmpfs at "/vol": option "size=x"`, false},
		{"idmap", specs.Mount{Destination: "/vol", Type: "bind", Source: "/tmp", Options: []string{"idmap"}}, `mounting "/tmp" at "/vol": mapping its ids: neither the mount nor the container says how`, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newContainer(t, "true")
			c.mount(test.m)
			if e := c.refused(codeSetup); !strings.HasPrefix(e.Text, test.text) {
				t.Errorf("%q, want %q", e.Text, test.text)
			}
		})
	}
}

func TestTmpfs(t *testing.T) {
	c := newContainer(t, script("stat -c %a /tmp /run /scratch", "grep -E ' /(tmp|run|scratch) ' /proc/self/mountinfo | sed 's/.* - //' ", "touch /scratch/x")...)
	c.mount(specs.Mount{Destination: "/tmp", Type: "tmpfs", Source: "tmpfs", Options: []string{"size=64k"}})
	c.mount(specs.Mount{Destination: "/run", Type: "tmpfs", Source: "tmpfs", Options: []string{"mode=700"}})
	c.mount(specs.Mount{Destination: "/scratch", Type: "tmpfs", Source: "tmpfs"})
	if out := c.output(); !strings.HasPrefix(out, "1777\n700\n1777\ntmpfs tmpfs rw,size=64k") {
		t.Error(out)
	}
}

func TestHiddenPaths(t *testing.T) {
	c := newContainer(t, script(
		"cat /proc/timer_list /secret | wc -c",
		"ls -A /proc/acpi /hidden | grep -v : | wc -w",
		"touch /hidden/x 2>/dev/null || echo refused",
		"echo x > /proc/sys/kernel/hostname || echo refused",
		"echo x > /locked/file || echo refused",
		"cat /locked/file")...)
	must(t, os.Mkdir(c.path("hidden"), 0o777))
	must(t, os.Mkdir(c.path("locked"), 0o777))
	must(t, os.WriteFile(c.path("hidden/file"), nil, 0o644))
	must(t, os.WriteFile(c.path("secret"), []byte("secret"), 0o644))
	must(t, os.WriteFile(c.path("locked/file"), []byte("old\n"), 0o644))
	c.Spec.Linux.MaskedPaths = append(c.Spec.Linux.MaskedPaths, "/hidden", "/secret", "/nonesuch", "/etc/passwd/x")
	c.Spec.Linux.ReadonlyPaths = append(c.Spec.Linux.ReadonlyPaths, "/locked", "/nonesuch")
	want(t, c.output(), "0", "0", "refused", "refused", "refused", "old")
}

// The nodes are the host's: a container of root could otherwise take them away from everyone.
func TestDevicesCannotBeChanged(t *testing.T) {
	c := newContainer(t, script(
		"for d in null zero full random urandom tty; do chmod 600 /dev/$d 2>/dev/null && echo changed $d; done",
		"echo x > /dev/null; head -c 4 /dev/zero | wc -c; head -c 4 /dev/urandom | wc -c",
		"echo x > /dev/full 2>/dev/null || echo full",
		"for l in fd stdin ptmx core; do readlink /dev/$l; done")...)
	want(t, c.output(), "4", "4", "full", "/proc/self/fd", "/proc/self/fd/0", "pts/ptmx", "/proc/kcore")
}

func TestDevices(t *testing.T) {
	c := newContainer(t, script("stat -c %t:%T /dev/mynull /dev/null; echo x > /dev/mynull; echo x > /mine; chmod 600 /mine 2>/dev/null || echo kept")...)
	c.bind("/dev/null", "/mine", "bind", "rw")
	c.Spec.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/mynull", Type: "c", Major: 1, Minor: 3}, {Path: "/dev/null", Type: "c", Major: 1, Minor: 3}}
	want(t, c.output(), "1:3", "1:3", "kept")
	c.Spec.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/nope", Type: "c", Major: 4000, Minor: 3}}
	if e := c.refused(codeSetup); e.Text != `device "/dev/nope" (c 4000:3) is not on this host` {
		t.Errorf("%+v", e)
	}
}

func TestReadOnlyRoot(t *testing.T) {
	c := newContainer(t, script("touch /x 2>/dev/null || echo refused; touch /dev/shm/x /made/x; pwd")...)
	c.Spec.Root.Readonly = true
	c.Spec.Process.Cwd = "/work"
	c.mount(specs.Mount{Destination: "/made", Type: "tmpfs", Source: "tmpfs"})
	want(t, c.output(), "refused", "/work")
}

func TestRootPropagation(t *testing.T) {
	c := newContainer(t, script("grep -E ' / / | /proc ' /proc/self/mountinfo | grep -o 'shared' | wc -l", "grep -c shared: /proc/self/mountinfo || true")...)
	c.Spec.Linux.RootfsPropagation = "shared"
	out := strings.Fields(c.output())
	if len(out) != 2 || out[1] != "1" {
		t.Error(out)
	}
}

// Nothing of the host's mounts is left to be seen.
func TestOldRootIsGone(t *testing.T) {
	c := newContainer(t, script("cut -d' ' -f5 /proc/self/mountinfo | grep -vE '^/(proc|sys|dev)(/|$)'")...)
	want(t, c.output(), "/")
}

func TestHostNetworkShowsTheHostsSys(t *testing.T) {
	c := newContainer(t, script("awk '$5 == \"/sys\" {print substr($6, 1, 2)}' /proc/self/mountinfo", "ls /sys/class/net | grep -c lo",
		"for p in $(awk '$5 ~ /^\\/sys/ {print $5 \":\" $6}' /proc/self/mountinfo); do case $p in *:ro,*) ;; *) echo writable $p;; esac; done")...)
	c.dropNamespace(specs.NetworkNamespace)
	want(t, c.output(), "ro", "1")
}

func TestHostPIDShowsTheHostsProc(t *testing.T) {
	c := newContainer(t, script("test -d /proc/$$ && test $$ != 1 && cat /proc/1/comm > /dev/null && echo host; test -e /proc/self/stat && echo self; cat /proc/timer_list | wc -c")...)
	c.dropNamespace(specs.PIDNamespace)
	want(t, c.output(), "host", "self", "0")
}

func TestHostIPCAndCgroup(t *testing.T) {
	c := newContainer(t, "true")
	c.dropNamespace(specs.IPCNamespace)
	c.dropNamespace(specs.CgroupNamespace)
	c.dropNamespace(specs.UTSNamespace)
	c.output()
}

func TestNamespacesOfAnotherContainer(t *testing.T) {
	c := newContainer(t, script("hostname; cat /proc/1/comm; test -d /proc/$$ && echo proc; ls /sys/class/net | grep -c lo; ip -o link show lo | grep -c 'LOOPBACK,UP'")...)
	c.Peer = []specs.LinuxNamespaceType{specs.NetworkNamespace, specs.PIDNamespace, specs.IPCNamespace, specs.UTSNamespace}
	want(t, c.output(), "peer", "sleep", "proc", "1", "1")
}

func TestNoNamespace(t *testing.T) {
	for _, test := range []struct {
		kind       specs.LinuxNamespaceType
		path, text string
	}{
		{specs.UTSNamespace, "/etc/passwd", `opening namespace "/etc/passwd": not a namespace`},
		{specs.UTSNamespace, "/nonesuch", `opening namespace "/nonesuch": no such file or directory`},
		{specs.MountNamespace, "/proc/self/ns/mnt", `joining the mount namespace "/proc/self/ns/mnt" is not supported`},
		{specs.UserNamespace, "", `the container's config asks for a user namespace without uidMappings`},
		{specs.UTSNamespace, "/proc/self/ns/net", `opening namespace "/proc/self/ns/net": not of type uts`},
		{"dreams", "", `namespace type "dreams" is not supported`},
		{specs.NetworkNamespace, "/proc/self/ns/net", `joining the namespace ns-network: operation not permitted`},
	} {
		t.Run(string(test.kind)+strings.ReplaceAll(test.path, "/", "-"), func(t *testing.T) {
			c := newContainer(t, "true")
			c.dropNamespace(test.kind)
			c.Spec.Linux.Namespaces = append(c.Spec.Linux.Namespaces, specs.LinuxNamespace{Type: test.kind, Path: test.path})
			if e := c.refused(codeSetup); e.Text != test.text {
				t.Errorf("%q, want %q", e.Text, test.text)
			}
		})
	}
}

// Kernels before 5.12 have no mount_setattr, those before 5.9 no close_range.
func TestOldKernel(t *testing.T) {
	c := newContainer(t, script(
		"for p in /vol /tree /tree/sub /proc/sys /dev/null; do awk -v p=$p '$5 == p {print p, substr($6, 1, 2)}' /proc/self/mountinfo; done",
		"grep ' /vol ' /proc/self/mountinfo | cut -d' ' -f6",
		"touch /x 2>/dev/null || echo refused",
		listDescriptors+" | head -3")...)
	dir, tree := t.TempDir(), t.TempDir()
	must(t, os.Mkdir(filepath.Join(tree, "sub"), 0o755))
	c.Filter = answerFilter(uint32(unix.ENOSYS), unix.SYS_MOUNT_SETATTR, unix.SYS_CLOSE_RANGE)
	c.Prepare = []string{"/bin/busybox", "sh", "-ec", "busybox mount -t tmpfs -o nosuid,nodev,noexec none " + dir + "; busybox mount -t tmpfs none " + tree + "/sub"}
	c.bind(dir, "/vol", "rbind", "ro")
	c.bind(tree, "/tree", "rbind", "rro")
	c.Spec.Root.Readonly = true
	want(t, c.output(), "/vol ro", "/tree ro", "/tree/sub ro", "/proc/sys ro", "/dev/null ro", "ro,nosuid,nodev,noexec,relatime", "refused", "0", "1", "2")
}

func TestHostname(t *testing.T) {
	c := newContainer(t, script("hostname; cat /proc/sys/kernel/domainname; ip -o link show lo | grep -c 'LOOPBACK,UP'")...)
	c.Spec.Domainname = "example"
	want(t, c.output(), "testhost", "example", "1")
}

func TestSysctls(t *testing.T) {
	c := newContainer(t, script("cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shm_rmid_forced /proc/sys/net/ipv4/conf/lo/forwarding")...)
	c.Spec.Linux.Sysctl = map[string]string{"net.ipv4.ip_unprivileged_port_start": "0", "kernel.shm_rmid_forced": "1", "net/ipv4/conf/lo/forwarding": "1"}
	want(t, c.output(), "0", "1", "1")
	c.Spec.Linux.Sysctl = map[string]string{"vm.swappiness": "1"}
	if e := c.refused(codeSetup); e.Text != `kernel parameter "vm.swappiness" is of the whole host, not of a container` {
		t.Errorf("%+v", e)
	}
	c.Spec.Linux.Sysctl = map[string]string{"net/../vm/swappiness": "1"}
	c.refused(codeSetup)
	c.Spec.Linux.Sysctl = map[string]string{"net.ipv4.nonesuch": "1"}
	if e := c.refused(codeSetup); e.Text != `setting kernel parameter "net.ipv4.nonesuch" to "1": no such file or directory` {
		t.Errorf("%+v", e)
	}
	c.Spec.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1"}
	c.dropNamespace(specs.NetworkNamespace)
	if e := c.refused(codeSetup); e.Text != `kernel parameter "net.ipv4.ip_forward" would change the host's network namespace` {
		t.Errorf("%+v", e)
	}
}
